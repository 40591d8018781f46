"""One call gives the numbers of the probes as plain floats, whatever holds the rows."""

import json
import math
import pickle
import subprocess
import sys

import pandas as pd
import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip.integrations import processes
from intrinsic_clip.integrations.budget import within
from intrinsic_clip.measurement.embeddings import Embeddings
from intrinsic_clip.probes import (
    AlignmentProbe,
    InformationProbe,
    IntrinsicDimensionProbe,
    MatchingProbe,
    SimilarityProbe,
    SpectrumProbe,
)

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(120, 3, generator=GENERATOR) @ torch.randn(3, 8, generator=GENERATOR)
Y = X + 0.05 * torch.randn(120, 8, generator=GENERATOR)
LABELS = torch.arange(120) % 4
PROBES = [
    IntrinsicDimensionProbe,
    SpectrumProbe,
    MatchingProbe,
    AlignmentProbe,
    InformationProbe,
    SimilarityProbe,
]
WORDS = ["id", "spectrum", "matching", "alignment", "uniformity", "modality_gap", "distribution_gap", "information",
         "similarity", "norm", "relative_norm"]  # fmt: skip
OF_ONE = ["id", "spectrum", "uniformity", "norm", "relative_norm"]


def test_numbers_and_names_are_those_of_the_probes() -> None:
    embeddings = Embeddings(X, Y, tau=torch.tensor(0.1, dtype=torch.float64), labels={"class": LABELS})
    logged: dict[str, float] = {}
    for probe in PROBES:
        for name, number in probe(lambda module, batch: batch).measure(embeddings).items():
            logged[name] = float(number.value if isinstance(number, tuple) else number)
    numbers = ic.measure(X, Y, only=WORDS, labels=LABELS, tau=0.1)
    assert dict(numbers) == logged
    assert all(type(value) is float for value in numbers.values())
    json.dumps(numbers)


def test_only_what_is_asked_for_is_calculated(monkeypatch) -> None:
    from intrinsic_clip.measurement.families import matching, spectra

    def refuse(*arguments, **options):
        raise AssertionError("calculated in vain")

    monkeypatch.setattr(matching, "partner_ranks", refuse)
    monkeypatch.setattr(spectra, "effective_rank", refuse)
    assert set(ic.measure(X, Y, only=["id/gride", "alignment"])) == {
        "id/gride/x",
        "id/gride/y",
        "alignment/cosine",
    }
    assert set(ic.measure(X, Y, only="spectrum/participation_ratio/y")) == {"spectrum/participation_ratio/y"}
    assert set(ic.measure(X, only="id")) == {
        f"{kind}/{name}/x" for kind in ("id", "id_standard_error") for name in ("mle", "twonn")
    }


def test_numbers_beyond_the_default_ones() -> None:
    names = ["id/tle/x", "matching/top_5/x_to_y", "retrieval/top_2.5pct/y_to_x", "spectrum/components_80pct/x",
             "matching/label_class/x_to_y", "id_standard_error/mle/y"]  # fmt: skip
    numbers = ic.measure(X, Y, only=names, labels=LABELS.numpy())
    assert set(numbers) == set(names)
    assert not any(map(math.isnan, numbers.values()))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X,), {"only": ["idd"]}, "no number 'idd'; the nearest is 'id'"),
        ((X,), {"only": ["id/mel/x"]}, "the nearest is 'id/mle/x'"),
        ((X,), {"only": "matching/top_0"}, "no number"),
        ((X,), {"only": "similarity_standard_error"}, "no number"),
        ((X,), {"estimators": ["nothing"]}, "no estimator nothing"),
        ((X, Y[:3]), {}, "x has 120 rows and y 3"),
        ((X[0],), {}, r"x must be \(\*R, n, d\)"),
        ((X[None],), {}, r"x must be rows \(n, d\), got shape \(1, 120, 8\): one token"),
        ((X, Y), {"labels": LABELS[:3]}, "label_class 3"),
        ((X,), {"budget": 0}, "budget must be"),
        ((X,), {"max_points": 0}, "max_points must be"),
        ((X,), {"k": 1}, "k must be at least 2"),
        ((None,), {}, "x is None"),
        ((X, Y), {"tau": "0.1"}, "tau must be one number"),
        ((X, Y), {"tau": torch.ones(2)}, "tau must be one number"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ic.measure(*arguments, **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "x",
    [
        X[:0],
        X[:1],
        X[:5],
        torch.zeros(50, 4),
        X * math.nan,
        X * math.inf,
        X[:, :1],
        X[:1].expand(99, -1),
        1e300 * X.double(),
    ],
    ids=["empty", "one", "few", "collapsed", "nan", "infinite", "line", "copies", "huge"],
)
def test_odd_numbers_are_nan_with_a_reason(x) -> None:
    for y in (None, x, torch.rand(len(x), 99)):
        words = OF_ONE if y is None else [*WORDS, "retrieval"]
        numbers = ic.measure(x, y, only=words, labels=torch.zeros(len(x)).long())
        assert set(numbers.reasons) == {name for name, value in numbers.items() if math.isnan(value)}
        assert all(numbers.reasons.values())
        assert "\n" not in "".join(numbers.reasons.values())
    assert math.isnan(numbers["alignment/cosine"])


def test_a_temperature_of_one_element_is_a_number() -> None:
    parameter = torch.nn.Parameter(torch.tensor([0.1]))
    assert ic.measure(X, Y, only="information", tau=parameter) == ic.measure(
        X, Y, only="information", tau=parameter.item()
    )


@pytest.mark.parametrize("autocast", [False, True])
def test_the_state_of_the_caller_does_not_matter(autocast: bool) -> None:
    expected = dict(ic.measure(X, Y))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert dict(ic.measure(X.clone(), Y.clone())) == expected
        assert torch.is_inference_mode_enabled()
    with_gradient = X.clone().requires_grad_()
    assert dict(ic.measure(with_gradient, Y)) == expected
    assert with_gradient.grad is None
    with torch.device("meta"):
        assert dict(ic.measure(X, Y)) == expected
    state = torch.get_rng_state()
    ic.measure(X, Y, max_points=50)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "convert", [torch.Tensor.half, torch.Tensor.bfloat16, torch.Tensor.double, torch.Tensor.numpy, torch.Tensor.tolist,
                lambda rows: pd.DataFrame(rows.numpy()), lambda rows: (1000 * rows).long()]
)  # fmt: skip
def test_rows_as_people_hold_them(convert) -> None:
    numbers, expected = ic.measure(convert(X), convert(Y)), ic.measure(X, Y)
    for name in ("id/mle/x", "spectrum/participation_ratio/y", "alignment/cosine"):
        assert numbers[name] == pytest.approx(expected[name], rel=0.1)


def test_a_sample_keeps_pairs_together_and_is_noted() -> None:
    numbers = ic.measure(X, X, only=["retrieval"], max_points=40)
    assert numbers["retrieval/top_1/x_to_y"] == 1
    assert numbers.rows == 40
    assert numbers.notes == ["a sample of 40 of 120 rows, drawn at random; max_points=… measures more"]
    assert dict(ic.measure(X, max_points=40, seed=1)) != dict(ic.measure(X, max_points=40, seed=2))


def test_doubts_are_warned_of_at_the_callers_line() -> None:
    copies = torch.cat([X, X + 1e-6])
    with pytest.warns(UserWarning, match="near-duplicates") as caught:
        numbers = ic.measure(copies, only="id")
    assert caught[0].filename == __file__
    assert str(caught[0].message) in numbers.notes


def test_the_result_explains_itself() -> None:
    numbers = ic.measure(X[:30], Y[:30], only=["id", "matching/top_1"], k=29)
    lines = repr(numbers).splitlines()
    assert lines[0].startswith("id/mle/x")
    assert "±" in lines[0]
    assert not any(line.startswith("id_standard_error") for line in lines)
    missing = ic.measure(X[:5], only="id/mle")
    assert "NaN: needs at least 21 distinct points" in repr(missing)
    assert "NaN: needs" in missing._repr_html_()
    copy = pickle.loads(pickle.dumps(missing))
    assert copy.reasons == missing.reasons
    assert math.isnan(copy["id/mle/x"])
    assert repr(ic.measure(X, only=[])) == "no numbers"


@pytest.mark.parametrize(
    ("fixed", "growing", "power"), [(0.0, 1e-6, 2), (0.05, 1e-7, 2), (0.01, 1e-5, 1), (0.0, 1e-9, 3)]
)
@pytest.mark.parametrize("seconds", [0.5, 5.0, 60.0])
def test_a_budget_holds(fixed: float, growing: float, power: float, seconds: float) -> None:
    now = 0.0

    def run(rows: int) -> int:
        nonlocal now
        now += fixed + growing * rows**power
        return rows

    best = within(seconds, 10**6, run, lambda: now)
    assert best.result == best.rows
    assert now <= 1.5 * seconds
    assert best.rows == 10**6 or now >= 0.3 * seconds or power < 2
    assert (best.predicted is None) == (best.rows == 10**6)


def test_all_rows_are_taken_where_they_fit_behind_a_slow_start() -> None:
    now = 0.0

    def run(rows: int) -> int:
        nonlocal now
        now += 0.02 + 5e-7 * rows**2 if now else 0.09
        return rows

    best = within(0.5, 500, run, lambda: now)
    assert (best.rows, best.predicted) == (500, None)


def test_a_budget_is_noted() -> None:
    x = torch.rand(20_000, 4, generator=GENERATOR)
    numbers = ic.measure(x, only="id/mle", budget=0.2)
    assert numbers.rows < 20_000
    assert numbers.notes[-1].startswith("budget = 0.2 s: ")
    assert not ic.measure(X, budget=60).notes


def test_gathering_alone_changes_nothing() -> None:
    assert not processes.several()
    assert dict(ic.measure(X, Y, gather=True)) == dict(ic.measure(X, Y))


PROGRAM = """
import sys
import numpy as np
import torch
import intrinsic_clip as ic
from intrinsic_clip.integrations import Measure

x: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.random.default_rng(0).random((50, 3))
numbers: dict[str, float] = ic.measure(x, torch.rand(50, 3), only=["id", "matching"], max_points=40)
dimension: float = float(ic.mle(x))
line: str = str(ic.twonn(x.tolist()))
kept = Measure(only="id", max_rows=10)
kept.update(x)
reasons: dict[str, str] = kept.compute().reasons
"""


def test_a_user_s_program_needs_nothing_heavy() -> None:
    heavy = ("pytorch_lightning", "lightning", "matplotlib", "pandas", "hydra", "wandb", "torchmetrics")
    program = f"{PROGRAM}\nprint([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.slow
def test_a_user_s_program_passes_strict_mypy(tmp_path) -> None:
    """Check that exports are typed; PyTorch and others are skipped, since they take mypy minutes."""
    mypy = pytest.importorskip("mypy.api")
    rooms = ", ".join(f"intrinsic_clip.{room}.*" for room in ("integrations", "dimension", "metrics"))
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        f"[mypy]\nstrict = True\nfollow_imports = skip\n[mypy-intrinsic_clip,{rooms}]\nfollow_imports = silent\n"
    )
    options = [
        "--config-file",
        str(settings),
        "--cache-dir",
        str(tmp_path / "cache"),
        str(tmp_path / "program.py"),
    ]
    for last, status in (("", 0), ("wrong: str = ic.measure(x)", 1)):
        (tmp_path / "program.py").write_text(f"{PROGRAM}{last}\n")
        report, errors, ended = mypy.run(options)
        assert ended == status, report + errors
    assert 'expression has type "Numbers", variable has type "str"' in report


def test_doubts_about_rounding_and_about_spectra_of_few_rows() -> None:
    torch.manual_seed(0)
    narrow = 0.05 * torch.randn(3000, 3) @ torch.randn(3, 128) + torch.randn(128)
    with pytest.warns(UserWarning, match="id/…/x: the values are rounded to bfloat16"):
        ic.measure(narrow.bfloat16(), only="id")
    with pytest.warns(UserWarning, match="spectrum/…/x: 50 rows are too few for so many dimensions"):
        ic.measure(torch.randn(50, 40), only="spectrum")
    assert ic.measure(narrow, only=["id", "spectrum"]).notes == []

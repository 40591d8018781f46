"""Numbers of a measurement against those of the functions and of scikit-dimension."""

import json
import re

import numpy as np
import pytest
import torch

from helpers.shared_latent import QUICK, measurement_below
from intrinsic_clip.measurement import measure_embeddings

pytestmark = pytest.mark.slow


def test_numbers_are_those_of_the_functions_and_of_scikit_dimension(command_line, tmp_path, pair) -> None:
    import skdim

    from intrinsic_clip.dimension import local_pca, participation_ratio
    from intrinsic_clip.metrics import modality_gap, uniformity

    x, y = pair
    settings = ["estimators=[mle,twonn,local_pca,MOM]", "progress=false"]
    assert command_line("measure", "x=x.npy", "y=y.npy", *settings) == 0
    metrics = measurement_below(tmp_path)["metrics"]
    assert metrics["id/mle/x"] == pytest.approx(skdim.id.MLE().fit(x).dimension_, rel=1e-4)
    assert metrics["id/twonn/y"] == pytest.approx(skdim.id.TwoNN().fit(y).dimension_, rel=1e-4)
    assert metrics["id/MOM/x"] == pytest.approx(skdim.id.MOM().fit(x).dimension_, rel=1e-4)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    assert metrics["id/local_pca/y"] == pytest.approx(float(local_pca(y).value))
    expected = participation_ratio(x)
    assert metrics["spectrum/participation_ratio/x"] == pytest.approx(float(expected.value))
    assert metrics["spectrum_standard_error/participation_ratio/x"] == pytest.approx(
        float(expected.standard_error)
    )
    assert metrics["modality_gap"] == pytest.approx(float(modality_gap(x, y)))
    assert metrics["uniformity/y"] == pytest.approx(float(uniformity(y)))
    x, y = (side / side.norm(dim=1, keepdim=True) for side in (x.double(), y.double()))
    assert metrics["alignment/cosine"] == pytest.approx(float((x * y).sum(1).mean()))
    ranks = (x @ y.T).argsort(1, descending=True)
    among_five = (ranks[:, :5] == torch.arange(len(x))[:, None]).any(1).double().mean()
    assert metrics["retrieval/top_5/x_to_y"] == pytest.approx(float(among_five))


def test_expensive_estimators_get_a_sample_and_its_size_is_shown(
    command_line, capsys, tmp_path, pair
) -> None:
    from intrinsic_clip.dimension import mada

    assert (
        command_line("measure", "x=x.npy", "estimators=[mle,mada]", "max_points=300", "progress=false") == 0
    )
    measurement = measurement_below(tmp_path)
    assert {row["name"]: row["n"] for row in measurement["estimates"]}["id/mle"] == 600
    assert {row["name"]: row["n"] for row in measurement["estimates"]}["id/mada"] == 300
    rows = torch.randperm(600, generator=torch.Generator().manual_seed(0))[:300]
    assert measurement["metrics"]["id/mada/x"] == pytest.approx(
        float(mada(torch.from_numpy(pair[0])[rows]).value)
    )
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r" 600 +20$", next(line for line in lines if line.startswith("  MLE")))
    assert re.search(r" 300 +20$", next(line for line in lines if line.startswith("  MADA")))


def test_duplicates_are_noted(command_line, capsys, pair) -> None:
    np.save("x.npy", np.concatenate([pair[0], pair[0][:5]]))
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert "note: x: 5 of 605 points are exact duplicates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            np.repeat(np.random.default_rng(0).normal(size=(10, 5)), 10, 0),
            "needs 20 neighbours of each point, got 9",
        ),
        (np.ones((50, 5)), "MLE, TwoNN, GRIDE: needs at least 3 distinct points for k = 2, got 1"),
        (np.linspace(0, 1, 50)[:, None], "intrinsic dimension x 1"),
    ],
)
def test_degenerate_points_are_measured_as_far_as_they_can_be(command_line, capsys, rows, message) -> None:
    np.save("x.npy", rows)
    estimators = "estimators=[mle,twonn,gride,correlation_integral]"
    assert command_line("measure", "x=x.npy", "y=x.npy", "progress=false", estimators) == 0
    assert message in capsys.readouterr().out


def test_the_python_function_returns_what_the_command_writes(command_line, tmp_path, pair) -> None:
    from intrinsic_clip.measurement import measure_embeddings

    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    written = measurement_below(tmp_path)
    x, y = map(torch.from_numpy, pair)
    measurement = dict(measure_embeddings(x, y, estimators=["mle", "twonn"], max_points=400))
    assert list(measurement.pop("seconds")) == list(written["seconds"])
    assert json.loads(json.dumps(measurement, allow_nan=False)) == {key: written[key] for key in measurement}


def test_progress_sees_every_stage_once(pair) -> None:
    from intrinsic_clip.measurement import measure_embeddings

    x, y = map(torch.from_numpy, pair)
    labels: list[str] = []

    def watch(stages):
        for label, work in stages:
            labels.append(label)
            yield label, work

    measurement = measure_embeddings(x, y, estimators=["mada"], max_points=300, watch=watch)
    one_side = ["neighbours in the sample", "MADA", "spectrum", "scales"]
    pairs = ["alignment", "uniformity", "retrieval", "principal", "canonical", "forms"]
    assert labels == [
        *(f"{side}: {label}" for side in "xy" for label in one_side),
        *(f"pairs: {label}" for label in pairs),
    ]
    assert list(measurement["seconds"]) == labels


def test_notes_on_repeated_rows_agree_with_one_another() -> None:
    generator = torch.Generator().manual_seed(0)
    x, classes = torch.randn(400, 8, generator=generator), torch.randn(10, 8, generator=generator)
    notes = measure_embeddings(x, classes.repeat(40, 1), estimators=["mle"])["notes"]
    assert {note for note in notes if "duplicates" in note} == {
        "y: 390 of 400 points are exact duplicates of others and were counted once"
    }
    line = torch.linspace(0, 1, 500).outer(torch.tensor([1.0, 2.0]))
    notes = measure_embeddings(line, estimators=["mle", "gride"])["notes"]
    assert any("exactly equal distances" in note for note in notes)
    assert not any("too few" in note for note in notes)

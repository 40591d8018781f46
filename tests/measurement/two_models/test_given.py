"""`ic.measure_embeddings(x, y, against=new_x)`: what `measure … against=…` gives, of rows in memory."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_latent import measurement_below, shared_latent
from intrinsic_clip.errors import ConfigError

OPTIONS = {"estimators": ["mle"], "max_points": 200}
ASTRAY = 77
Rows = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Return 300 pairs of two models; the second is the first turned, with row 77 of x astray."""
    x, y = (np.asarray(side, np.float32) for side in shared_latent(300, 0.3, 0.1))
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(64, 64)))
    new, new_y = (np.asarray(3 * side @ turn, np.float32) for side in (x, y))
    new[ASTRAY] *= -1
    return {"x": x, "y": y, "against": new, "against_y": new_y}


@pytest.fixture(scope="module")
def both(rows):
    """Measure both models."""
    return ic.measure_embeddings(**rows, **OPTIONS)


def without_times(numbers: dict) -> dict:
    """Return numbers without what another run takes."""
    return {
        key: without_times(value) if isinstance(value, dict) else value
        for key, value in numbers.items()
        if key not in ("seconds", "notes")
    }


@pytest.mark.slow
@pytest.mark.parametrize("own_y", [True, False])
@pytest.mark.parametrize("queries", ["auto", 100])
def test_it_gives_what_the_command_gives(command_line, tmp_path, monkeypatch, rows, own_y, queries) -> None:
    monkeypatch.chdir(tmp_path)
    given = rows if own_y else {name: each for name, each in rows.items() if name != "against_y"}
    for name, each in given.items():
        np.save(f"{name}.npy", each)
    files = [f"{name}={name}.npy" for name in given]
    settings = ["estimators=[mle]", "max_points=200", f"queries={queries}", "progress=false", "threads=1"]
    assert command_line("measure", *files, *settings) == 0
    recorded = measurement_below(tmp_path)
    measured = ic.measure_embeddings(**given, **OPTIONS, queries=queries)
    assert without_times(dict(measured)) == without_times({key: recorded[key] for key in measured})
    other_words = {"neither file names": "no index names"}
    told = [note.replace(*pair) for pair in other_words.items() for note in recorded["notes"]]
    assert measured.notes == [note.replace("its rows, so", "the rows, so") for note in told]


def test_the_numbers_of_each_are_those_of_each_alone(both, rows) -> None:
    first = ic.measure_embeddings(rows["x"], rows["y"], **OPTIONS)
    second = ic.measure_embeddings(rows["against"], rows["against_y"], **OPTIONS)
    assert both.metrics == first.metrics
    assert both.against["metrics"] == second.metrics
    assert both.against["compared"]["moved"][0]["row"] == ASTRAY
    assert both.reduce(d=8).provenance.promise == first.reduce(d=8).provenance.promise
    assert pickle.loads(pickle.dumps(both)).against == both.against


def test_table_picture_and_page_show_both(both, tmp_path) -> None:
    frame = both.to_frame().set_index(["name", "side"])
    assert frame.index.is_unique
    compared = both.against["compared"]
    recall = compared["recalls"][0]
    row = frame.loc[("against/retrieval_difference/top_1", "")]
    assert [row["value"], row["standard_error"], row["n"]] == [
        recall["difference"],
        recall["standard_error"],
        200,
    ]
    assert frame.loc[("against/id/mle", "x"), "value"] == both.against["metrics"]["id/mle/x"]
    assert frame.loc[("id/mle", "x"), "value"] == both.metrics["id/mle/x"]
    named = {f"{name}/{side}" if side else name for name, side in frame.index}
    numbers = {**both.against["metrics"], **compared["metrics"]}
    assert {f"against/{name}" for name in numbers if "_standard_error/" not in name} <= named
    assert len(both.plot().axes) == 4
    assert len(both.plot(both=True).axes) == 6
    html = both.html(tmp_path / "page.html")
    for text in ("<h2>Two models</h2>", "x 64-d, y 64-d, against 64-d", "rows of x that moved most, of 300"):
        assert text in html
    assert "against 64-d (None)" not in html
    assert f"verdict: {compared['verdict']}" in repr(both)
    assert "two models, one data set:" in str(both)
    assert (tmp_path / "page.html").read_text() == html


def test_one_model_has_no_picture_of_two() -> None:
    measured = ic.measure_embeddings(shared_latent(60, 0.3, 0.1)[0], estimators=["mle"], k=5)
    with pytest.raises(ConfigError, match="both: needs a second model"):
        measured.plot(both=True)
    with pytest.raises(AttributeError, match="no attribute 'against'"):
        measured.against  # noqa: B018


def test_an_index_names_the_rows(rows) -> None:
    names = [f"item {row}" for row in range(300)]
    x, new = (pd.DataFrame(rows[name], index=names) for name in ("x", "against"))
    compared = ic.measure_embeddings(x, against=new, **OPTIONS).against["compared"]
    assert compared["moved"][0]["id"] == f"item {ASTRAY}"
    assert "rows are the same by the index of x and against" in compared["notes"]
    with pytest.raises(ConfigError, match="x and against have the same index in another order"):
        ic.measure_embeddings(x, against=new[::-1], **OPTIONS)
    unnamed = ic.measure_embeddings(pd.DataFrame(rows["x"]), against=pd.DataFrame(rows["against"]), **OPTIONS)
    assert unnamed.against["compared"]["moved"][0]["id"] is None


def test_groups_and_classes_are_those_of_both(rows) -> None:
    """Five captions of each of 60 images: pairs are made for both models, and rows of x told of by their own number."""
    of = np.repeat(np.arange(60), 5)
    images, new = rows["x"][:60], rows["against"][:60].copy()
    new[33] *= -1
    measured = ic.measure_embeddings(
        images, rows["y"], against=new, groups=of, **OPTIONS | {"max_points": 300}
    )
    compared = measured.against["compared"]
    assert (measured.n, measured.against["n"], compared["of_x"]) == (300, 300, 60)
    assert [each["row"] for each in compared["moved"]].count(33) == 1
    each = compared["recalls"][0]
    for model, recall in ((measured, each["first"]), (measured.against, each["second"])):
        ways = [model["metrics"][f"retrieval/top_1/{way}"] for way in ("x_to_y", "y_to_x")]
        assert recall == pytest.approx(np.mean(ways))
    labels = ic.measure_embeddings(
        rows["x"], rows["y"][:60], against=rows["against"], labels=of, **OPTIONS | {"max_points": 300}
    )
    each = labels.against["compared"]["recalls"][0]
    ways = [labels.metrics[f"retrieval/top_1/{way}"] for way in ("x_to_y", "y_to_x")]
    assert each["first"] == pytest.approx(np.mean(ways))


def test_the_true_latent_is_of_the_data_and_measured_once(rows) -> None:
    z = rows["x"][:, :8]
    measured = ic.measure_embeddings(rows["x"], z=z, against=rows["against"], **OPTIONS)
    assert "z" in measured.dims
    assert "z" not in measured.against["dims"]


def test_rows_that_are_not_finite_are_not_compared(rows) -> None:
    x, new = rows["x"].copy(), rows["against"].copy()
    x[3], new[[5, 6]] = np.nan, np.inf
    compared = ic.measure_embeddings(x, against=new, **OPTIONS).against["compared"]
    assert compared["of"] == 297
    assert compared["moved"][0]["row"] == ASTRAY


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rows_of_any_type_are_compared(rows, dtype) -> None:
    x, new = (torch.from_numpy(rows[name]).to(dtype).requires_grad_() for name in ("x", "against"))
    compared = ic.measure_embeddings(x, against=new, **OPTIONS).against["compared"]
    assert compared["moved"][0]["row"] == ASTRAY


WRONG = [
    ({"against_y": "against_y"}, "against_y: needs against, which is missing"),
    ({"y": None}, "against_y: needs y, which is missing: both models are paired, or none"),
    (
        {"against": slice(1, None)},
        "x has 300 rows, against has 299 rows; row i of each must be of the same thing",
    ),
    (
        {"against_y": slice(1, None)},
        "y has 300 rows, against_y has 299 rows; row i of each must be of the same thing",
    ),
    (
        {"against": (None,)},
        r"against must be rows \(n, d\) where two models are compared, got shape \(1, 300, 64\)",
    ),
    (
        {"against": "new.npy"},
        r"against must be a tensor \(\*R, n, d\), got the str 'new.npy': load the file first",
    ),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
def test_what_is_wrong_is_told_before_anything_is_measured(rows, changed, message) -> None:
    given = dict(rows)
    for name, change in changed.items():
        given[name] = rows[name][change] if isinstance(change, slice | tuple) else change
    if changed == {"against_y": "against_y"}:
        given = {"x": rows["x"], "y": rows["y"], "against_y": rows["against_y"]}

    def never(stages):
        raise AssertionError("measured")

    with pytest.raises(ValueError, match=message) as caught:
        ic.measure_embeddings(**given, **OPTIONS, watch=never)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_the_second_is_said_of_it(rows) -> None:
    new = rows["against"].copy()
    new[5] = np.inf
    with pytest.raises(ConfigError, match="against: 1 of 300 rows of x hold NaN or infinity"):
        ic.measure_embeddings(rows["x"], against=new, queries=100, **OPTIONS)


@pytest.mark.parametrize("queries", ["auto", 100])
@pytest.mark.parametrize("of", ["alone", "wider", "repeated", "grouped"])
def test_recall_on_held_out_pairs_is_that_of_each_model_alone(rows, of, queries) -> None:
    """One half is held out, whichever number asks: tables, charts, advice and verdict name one recall."""
    given, groups = {side: each[:240] for side, each in rows.items()}, None
    if of == "wider":
        given["y"] = given["y"][:, :40]
        del given["against_y"]
    if of == "repeated":
        given |= {side: given[side][np.arange(240) // 4] for side in ("x", "against")}
    if of == "grouped":
        groups = np.arange(240) // 3
        queries = "auto"  # groups are measured with every row asked
    options = {**OPTIONS, "max_points": 150}
    both = ic.measure_embeddings(**given, groups=groups, queries=queries, **options)
    curves = [each["curves"]["retrieval/canonical"] for each in (both, both.against)]
    found = {
        each["k"]: [each["first"], each["second"]]
        for each in both.against["compared"]["recalls"]
        if each["by"] == "canonical"
    }
    assert found[1] == pytest.approx([each["value"][-1] for each in curves])
    if curves[0]["recall_10"]:
        assert found[10] == pytest.approx([each["recall_10"]["value"][-1] for each in curves])

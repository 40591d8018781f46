"""`groups=` and `labels=`: what they mean, what is refused, and recall by hand."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_latent import QUICK, measurement_below
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.group_files import arranged
from intrinsic_clip.measurement.groups import arrange
from intrinsic_clip.measurement.loading import LoadedEmbeddings

IMAGES, CAPTIONS = 120, 5


def captioned() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, five captions of each in random order, and the image of each caption."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(IMAGES, 16)).astype(np.float32)
    of = generator.permutation(np.repeat(np.arange(IMAGES), CAPTIONS))
    captions = images[of] + 0.9 * generator.normal(size=(len(of), 16)).astype(np.float32)
    return images, captions.astype(np.float32), of


def test_each_row_of_the_longer_side_names_its_row_of_the_shorter_one() -> None:
    of = [0, 0, 1, 2, 2]
    for side, other in (("x", "y"), ("y", "x")):
        arrangement = arrange({side: 3, other: 5}, of, None)
        assert arrangement.rows[side].tolist() == of
        assert list(arrangement.rows) == [side]
        assert arrangement.grouping.groups.tolist() == of
        assert f"{side}: 3 rows are partners of 5 rows of {other}" in arrangement.notes[0]
    texts = arrange({"x": 3, "y": 4}, ["0", "2", "2", "2.0"], None)
    assert texts.rows["x"].tolist() == [0, 2, 2, 2]
    assert "1 of 3 rows, that no row of y names, are left out (the first is row 1)" in texts.notes[1]


def test_ids_of_pairs_are_groups_of_any_name() -> None:
    arrangement = arrange({"x": 4, "y": 4}, ["b", "a", "b", "a"], [7, 7, 8, 8])
    assert arrangement.rows == {}
    assert arrangement.grouping.groups.tolist() == [1, 0, 1, 0]
    assert arrangement.grouping.labels.tolist() == [0, 0, 1, 1]


def test_ids_of_both_sides_are_joined() -> None:
    arrangement = arrange({"x": 3, "y": 5}, {"x": ["b", "a", "c"], "y": ["a", "b", "b", "d", "a"]}, None)
    x, y = (arrangement.rows[side].tolist() for side in "xy")
    assert sorted(zip(x, y, strict=True)) == [(0, 1), (0, 2), (1, 0), (1, 4)]
    assert arrangement.grouping.joined
    assert any("y: 1 of 5 rows, whose id the other side lacks" in note for note in arrangement.notes)
    same = arrange({"x": 2, "y": 2}, {"x": [5, 6], "y": [5, 6]}, None)
    assert (same.rows, same.grouping.joined) == ({}, False)


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"x": 0}, [(1, 0), (1, 1), (1, 2), (2, 3), (2, 4)]),
        ({"y": 0}, [(0, 1), (1, 2), (2, 3), (2, 4)]),
        ({"x": 1, "y": 2}, [(0, 0), (0, 1), (2, 3), (2, 4)]),
        ({"x": 2}, [(0, 0), (0, 2), (1, 1)]),
    ],
)
def test_a_row_that_is_left_out_takes_none_with_it_that_has_another_partner(odd, kept) -> None:
    """Photos a, a, b and captions a, a, a, b, b: pairs are made of the rows that are left."""
    usable = {side: torch.arange(n) != odd.get(side, -1) for side, n in {"x": 3, "y": 5}.items()}
    arrangement = arrange({"x": 3, "y": 5}, {"x": list("aab"), "y": list("aaabb")}, None, usable)
    pairs = list(zip(*(arrangement.rows[side].tolist() for side in "xy"), strict=True))
    assert sorted(p for p in pairs if usable["x"][p[0]] and usable["y"][p[1]]) == kept
    assert {x for x, _ in pairs} == set(range(3))  # those left out are counted among the rows that were read
    assert {y for _, y in pairs} == set(range(5))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.array([b"a", b"b", b"c"]), ["c", "b", "a"]),
        (np.array([b"a", b"b", b"c"]), np.array(["c", "b", "a"])),
        (np.array([1.0, 2.0, 3.0]), ["3", "2", "1"]),
        (torch.tensor([1.0, 2.0, 3.0]), np.array([3, 2, 1])),
    ],
)
def test_ids_are_joined_whatever_type_a_file_has_for_them(x, y) -> None:
    joined = arrange({"x": 3, "y": 3}, {"x": x, "y": y}, None)
    assert joined.rows["x"].tolist() == [0, 1, 2]
    assert joined.rows["y"].tolist() == [2, 1, 0]


def test_prompts_of_classes_are_partners_of_their_rows() -> None:
    arrangement = arrange({"x": 5, "y": 3}, None, torch.tensor([2, 0, 0, 2, 2]))
    assert arrangement.rows["y"].tolist() == [2, 0, 0, 2, 2]
    assert arrangement.grouping.classes
    assert "zero-shot" in arrangement.notes[0]
    assert "1 of 3 rows, of no class that a row of x has" in arrangement.notes[1]


@pytest.mark.parametrize(
    ("counts", "groups", "labels", "message"),
    [
        ((3, 5), [0, 0, 1], None, "groups: 3 ids, but x has 3 and y 5 rows"),
        ((3, 5), [1, 1, 2, 3, 3], None, "numbers from 1 to 3; .* row of x, 0 … 2; these count from 1"),
        ((3, 5), ["a", "a", "b", "c", "c"], None, "groups: 'a' is no row: must be the number of a row of x"),
        ((3, 5), [0, 0.5, 1, 2, 2], None, "groups: '0.5' is no row"),
        ((4, 4), [0, 0, 1], None, "groups: 3 ids, but x and y have 4 rows"),
        ((4, 4), ["a", "a", "", "b"], None, "groups: 1 of 4 rows are without one"),
        ((4, 4), ["a", "a", " ", "b"], None, "groups: 1 of 4 rows are without one"),
        ((4, 4), pd.array([1, None, 2, None], dtype="Int64"), None, "groups: 2 of 4 rows are without one"),
        ((3, 4), {"x": ["a", None, "b"], "y": ["a", "b", None, "c"]}, None, "groups of x: 1 of 3 rows are"),
        ((3, 4), {"x": [1, 2, 3], "y": [1, 2, math.nan, 3]}, None, "groups of y: 1 of 4 rows are"),
        ((3, 3), None, pd.array(["a", None, "b"], dtype="string"), "labels: 1 of 3 rows are without one"),
        ((4, 4), ["a"] * 4, None, "groups: all rows have the same, 'a'"),
        ((4, None), [0, 0, 1, 1], None, "groups: needs y="),
        ((2, 3), {"x": [1, 2], "y": [3, 4, 5]}, None, "x and y have 0 ids in common"),
        ((2, 3), {"x": [1, 2], "y": [1, 2]}, None, "groups of y: 2 ids, but y has 3 rows"),
        ((4, 4), None, [0, 1], "labels: 2 classes, but x has 4 rows"),
        (
            (4, 2),
            None,
            ["cat", "dog", "cat", "dog"],
            "labels: 'cat' is no row: must be the number of a row of y",
        ),
        (
            (4, 2),
            None,
            [0, 1, 2, 0],
            "labels: numbers from 0 to 2; each must be the number of a row of y, 0 … 1",
        ),
    ],
)
def test_what_could_mean_several_things_is_refused(counts, groups, labels, message) -> None:
    sides = {side: n for side, n in zip("xy", counts, strict=True) if n is not None}
    with pytest.raises(ConfigError, match=message):
        arrange(sides, groups, labels)


FAST = ["progress=false", "threads=1", "estimators=[mle]", "max_points=600", "k=5"]


def recall_at(scores: np.ndarray, right: np.ndarray, k: int) -> float:
    best = np.argsort(-scores, 1)[:, :k]
    return float(np.take_along_axis(right, best, 1).any(1).mean())


@pytest.mark.slow
def test_recall_of_images_with_five_captions(command_line, capsys, tmp_path) -> None:
    images, captions, of = captioned()
    np.save("x.npy", images)
    np.save("y.npy", captions)
    np.save("of.npy", of)
    cut = ["export=cut.safetensors", "export_dims=8"]
    assert command_line("measure", "x=x.npy", "y=y.npy", "groups=of.npy", *FAST, *cut) == 0
    shown = capsys.readouterr().out
    assert "x: 120 rows are partners of 600 rows of y, 5 each" in shown
    measurement = measurement_below(tmp_path)
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, captions))
    right = np.arange(IMAGES)[:, None] == of[None]
    for k in (1, 5, 10):
        metrics = measurement["metrics"]
        assert metrics[f"retrieval/top_{k}/x_to_y"] == pytest.approx(recall_at(a @ b.T, right, k))
        assert metrics[f"retrieval/top_{k}/y_to_x"] == pytest.approx(recall_at(b @ a.T, right.T, k))
    found = right.T[np.arange(len(of)), (b @ a.T).argmax(1)].astype(float) - metrics["retrieval/top_1/y_to_x"]
    robust = np.sqrt((np.bincount(of, found) ** 2).sum() * IMAGES / (IMAGES - 1)) / len(of)
    assert metrics["retrieval_standard_error/top_1/y_to_x"] == pytest.approx(robust)
    curve = measurement["curves"]["retrieval/principal"]
    full = measurement["forms"]["full"]["recall_1"]
    assert full["value"] == pytest.approx(curve["full"])
    assert full["standard_error"] == pytest.approx(curve["full_standard_error"])
    import intrinsic_clip as ic

    promise = ic.Reduce.load("cut.safetensors").provenance.promise
    assert promise.value == pytest.approx(curve["value"][curve["at"].index(8)])


@pytest.mark.slow
def test_groups_in_columns_and_files_that_do_not_fit(command_line, capsys, tmp_path) -> None:
    images, captions, of = captioned()
    pd.DataFrame(images).assign(scene=[f"s{i}" for i in range(IMAGES)]).to_csv("x.csv", index=False)
    pd.DataFrame(captions).assign(scene=[f"s{i}" for i in of]).to_csv("y.csv", index=False)
    Path("few.txt").write_text("1\n2\n3\n")
    measure = ("measure", "x=x.csv", "y=y.csv", *FAST)
    assert command_line(*measure, "groups=scene") == 0
    told = capsys.readouterr().out
    assert "groups: 120 ids that x and y have in common, 600 pairs" in told
    assert "x: 1 of 17 columns are left out, as groups=… says" in told
    assert "drop=… says" not in told
    measurement = measurement_below(tmp_path)
    assert measurement["dims"] == {"x": 16, "y": 16}
    assert measurement["retrieval"]["x"] == IMAGES
    wrong = {
        "groups=picture": "groups=picture: no such file, and x=x.csv holds no 'picture'",
        "groups=few.txt": "groups: 3 ids, but x has 120 and y 600 rows; must have one for each",
        "groups=[few.txt,few.txt]": "groups of x: 3 ids, but x has 120 rows",
        "groups=[few.txt]": "groups: must be one file or column, or two files",
        "labels=scene": "labels: 's0' is no row: must be the number of a row of y",
        "groups_key=a": "groups_key: needs groups=FILE, which is missing",
    }
    for argument, message in wrong.items():
        assert command_line(*measure, argument, *([] if "scene" in argument else ["drop=scene"])) == 2
        error = capsys.readouterr().err
        assert message in error, error
        assert len(error.strip().splitlines()) == 1
    assert command_line("measure", "x=x.csv", "groups=scene", *FAST) == 2
    assert "groups: needs y=FILE, which is missing" in capsys.readouterr().err
    assert len(list(tmp_path.glob("outputs/measure/*"))) == 1


@pytest.mark.slow
def test_class_prompts_give_zero_shot_accuracy(command_line, capsys, tmp_path) -> None:
    generator = np.random.default_rng(1)
    prompts = generator.normal(size=(8, 16)).astype(np.float32)
    labels = generator.integers(0, 8, 400)
    images = (prompts[labels] + 2 * generator.normal(size=(400, 16))).astype(np.float32)
    for name, rows in {"x": images, "y": prompts, "labels": labels}.items():
        np.save(f"{name}.npy", rows)
    assert command_line("measure", "x=x.npy", "y=y.npy", "labels=labels.npy", *FAST) == 0
    shown = capsys.readouterr().out
    assert "y: 8 rows are prompts of classes; recall of x → y is zero-shot accuracy" in shown
    assert "class accuracy at equal bytes" in shown
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, prompts))
    measurement = measurement_below(tmp_path)
    accuracy = float(np.mean((a @ b.T).argmax(1) == labels))
    assert measurement["metrics"]["retrieval/top_1/x_to_y"] == pytest.approx(accuracy)
    assert abs(measurement["forms"]["full"]["class_accuracy"]["value"] - accuracy) < 0.1


@pytest.mark.parametrize("queries", ["all", 150])
def test_notes_are_about_the_rows_of_the_files(queries) -> None:
    """An image with five captions is one row: that the table of pairs has it five times is no repetition."""
    images, captions, of = (torch.from_numpy(rows) for rows in captioned())

    def notes(x: torch.Tensor, y: torch.Tensor, **partners: torch.Tensor) -> str:
        measured = ic.measure_embeddings(x, y, estimators=["mle"], queries=queries, **partners)
        return "\n".join(measured.notes)

    told = notes(images, captions, groups=of)
    assert "duplicates" not in told
    assert "repeat" not in told
    assert f"pairs: recall counts every distinct row once ({IMAGES} of x, {len(captions)} of y)" in told
    assert "duplicates" not in notes(captions, images, groups=of)
    assert "duplicates" not in notes(captions, images, labels=of)  # prompts of classes
    images[5] = images[4]
    captions[7] = captions[9] = captions[8]
    told = notes(images, captions, groups=of)
    assert f"x: 1 of {IMAGES} points are exact duplicates of others" in told
    assert f"y: 2 of {len(captions)} points are exact duplicates of others" in told
    assert "repeat others" in notes(images[of], captions)  # files that hold the copies themselves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("labels=id.npy labels_key=a", "labels=id.npy: labels_key=a: .npy holds one array, so leave it out"),
        ("groups=id.npy groups_key=a", "groups=id.npy: groups_key=a: .npy holds one array, so leave it out"),
        (
            "groups=[id.npy,id.npy] groups_key=a",
            "groups=id.npy: groups_key=a: .npy holds one array, so leave it out",
        ),
        (
            "x=x.csv labels=name labels_key=a",
            "labels_key=a: labels=name names a column, so leave it out",
        ),
        (
            "x=x.csv groups=name groups_key=a",
            "groups_key=a: groups=name names a column, so leave it out",
        ),
    ],
)
def test_a_key_that_would_choose_nothing_is_refused(command_line, capsys, settings, message) -> None:
    ids = np.arange(60) // 2
    np.save("id.npy", ids)
    for name in ("x", "y"):
        np.save(f"{name}.npy", np.random.default_rng(0).normal(size=(60, 4)))
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    rows.assign(name=[f"s{each}" for each in ids]).to_csv("x.csv", index=False)
    given = settings.split()
    files = [f"{side}={side}.npy" for side in "xy" if not given[0].startswith(f"{side}=")]
    assert command_line("measure", *files, *given, *FAST) == 2
    assert capsys.readouterr().err == f"intrinsic-clip: {message}\n"


def test_a_key_is_for_the_file_that_holds_several_arrays() -> None:
    ids = np.arange(6) // 2
    np.save("x_ids.npy", ids)
    np.savez("y_ids.npz", scene=ids, photo=np.arange(6))
    embeddings = LoadedEmbeddings({side: torch.zeros(6, 2) for side in "xy"})
    settings = {"x": "x.npy", "y": "y.npy", "groups": ["x_ids.npy", "y_ids.npz"], "groups_key": "scene"}
    arranged(embeddings, settings | {"labels": None})
    assert embeddings.grouping is not None
    assert embeddings.grouping.groups is not None
    assert embeddings.grouping.groups.unique(return_inverse=True)[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_ids_of_two_files_join_without_the_spaces_around_them(command_line) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 120, 8))
    np.save("x.npy", x)
    np.save("y.npy", x + 0.1 * y)
    names = [f"scene {place // 4}" for place in range(120)]
    pd.DataFrame({"k": names}).to_csv("gx.csv", index=False)
    pd.DataFrame({"k": [f"{name:<12}" for name in names]}).to_parquet("gy.parquet")
    assert command_line("measure", "x=x.npy", "y=y.npy", "groups=[gx.csv,gy.parquet]", *QUICK) == 0


@pytest.mark.parametrize("sides", ["xy", "yx"])
def test_rows_that_are_not_finite_are_those_of_the_files(command_line, capsys, tmp_path, sides) -> None:
    """An image that could not be embedded is one row, however many captions it has, and no copy is a repetition."""
    images, captions, of = captioned()
    images[7, 3] = np.inf
    captions[[11, 300]] = np.nan
    short, long = sides
    np.save(f"{short}.npy", images)
    np.save(f"{long}.npy", captions)
    np.save("of.npy", of)
    Path("rules.yaml").write_text("duplicates: {max: 0.01}\nnonfinite_rows: {max: 2}")
    given = ("measure", "x=x.npy", "y=y.npy", "groups=of.npy", *FAST)
    assert command_line(*given) == 2
    listed = f"1 of {IMAGES} rows of {short} hold NaN or infinity"
    assert listed in capsys.readouterr().err
    assert command_line(*given, "nan=drop", "check=rules.yaml") == 0
    measurement = measurement_below(tmp_path)
    gone = len(np.unique(np.concatenate([np.flatnonzero(of == 7), [11, 300]])))
    notes = "\n".join(measurement["notes"])
    assert listed in notes
    assert f"2 of {len(of)} rows of {long} are missing" in notes
    rows = {short: f"row 7 of {short}", long: f"rows 11, 300 of {long}"}
    assert f"{len(of) - gone} pairs are left, without {rows['x']} and {rows['y']} (counted from 0)" in notes
    assert "duplicates" not in notes
    assert "repeat others" not in notes
    facts = measurement["rows"]
    assert facts["nonfinite_rows"] == {short: 1, long: 2}
    assert facts["duplicate_rows"] == {short: 0, long: 0}
    norms = np.linalg.norm(np.delete(images, 7, 0).astype(float), axis=1)
    assert facts["norm"][short] == pytest.approx(norms.mean(), rel=1e-6)


def test_rows_that_are_not_finite_are_named_where_ids_are_joined(command_line, capsys, tmp_path) -> None:
    """Pairs made of the ids of both sides are of no file, so that their numbers name no row of any."""
    x, y = np.random.default_rng(0).normal(size=(2, 120, 8))
    x[10, 0], y[4] = np.nan, np.nan
    np.save("x.npy", x)
    np.save("y.npy", y[:80])
    np.save("gx.npy", np.arange(120) // 3)
    np.save("gy.npy", np.arange(80) // 2)
    given = ("measure", "x=x.npy", "y=y.npy", "groups=[gx.npy,gy.npy]", "nan=drop", *FAST)
    assert command_line(*given) == 0
    notes = "\n".join(measurement_below(tmp_path)["notes"])
    assert "1 of 80 rows of y are missing" in notes
    assert "1 of 120 rows of x hold NaN" in notes
    assert "119 pairs are left, without row 10 of x and row 4 of y (counted from 0)" in notes
    assert "duplicates" not in notes


def test_rows_drawn_for_a_subsample_are_no_repetitions(command_line, tmp_path) -> None:
    images, captions, of = captioned()
    for name, rows in {"x": images, "y": captions, "of": of}.items():
        np.save(f"{name}.npy", rows)
    assert command_line("measure", "x=x.npy", "y=y.npy", "groups=of.npy", "subsample=300", *FAST) == 0
    notes = "\n".join(measurement_below(tmp_path)["notes"])
    assert "duplicates" not in notes
    assert "repeat others" not in notes


@pytest.mark.parametrize("queries", ["all", 40])
def test_an_image_with_several_captions_is_one_draw_of_the_spectrum(queries) -> None:
    """Copies for the partners made errors of the images' linear dimensions smaller by √5."""
    images, captions, of = captioned()
    alone = ic.measure_embeddings(images, estimators=["mle"], queries=queries)
    paired = ic.measure_embeddings(images, captions, groups=of, estimators=["mle"], queries=queries)
    for kind in ("spectrum", "spectrum_standard_error"):
        names = [name for name in alone.metrics if name.startswith(f"{kind}/")]
        assert len(names) == 5
        for name in names:
            assert paired.metrics[name] == pytest.approx(alone.metrics[name], rel=1e-9)
    rows = torch.from_numpy(images)
    assert paired.metrics["uniformity/x"] == pytest.approx(float(ic.metrics.uniformity(rows)), abs=1e-6)
    assert f"{IMAGES}, {len(of)}" in str(paired)


def test_the_spectrum_of_prompts_is_that_of_their_file() -> None:
    images, _, _ = captioned()
    prompts = np.random.default_rng(1).normal(size=(2, 16)).astype(np.float32)
    classes = np.arange(IMAGES) % 2
    measured = ic.measure_embeddings(images, prompts, labels=classes, estimators=["mle"])
    assert measured.metrics["spectrum/participation_ratio/y"] == 1.0
    unit = prompts / np.linalg.norm(prompts, axis=1, keepdims=True)
    apart = -2 * float(np.square(unit[0] - unit[1]).sum())
    assert measured.metrics["uniformity/y"] == pytest.approx(apart, abs=1e-5)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array(["a", "", "b"]), "lacks an id in 1 of 3 rows"),
        (np.zeros((3, 2)), "holds shape (3, 2); must be (rows,): one id per row"),
        (np.zeros(3, complex), "holds complex128; must hold ids, numbers or names"),
    ],
)
def test_what_is_wrong_with_ids_is_not_said_of_classes(ids, message) -> None:
    np.save("of.npy", ids)
    embeddings = LoadedEmbeddings({side: torch.zeros(3, 2) for side in "xy"})
    settings = {"x": "x.npy", "y": "y.npy", "groups": "of.npy", "labels": None}
    with pytest.raises(ConfigError) as caught:
        arranged(embeddings, settings)
    assert str(caught.value) == f"groups=of.npy: {message}"
    with pytest.raises(ConfigError, match=r"lacks a class|one class per row|must hold classes"):
        arranged(embeddings, settings | {"groups": None, "labels": "of.npy"})


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_column_of_ids_with_gaps_lacks_ids(name) -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0], "scene": ["a", None, "b"]})
    rows.to_csv(name, index=False) if name.endswith("csv") else rows.to_parquet(name)
    embeddings = LoadedEmbeddings({side: torch.zeros(3, 1) for side in "xy"})
    with pytest.raises(ConfigError, match="column 'scene' lacks an id in 1 of 3 rows"):
        arranged(embeddings, {"x": name, "y": "y.npy", "groups": "scene", "labels": None})

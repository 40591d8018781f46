"""`groups=` and `labels=` with `against=…`: the comparison counts what the measurements count."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.shared_latent import measurement_below
from helpers.tiny_runs import files_below

pytestmark = pytest.mark.slow
FEW = ["progress=false", "threads=1", "estimators=[mle]", "max_points=600"]
SCENES, EACH, ASTRAY = 60, 5, 33


@pytest.fixture
def scenes() -> None:
    """Write 60 images with five captions each, and a second model of the images in which image 33 is astray.

    `many` and `new_many` have five photos of each scene; `scene` are the numbers of the scenes.
    """
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(SCENES), EACH)
    latent = rng.normal(size=(SCENES, 8)) @ rng.normal(size=(8, 16))
    rows = {
        "x": latent + 0.1 * rng.normal(size=latent.shape),
        "many": latent[of] + rng.normal(size=(len(of), 16)),
        "y": latent[of] + rng.normal(size=(len(of), 16)),
    }
    for name in ("x", "many"):
        rows[f"new_{name}"] = rows[name] + 0.1 * rng.normal(size=rows[name].shape)
    rows["new_x"][ASTRAY] *= -1
    names = {"x": [f"image {row}" for row in range(SCENES)], "y": of}
    for name, each in rows.items():
        np.save(f"{name}.npy", each)
        ids = names["y"] if len(each) > SCENES else names["x"]
        pd.DataFrame(
            {"id": ids, "scene": of if len(each) > SCENES else np.arange(SCENES), "e": list(each)}
        ).to_parquet(f"{name}.parquet")
    np.save("scene.npy", of)


@pytest.fixture
def photos() -> None:
    """Write 60 photos in any order with their scenes and kinds, two texts of each scene, and a second model."""
    rng = np.random.default_rng(0)
    scene = rng.permutation(SCENES)
    of = np.repeat(np.arange(SCENES), 2)
    latent = 3 * rng.normal(size=(SCENES, 8)) @ rng.normal(size=(8, 16))
    x, y = latent[scene] + 0.1 * rng.normal(size=latent.shape), latent[of] + rng.normal(size=(len(of), 16))
    new = x + 0.1 * rng.normal(size=x.shape)
    columns = [f"d{place}" for place in range(16)]
    named = {"scene": scene, "kind": np.arange(SCENES) % 3}
    pd.DataFrame(x, columns=columns).assign(**named).to_csv("x.csv", index=False)
    pd.DataFrame(y, columns=columns).assign(scene=of).to_csv("y.csv", index=False)
    np.save("new.npy", new)
    pd.DataFrame(new, columns=columns).to_csv("new.csv", index=False)
    pd.DataFrame(new, columns=columns).assign(**named).to_csv("named.csv", index=False)


def by_cosine(measurement: dict[str, Any]) -> list[float]:
    """Return recall@1 of both models as the comparison has it."""
    (each,) = (
        each
        for each in measurement["against"]["compared"]["recalls"]
        if (each["by"], each["k"]) == ("cosine", 1)
    )
    return [each["first"], each["second"]]


def measured(measurement: dict[str, Any]) -> list[float]:
    """Return recall@1 of both models as each measurement has it."""
    return [
        float(np.mean([each["metrics"][f"retrieval/top_1/{way}"] for way in ("x_to_y", "y_to_x")]))
        for each in (measurement, measurement["against"])
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        "x=many.npy y=y.npy against=new_many.npy groups=scene.npy",
        "x=x.npy y=y.npy against=new_x.npy groups=scene.npy",
        "x=y.npy y=x.npy against=y.npy against_y=new_x.npy groups=scene.npy",
        "x=many.parquet y=x.parquet against=new_many.parquet groups=scene",
        "x=many.npy y=x.npy against=new_many.npy labels=scene.npy",
    ],
)
def test_recall_of_both_is_that_of_their_measurements(command_line, tmp_path, scenes, arguments) -> None:
    assert command_line("measure", *arguments.split(), *FEW) == 0
    measurement = measurement_below(tmp_path)
    assert by_cosine(measurement) == pytest.approx(measured(measurement))


@pytest.mark.parametrize("groups", ["scene.npy", "scene"])
def test_rows_that_moved_are_rows_of_x_and_told_once(command_line, tmp_path, scenes, groups) -> None:
    """An image with five captions is one row of x, whatever pairs were made of it."""
    arguments = f"x=x.parquet y=y.parquet against=new_x.parquet groups={groups}".split()
    assert command_line("measure", *arguments, *FEW) == 0
    compared = measurement_below(tmp_path)["against"]["compared"]
    moved = [(each["row"], each["id"]) for each in compared["moved"]]
    assert moved[0] == (ASTRAY, f"image {ASTRAY}")
    assert all(name == f"image {row}" for row, name in moved)
    assert len(set(moved)) == len(moved) == 10
    assert (compared["n"], compared["of"], compared["of_x"]) == (SCENES * EACH, SCENES * EACH, SCENES)


@pytest.mark.parametrize("second", ["new.npy", "new.csv", "named.csv"])
def test_columns_of_the_first_model_say_what_belongs_together(command_line, tmp_path, second, photos) -> None:
    """Numbers of scenes that only the first model's tables have were taken for rows of the second."""
    arguments = f"x=x.csv y=y.csv groups=scene labels=kind against={second}".split()
    assert command_line("measure", *arguments, *FEW) == 0
    measurement = measurement_below(tmp_path)
    assert by_cosine(measurement) == pytest.approx(measured(measurement))
    assert min(by_cosine(measurement)) > 0.9
    metrics = measurement["against"]["compared"]["metrics"]
    assert metrics["overlap/top_10"] > 0.7


@pytest.mark.parametrize(("column", "setting"), [("scene", "groups"), ("kind", "labels")])
def test_columns_of_both_models_must_say_the_same(command_line, capsys, column, setting, photos) -> None:
    table = pd.read_csv("named.csv")
    table[column] = np.roll(table[column], 1)
    table.to_csv("named.csv", index=False)
    arguments = ["x=x.csv", "y=y.csv", "groups=scene", "labels=kind", "against=named.csv"]
    assert command_line("measure", *arguments, *FEW) == 2
    error = capsys.readouterr().err
    assert f"{column!r} of x and against differ in" in error
    assert "the same ids in another order; sort both alike" in error
    assert not list(Path().glob("outputs"))


def test_models_of_other_rows_are_refused_where_groups_would_hide_it(
    command_line, capsys, tmp_path, scenes
) -> None:
    np.save("long.npy", np.concatenate([np.load("new_x.npy"), np.ones((1, 16))]))
    before = files_below(tmp_path)
    wrong = {
        "x=x.npy y=y.npy against=long.npy": "x has 60 rows, against has 61 rows",
        "x=y.npy y=x.npy against=y.npy against_y=long.npy": "y has 60 rows, against_y has 61 rows",
        "x=x.npy y=y.npy against=new_many.npy": "x has 60 rows, against has 300 rows",
    }
    for arguments, reason in wrong.items():
        assert command_line("measure", *arguments.split(), "groups=scene.npy", *FEW) == 2
        error = capsys.readouterr().err
        assert f"{reason}; row i of each must be of the same thing" in error
        assert error.count("\n") == 1
    assert files_below(tmp_path) == before
    assert not list(Path().glob("outputs"))

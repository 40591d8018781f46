"""The settings `columns` and `drop`, which choose the columns of the tables x and y."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

from helpers.shared_latent import QUICK, measurement_below
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.loading import LoadedEmbeddings, folder_of, load

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture(autouse=True)
def _files(_away_from_the_checkout) -> None:
    table = pd.DataFrame(X, columns=[f"d{i}" for i in range(5)])
    table.sample(frac=1, random_state=0).sort_index().assign(digit=np.arange(60) % 7).to_csv(
        "x.csv", index=False
    )
    table.add_prefix("t").to_csv("y.csv", sep=";", decimal=",", index=False)
    np.save("y.npy", X)


def loaded(**settings: Any) -> LoadedEmbeddings:
    unset = dict.fromkeys(("x", "y", "x_key", "y_key", "run", "data", "encoder", "columns", "drop"))
    return load(DictConfig({}), unset | {"x": "x.csv", "nan": "refuse", "k": 20} | settings)


def test_what_was_decided_is_noted_for_each_file() -> None:
    embeddings = loaded(y="y.csv")
    assert {name: tuple(rows.shape) for name, rows in embeddings.sides.items()} == {
        "x": (60, 5),
        "y": (60, 5),
    }
    assert embeddings.notes == [
        "x: the first line is read as a header",
        "x: column 'digit' holds 7 different whole numbers, as classes do, and is left out",
        "y: the first line is read as a header",
        "y: the fields are separated by semicolons",
        "y: decimal commas are read",
    ]


def test_each_table_reads_its_own_columns() -> None:
    widths = {
        "both": (loaded(y="y.csv", columns=["d0", "d1", "td3"]), {"x": 2, "y": 1}),
        "x alone": (loaded(y="y.csv", columns="d?"), {"x": 5, "y": 5}),
        "y is no table": (loaded(y="y.npy", columns=["digit", 0]), {"x": 2, "y": 5}),
        "dropped": (loaded(y="y.csv", drop=["*2", "digit"]), {"x": 4, "y": 4}),
    }
    for embeddings, expected in widths.values():
        assert {name: rows.shape[1] for name, rows in embeddings.sides.items()} == expected
    with pytest.raises(
        ConfigError, match=r"^columns: no column 'emb_\*'; its columns are d0, .*, digit, td0"
    ):
        loaded(y="y.csv", columns="emb_*")
    with pytest.raises(ConfigError, match=r"^drop: no column 'd0'; the file is no table"):
        loaded(x="y.npy", drop=["d0"])


def test_the_choice_belongs_to_the_address() -> None:
    unset = dict.fromkeys(("y", "run", "data", "encoder", "columns"))
    folders = {folder_of(unset | {"x": "x.csv", "output_dir": ".", "drop": drop}) for drop in (None, ["d0"])}
    assert len(folders) == 2
    before = {key: value for key, value in unset.items() if key not in ("columns", "drop", "subsample")}
    assert (
        folder_of(before | {"x": "x.csv", "output_dir": "."}) in folders
    )  # made before there were these settings


@pytest.mark.slow
def test_from_the_command_line(command_line, capsys, tmp_path) -> None:
    assert command_line("measure", "x=x.csv", "columns=d?", *QUICK) == 0
    assert "note: x: 5 of 6 columns are read, as columns=… says" in capsys.readouterr().out
    assert measurement_below(tmp_path)["dims"]["x"] == 5
    assert command_line("measure", "run=x", "drop=[d0]", *QUICK) == 2
    assert "drop: needs x=…" in capsys.readouterr().err

"""Ids that x and y have in common must be in one order, in every verb that takes pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helpers.dataset_folders import write_folder
from helpers.projections import write_small_projection
from helpers.shared_latent import QUICK, shared_latent
from helpers.tiny_runs import files_below

X, Y = shared_latent(600, 0.3, 0.1)
NAMES = [f"item {i}" for i in range(600)]
REFUSED = (
    "'id' of x and y differ in 200 of 600 rows, first in row 0: 'item 0' and 'item 199'; "
    "the same ids in another order"
)


def table(path: str, rows: np.ndarray, names: list[str], order: np.ndarray) -> None:
    """Write rows in an order, with their names."""
    if path.endswith(".npz"):
        np.savez(path, id=np.array(names)[order], emb=rows[order])
        return
    frame = pd.DataFrame({"id": names, "emb": list(rows)}).iloc[order]
    if path.endswith(".csv"):
        numbers = pd.DataFrame(rows, columns=[f"d{i}" for i in range(rows.shape[1])]).iloc[order]
        frame = pd.concat([frame[["id"]], numbers], axis=1)
        frame.to_csv(path, index=False)
    elif path.endswith(".folder"):
        write_folder(Path(path), pa.Table.from_pandas(frame, preserve_index=False))
    else:
        frame.reset_index(drop=True).to_parquet(path)


@pytest.fixture(params=["parquet", "csv", "npz", "folder"])
def files(request) -> tuple[str, str]:
    """Write x and y with an id each, where the first 200 rows of y are turned round."""
    names = f"px.{request.param}", f"py.{request.param}"
    table(names[0], X, NAMES, np.arange(600))
    table(names[1], Y, NAMES, np.r_[np.arange(200)[::-1], np.arange(200, 600)])
    return names


VERBS = {
    "measure": [*QUICK],
    "measure, block by block": [*QUICK, "queries=200"],
    "apply": ["cut.safetensors", "output=a.npy", "output_y=b.npy"],
    "shared": ["progress=false"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_ids_in_another_order_are_refused(command_line, capsys, tmp_path, files, verb) -> None:
    write_small_projection(Path("cut.safetensors"), X, Y, 6, "canonical")
    before = files_below(tmp_path)
    given = [f"{side}={name}" for side, name in zip("xy", files, strict=True)]
    assert command_line(verb.partition(",")[0], *VERBS[verb], *given) == 2
    error = capsys.readouterr().err
    assert REFUSED in error
    assert error.count("\n") == 1
    assert files_below(tmp_path) == before


def test_ids_of_other_values_are_noted(command_line, capsys) -> None:
    table("px.parquet", X, NAMES, np.arange(600))
    table("py.parquet", Y, [*NAMES[:590], *"abcdefghij"], np.arange(600))
    write_small_projection(Path("cut.safetensors"), X, Y, 6, "canonical")
    given = ("cut.safetensors", "x=px.parquet", "y=py.parquet", "output=a.npy", "output_y=b.npy")
    assert command_line("apply", *given) == 0
    shown = capsys.readouterr().out
    assert (
        "'id' of x and y differ in 10 of 600 rows, first in row 590: 'item 590' and 'a'; row i of each"
        in shown
    )
    assert command_line("apply", *given, "drop=id", "overwrite=true") == 0
    assert "differ" not in capsys.readouterr().out


def test_ids_in_another_order_are_a_note_where_their_column_is_dropped(command_line, capsys) -> None:
    turned = np.r_[np.arange(200)[::-1], np.arange(200, 600)]
    table("px.parquet", X, NAMES, np.arange(600))
    table("py.parquet", Y, NAMES, turned)
    assert command_line("measure", *QUICK, "x=px.parquet", "y=py.parquet") == 2
    assert "sort both alike (with drop=id this is a note)" in capsys.readouterr().err
    assert command_line("measure", *QUICK, "x=px.parquet", "y=py.parquet", "drop=id") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{REFUSED}; row i of each are taken to belong together all the same" in shown


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_numerals_as_texts_name_the_rows_of_a_table_of_numbers(command_line, capsys, suffix) -> None:
    names = np.array([f"{place * 7:06}" for place in range(600)])
    turned = np.r_[np.arange(200)[::-1], np.arange(200, 600)]
    for path, rows, order in (("x", X, np.arange(600)), ("y", Y, np.arange(600)), ("z", Y, turned)):
        frame = pd.DataFrame(rows, columns=[f"d{i}" for i in range(rows.shape[1])])
        frame.insert(3, "image_id", names)
        frame = frame.iloc[order].reset_index(drop=True)
        (frame.to_parquet if suffix == "parquet" else frame.to_feather)(f"{path}.{suffix}")
    assert command_line("measure", *QUICK, f"x=x.{suffix}", f"y=y.{suffix}") == 0
    assert "column 'image_id' holds names and is left out" in capsys.readouterr().out
    assert command_line("measure", *QUICK, f"x=x.{suffix}", f"y=z.{suffix}") == 2
    assert "'image_id' of x and y differ in 200 of 600 rows" in capsys.readouterr().err


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("setting", ["labels", "groups"])
def test_classes_and_groups_in_another_order_are_refused(command_line, capsys, side, setting) -> None:
    np.save("plain.npy", X if side == "y" else Y)
    table("named.csv", Y if side == "y" else X, NAMES, np.arange(600))
    turned = np.r_[np.arange(200)[::-1], np.arange(200, 600)]
    pd.DataFrame({"id": NAMES, "kind": np.arange(600) % 5}).iloc[turned].to_csv("kinds.csv", index=False)
    other = "x" if side == "y" else "y"
    given = [f"{side}=named.csv", f"{other}=plain.npy", f"{setting}=kinds.csv", f"{setting}_key=kind"]
    assert command_line("measure", *given, *QUICK) == 2
    assert REFUSED.replace("of x and y", f"of {side} and {setting}") in capsys.readouterr().err


@pytest.mark.slow
def test_groups_join_ids_in_any_order(command_line, files) -> None:
    if files[0].endswith((".npz", ".folder")):
        return
    assert command_line("measure", f"x={files[0]}", f"y={files[1]}", "groups=id", *QUICK) == 0

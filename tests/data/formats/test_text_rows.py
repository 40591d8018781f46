"""Large text tables are read in parts: the same rows, notes and errors as whole, and nothing is left behind."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.in_parts import check_in_parts
from intrinsic_clip.data.formats import text_rows
from intrinsic_clip.data.formats.arrays import open_array
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.errors import ConfigError

DRAW = np.random.default_rng(0)
N = 130
TABLE = pd.DataFrame(DRAW.normal(size=(N, 6)).astype(np.float32), columns=[f"d{i}" for i in range(6)])
NAMES = [f"image {i}.png" for i in range(N)]
LATE = [0] * (N - 1) + [0.5]  # whole numbers at first
GAPS = pd.DataFrame({"caption": [f"a cat, {i % 40}" if i > 60 else None for i in range(N)]})
LAST = 100  # a row that is not among the first

IN_PARTS: dict[str, tuple[pd.DataFrame, str, dict]] = {
    "plain": (TABLE, "x.csv", {"index": False}),
    "an index": (TABLE, "x.csv", {}),
    "a shuffled index": (TABLE.set_index(DRAW.permutation(N)), "x.csv", {}),
    "decimal commas": (TABLE, "x.csv", {"index": False, "sep": ";", "decimal": ","}),
    "without a heading": (TABLE, "x.csv", {"index": False, "header": False}),
    "tabs and names": (TABLE.assign(file=NAMES), "x.tsv", {"index": False, "sep": "\t"}),
    "spaces": (TABLE, "x.txt", {"index": False, "sep": " "}),
    "classes": (TABLE.assign(label=np.arange(N) % 3), "x.csv", {"index": False}),
    "flags": (TABLE.assign(train=np.arange(N) > 50), "x.csv", {"index": False}),
    "a fraction that comes late": (TABLE.assign(d6=LATE), "x.csv", {"index": False}),
    "whole numbers alone": ((10 * TABLE).astype(int), "x.csv", {"index": False}),
    "missing values": (TABLE.where(DRAW.random(TABLE.shape) > 0.1), "x.csv", {"index": False}),
    "text with gaps": (GAPS.join(TABLE), "x.csv", {"index": False}),
    "a column that rises": (TABLE.assign(d6=np.arange(N) + 0.25), "x.csv", {"index": False}),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_PARTS)
def test_the_same_in_parts_as_whole(case: str) -> None:
    table, name, options = IN_PARTS[case]
    table.to_csv(name, **options)
    assert check_in_parts(Path(name))
    drop = [0] if options.get("header") is False else ["d1"]
    assert check_in_parts(Path(name), ColumnChoice(drop=drop))
    if options.get("header") is not False:
        assert check_in_parts(Path(name), ColumnChoice(columns=["d[24]"]))


def _lines(change: Callable[[list[str]], None]) -> str:
    lines = TABLE.assign(name=NAMES)[["name", *TABLE]].to_csv(index=False).splitlines()
    change(lines)
    return "\n".join(lines)


def _replaced(row: int, old: str, new: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        lines[row] = lines[row].replace(old, new)

    return change


DOUBTFUL: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "a field too few": (lambda lines: lines.__setitem__(LAST, lines[LAST].rpartition(",")[0]), "may lack fields"),
    "a field too many": (lambda lines: lines.__setitem__(LAST, lines[LAST] + ",1"), "lines are irregular"),
    "a heading repeated": (lambda lines: lines.insert(LAST, lines[0]), "numbers in some rows"),
    "a stray quotation mark": (_replaced(LAST, "image", '"image'), "lines are irregular"),
    "a name that is a number": (_replaced(LAST, "image 99.png", "99"), ""),
    "a number that is none": (lambda lines: lines.__setitem__(LAST, "a.png,?,1,1,1,1,1"), "numbers in some rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_leaves_doubts_is_read_whole_and_said(case: str, capsys) -> None:
    change, reason = DOUBTFUL[case]
    Path("x.csv").write_text(_lines(change))
    assert check_in_parts(Path("x.csv")) is (not reason)
    said = [line for line in capsys.readouterr().err.splitlines() if "is read whole, since" in line]
    assert (len(said), all(reason in line for line in said)) == (1 if reason else 0, True)


def test_lists_and_short_tables_are_read_whole() -> None:
    pd.DataFrame({"v": [str(list(row)) for row in TABLE.to_numpy().tolist()]}).to_csv("x.csv", index=False)
    assert not check_in_parts(Path("x.csv"))
    TABLE.to_csv("x.csv")
    assert open_array(Path("x.csv")) is None


def test_columns_that_are_held_whole_are_bounded(monkeypatch, capsys) -> None:
    (10 * TABLE).astype(int).to_csv("x.csv")
    monkeypatch.setattr(text_rows, "HELD", 1000)
    assert not check_in_parts(Path("x.csv"))
    assert "x.csv: is read whole, since many columns hold whole numbers or texts" in capsys.readouterr().err


def test_the_temporary_file_has_no_name_and_must_fit(monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "here"))
    monkeypatch.setattr(text_rows, "FEWEST", 100)
    TABLE.to_csv("x.csv")
    source, _ = open_array(Path("x.csv")) or pytest.fail("not opened")
    assert list((tmp_path / "here").iterdir()) == []  # so that nothing is left, whatever ends the program
    assert np.allclose(next(iter(source.blocks(N)))[1].numpy(), TABLE)
    assert (
        f"x.csv: its numbers, 7.3e-06 GB, go to a temporary file in {tmp_path / 'here'}"
        in capsys.readouterr().err
    )
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(
        ConfigError, match=r"take .* GB in a temporary file, and .* has 1e-06 GB free; TMPDIR="
    ):
        open_array(Path("x.csv"))

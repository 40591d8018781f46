"""Text tables of numbers as real programs write them: the same numbers, or one line that says what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.in_parts import check_in_parts
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.data.formats.number_tables import read_number_table
from intrinsic_clip.dimension import mle, twonn
from intrinsic_clip.errors import ConfigError

DRAW = np.random.default_rng(0)
X = (DRAW.normal(size=(1000, 3)) @ np.linalg.qr(DRAW.normal(size=(12, 3)))[0].T).astype(np.float32)
TABLE = pd.DataFrame(X, columns=[f"d{i}" for i in range(12)])
LINES = TABLE.head(60).to_csv(index=False).splitlines()


def written(text: str, name: str = "x.csv", encoding: str = "utf-8") -> Path:
    Path(name).write_bytes(text.encode(encoding))
    return Path(name)


def saved(table: pd.DataFrame, name: str = "x.csv", **options) -> Path:
    table.to_csv(name, **options)
    return Path(name)


def check(path: Path, expected: np.ndarray, *notes: str) -> None:
    """Check the numbers in a file, and that each of these notes is given."""
    check_in_parts(path)
    rows, given = read_array(path)
    assert rows.shape == expected.shape
    assert np.allclose(rows.numpy(), expected, rtol=1e-5, atol=1e-6, equal_nan=True)
    for note in notes:
        assert any(note in line for line in given), given


EUROPEAN = {"sep": ";", "decimal": ",", "index": False}
WRITERS: dict[str, tuple[dict, str, str]] = {
    "semicolons and decimal commas": (EUROPEAN, "x.csv", "decimal commas are read"),
    "without a heading": (EUROPEAN | {"header": False}, "x.csv", "separated by semicolons"),
    "tabs in a .csv": ({"sep": "\t", "index": False}, "x.csv", "separated by tabs"),
    "tabs and decimal commas": ({"sep": "\t", "decimal": ",", "index": False}, "x.tsv", "decimal commas"),
    "quoted decimal commas": ({"decimal": ",", "index": False}, "x.csv", "decimal commas"),
    "vertical bars": ({"sep": "|", "index": False}, "x.csv", "vertical bars"),
    "commas in a .tsv": ({"index": False}, "x.tsv", "separated by commas"),
    "spaces": ({"sep": " ", "index": False}, "x.txt", "separated by spaces"),
    "UTF-16": ({"index": False, "encoding": "utf-16"}, "x.csv", "UTF-16"),
    "a byte order mark": ({"index": False, "encoding": "utf-8-sig"}, "x.csv", "header"),
    "all fields quoted": ({"index": False, "quoting": 1}, "x.csv", "header"),
    "line ends of Windows": ({"index": False, "lineterminator": "\r\n"}, "x.csv", "header"),
    "line ends of old Macs": ({"index": False, "lineterminator": "\r"}, "x.csv", "header"),
    "line ends doubled on Windows": ({"index": False, "lineterminator": "\r\r\n"}, "x.csv", "blank lines"),
}


@pytest.mark.parametrize("way", WRITERS)
def test_the_dialect_is_recognised(way: str) -> None:
    options, name, note = WRITERS[way]
    check(saved(TABLE.head(60), name, **options), X[:60], note)


def test_a_tsv_is_split_at_tabs_whatever_its_texts_hold() -> None:
    few = TABLE.head(60)
    words = few.set_axis([f"cat {i} 0.5" for i in range(60)])  # spaces would split them evenly
    options = {"sep": "\t", "header": False}
    check(saved(words, "x.tsv", **options), X[:60], "names the rows")
    lines = Path("x.tsv").read_text().splitlines()
    text = "".join(line + "\t" * (i % 3 == 1) + "\n" for i, line in enumerate(lines))
    check(written(text, "x.tsv"), X[:60], "names the rows")
    with pytest.raises(ConfigError, match="line 10 has 12 fields where line 1 has 13"):
        read_array(written("\n".join([*lines[:9], lines[9].rpartition("\t")[0], *lines[10:]]), "x.tsv"))
    check(saved(few, "x.tsv", sep=" ", index=False), X[:60], "separated by spaces")
    uneven = few.to_csv(sep=" ", index=False).splitlines()
    uneven[4] += " 1 2"
    with pytest.raises(ConfigError, match=r"tab-separated numbers \(neither tabs, which a \.tsv has"):
        read_array(written("\n".join(uneven), "x.tsv"))


def test_the_dimension_of_a_european_table_is_that_of_its_rows() -> None:
    rows, _ = read_array(saved(TABLE, **EUROPEAN))
    assert float(mle(rows).value) == pytest.approx(3.056, abs=0.001)
    assert float(twonn(rows).value) == pytest.approx(2.891, abs=0.001)
    assert float(mle(torch.from_numpy(X)).value) == pytest.approx(float(mle(rows).value), rel=1e-3)


@pytest.mark.parametrize("headings", [range(12), range(1, 13), range(5, 17), [17, 3, 250, *range(30, 39)]])
@pytest.mark.parametrize("index", [True, False])
def test_a_heading_of_numbers_is_no_row(headings, index: bool) -> None:
    check(saved(TABLE.head(60).set_axis(headings, axis=1), index=index), X[:60], "read as a header")


def test_rows_of_numbers_are_no_heading() -> None:
    whole = np.arange(60).reshape(15, 4)
    check(saved(pd.DataFrame(whole[:, [1, 0, 3, 2]]), header=False, index=False), whole[:, [1, 0, 3, 2]])
    check(written("1,2\n3,5\n6,1\n"), np.array([[1, 2], [3, 5], [6, 1]]))
    check(written("NA,0.5\n0.25,1.5\n"), np.array([[np.nan, 0.5], [0.25, 1.5]]))
    check(written("null,0.5\n0.25,inf\n"), np.array([[np.nan, 0.5], [0.25, np.inf]]))


def test_a_first_row_with_a_name_is_no_heading() -> None:
    named = TABLE.head(60).set_axis([f"img{i}" for i in range(60)])
    check(saved(named, header=False), X[:60], "names the rows")
    words = "".join(f'w"{i} {" ".join(map(str, row))}\n' for i, row in enumerate(X[:60]))
    check(written(words, "glove.txt"), X[:60], "names the rows")
    check(written(f"60 12\n{words}", "word2vec.txt"), X[:60], "number of rows and dimensions, is left out")


HARMLESS: dict[str, tuple[Callable[[], str], str]] = {
    "a comma at the end of each row": (lambda: "\n".join([LINES[0], *(f"{r}," for r in LINES[1:])]), ""),
    "a comma at the end of each line": (lambda: "\n".join(f"{line}," for line in LINES), ""),
    "a comma at the end of some lines": (
        lambda: "\n".join(line + "," * (i % 7 == 3) for i, line in enumerate(LINES)),
        "",
    ),
    "comments": (lambda: "# by hand\n#\n" + "\n".join(LINES), "2 comment lines"),
    "blank lines": (lambda: "\n\n".join(LINES) + "\n\n\n", "59 blank lines are skipped"),
    "what Excel asks for": (lambda: "sep=;\n" + "\n".join(LINES).replace(",", ";"), "'sep=;' is left out"),
    "a repeated heading": (
        lambda: "\n".join([*LINES[:30], LINES[0], *LINES[30:]]),
        "1 lines that repeat the header",
    ),
    "the row names of R": (
        lambda: "\n".join([LINES[0], *(f'"{i}",{line}' for i, line in enumerate(LINES[1:], 1))]),
        "counts the rows",
    ),
    "spaces after the commas": (lambda: "\n".join(LINES).replace(",", ", "), ""),
}


@pytest.mark.parametrize("way", HARMLESS)
def test_harmless_irregularities(way: str) -> None:
    text, note = HARMLESS[way]
    rows = len(LINES) - 1
    check(written(text()), X[:rows], note)


def test_latin_letters_in_a_heading() -> None:
    check(written("\n".join(LINES).replace("d3", "dé"), encoding="latin-1"), X[:60], "Latin-1")


BODY = [f"{i}.5,{i + 1}.25" for i in range(20)]
REFUSED = {
    "a line too short": ("a,b\n1.5,2.5\n3.5\n4.5,5.5\n", "line 3 has 1 field where the header has 2"),
    "a line too long": ("1.5,2.5\n" * 30 + "1.5,2.5,3.5\n", "line 31 has 3 fields where line 1 has 2"),
    "all lines too long": ("a,b\n" + "1.5,2.5,3.5\n" * 9, "line 2 has 3 fields where the header has 2"),
    "cut short": ("a,b,c\n" + "1.5,2.5,3.5\n" * 9 + "1.5,2.", "line 11 has 2 fields where the header has 3"),
    "two headings": (
        ",e,e,e\n,0,1,2\n" + "".join(f"{i},0.5,{i}.5,1.5\n" for i in range(9)),
        "line 2 looks like a second heading",
    ),
    "groups of thousands": ("a;b\n" + "1.234,5;2,5\n" * 9, "'1.234,5' groups thousands"),
    "groups or decimals": ("a;b\n" + "1,234;2,345\n" * 9, "'1,234' may be thousands or decimals"),
    "both decimal signs": ("a;b\n" + "1,5;2.5\n" * 9, "holds '1,5' and '2.5'"),
    "decimal commas between commas": (
        "".join(f"-0,0{i},1,2{i}\n" for i in range(10, 30)),
        "decimal commas between commas",
    ),
    "quoted thousands": ('a,b\n"1,234.5",2.5\n"2,345.5",3.5\n', "'1,234.5' groups thousands"),
    "complex numbers": ("a,b\n(1+2j),2.5\n(2+2j),3.5\n", "for instance '(1+2j)'"),
    "hexadecimal numbers": ("a,b\n0x1f,2.5\n0x2f,3.5\n", "for instance '0x1f'"),
    "percentages": ("a,b\n10%,2.5\n20%,3.5\n", "for instance '10%'"),
    "errors of a spreadsheet": ("a,b\n1.5,2.5\n#DIV/0!,3.5\n", "for instance '#DIV/0!'"),
    "dates between the numbers": ("a,b\n1.5,2020-01-01\n2.5,2020-01-02\n", "for instance '2020-01-01'"),
    "NUL bytes": ("a,b\n1.5,2.5\n\0\0\0\0", "NUL bytes"),
    "words": ("once upon a time\nthere was a table\n", "holds other things"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_refused_in_one_line(way: str) -> None:
    text, message = REFUSED[way]
    with pytest.raises(ConfigError) as caught:
        read_array(written(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blank_cells_of_a_single_column_are_missing_numbers() -> None:
    rows, _ = read_array(written("x\n1.5\n\n2.5\n"))
    assert rows[:, 0].isnan().tolist() == [False, True, False]


def test_empty_cells_at_the_end_of_lines_are_missing_numbers() -> None:
    check(written("a,b\n1.5,\n2.5,3.5\n,\n"), np.array([[1.5, np.nan], [2.5, 3.5], [np.nan, np.nan]]))


@pytest.mark.parametrize(
    "names",
    [
        [400 + 2.5 * n for n in range(12)],
        [1.5 * 2**-n for n in range(12)],
        ["0", *(f"0.{n}" for n in range(1, 12))],
    ],
)
def test_wavelengths_and_repeated_names_are_headings(names: list[float | str], tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 12))
    pd.DataFrame(values, columns=names).to_csv(tmp_path / "x.csv", index=False)
    table, headed, _ = read_number_table(tmp_path / "x.csv")
    assert headed
    assert np.allclose(table.to_numpy(), values)


def test_a_rising_first_row_among_others_that_rise_is_no_heading(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((50, 12)).cumsum(1)
    np.savetxt(tmp_path / "x.csv", values, delimiter=",")
    table, headed, _ = read_number_table(tmp_path / "x.csv")
    assert not headed
    assert np.allclose(table.to_numpy(), values)


def test_a_heading_alone_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('[{"a": 0.5, "b": 1.5}]\n')
    with pytest.raises(ConfigError, match=r"""holds no rows below its header, which begins '\[\{"a": 0.5"""):
        read_number_table(tmp_path / "x.csv")

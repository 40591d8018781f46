"""Tables of texts: captions and file names, however careless the quotation marks and delimiters."""

from pathlib import Path

import pandas as pd
import pytest

from intrinsic_clip.data.formats.tables import read_table, require_columns
from intrinsic_clip.data.formats.text_lines import split_rows
from intrinsic_clip.errors import ConfigError


def written(lines: list[str], name: str = "captions.csv", encoding: str = "utf-8") -> Path:
    Path(name).write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return Path(name)


def captions(path: Path) -> list[str]:
    table = read_table(path)
    require_columns(path, table, "image", "caption")
    assert table["image"].tolist() == [f"{i}.png" for i in range(len(table))]
    return table["caption"].tolist()


def rows(*texts: str, heading: str = "image,caption") -> list[str]:
    return [heading, *(f"{i}.png,{text}" for i, text in enumerate(texts))]


KEPT = {
    "an open quotation mark": (
        rows("a", '"big one', "b", '"big two', "c"),
        ["a", '"big one', "b", '"big two', "c"],
    ),
    "an open one before a closed one": (rows('"big', "b", '"a, b"', "c"), ['"big', "b", "a, b", "c"]),
    "one that opens and one that closes": (rows('"big', "b", 'small"', "c"), ['"big', "b", 'small"', "c"]),
    "an open one to the end": (rows("a", '"big', "b"), ["a", '"big', "b"]),
    "a quoted word": (rows('"big" dog', "b"), ['"big" dog', "b"]),
    "inches": (rows('a 10" plate', "b"), ['a 10" plate', "b"]),
    "quotes within quotes": (rows('"he said ""no"", twice"', "b"), ['he said "no", twice', "b"]),
    "a quoted comma": (rows('"a, b"', "c"), ["a, b", "c"]),
    "a text over two lines": (rows('"a\nb, c"', "d"), ["a\nb, c", "d"]),
    "a quoted empty text": (rows('""', "b"), ["", "b"]),
    "a comma at the end": ([line + "," for line in rows("a", "b")], ["a", "b"]),
    "commas at the end of rows": (
        [line + "," * (i > 0) for i, line in enumerate(rows("a", "b"))],
        ["a", "b"],
    ),
    "a comma at the end of the heading": (rows("a", "b", heading="image,caption,"), ["a", "b"]),
    "blank lines": (["image,caption", "", "0.png,a", "", "1.png,b", "", ""], ["a", "b"]),
    "semicolons": (["image;caption", "0.png;a, b", "1.png;c"], ["a, b", "c"]),
    "tabs": (["image\tcaption", "0.png\ta, b", "1.png\tc; d"], ["a, b", "c; d"]),
    "spaces in the heading": (rows("a", "b", heading="image, caption"), ["a", "b"]),
    "a repeated heading": ([*rows("a", "b"), "image,caption", "2.png,c"], ["a", "b", "c"]),
    "NA and null": (rows("NA", "null"), ["NA", "null"]),
}


@pytest.mark.parametrize("way", KEPT)
def test_every_row_is_kept(way: str) -> None:
    lines, expected = KEPT[way]
    assert captions(written(lines)) == expected


def test_what_was_decided_is_printed(capsys) -> None:
    captions(written(rows("a", '"big', "b", '"small', "c")))
    captions(written(["image;caption", "0.png;café"], encoding="latin-1"))
    assert capsys.readouterr().err.splitlines() == [
        "captions.csv: line 3 (and 1 more) holds a quotation mark that encloses nothing and is read as written",
        "captions.csv: the file is not UTF-8 and is read as Western European (Latin-1)",
        "captions.csv: the fields are separated by semicolons",
    ]
    captions(written(rows("a", "b")))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(encoding: str) -> None:
    lines = rows("ein Bär", "café")
    if encoding == "utf-16-le":  # without a byte order mark it is no text that can be recognised
        with pytest.raises(ConfigError, match="NUL bytes"):
            captions(written(lines, encoding=encoding))
    else:
        assert captions(written(lines, encoding=encoding)) == ["ein Bär", "café"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            rows("a", "b, red"),
            "captions.csv: line 3 has 3 fields where the header has 2; a text with a delimiter",
        ),
        (rows(*["a, red"] * 9), "captions.csv: line 2 has 3 fields where the header has 2"),
        (rows("a", heading="image,caption,label"), "line 2 has 2 fields where the header has 3"),
        (["0.png,a", "1.png,b"], "has no column 'image'; its columns are 0.png, a; the first line must name"),
        (["image,image,caption", "0.png,1.png,a"], "has 2 columns 'image'; must have one"),
        (["image,text", "0.png,a"], "has no column 'caption'; its columns are image, text"),
    ],
)
def test_refused_in_one_line(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        captions(written(lines))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_gives_the_same_texts() -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"image": [7.0, None, 9.0], "caption": ["a", None, "c"]}).to_parquet("x.parquet")
    table = read_table(Path("x.parquet"))
    assert table.to_numpy().tolist() == [["7", "a"], ["", ""], ["9", "c"]]
    pd.DataFrame({"image": ["a"], "caption": [["one", "two"]]}).to_parquet("x.parquet")
    with pytest.raises(ConfigError, match="column 'caption' holds lists where texts are wanted"):
        require_columns(Path("x.parquet"), read_table(Path("x.parquet")), "image", "caption")


def test_rows_know_their_lines() -> None:
    split = list(split_rows(['a,"b', 'c",d', "", 'e,"f', "g,h"], ","))
    assert [(row.line, row.fields, row.literal) for row in split] == [
        (1, ["a", "b\nc", "d"], False),
        (4, ["e", '"f'], True),
        (5, ["g", "h"], False),
    ]


def test_many_open_quotation_marks_take_no_time() -> None:
    lines = [f'{i}.png,"a {i}' for i in range(20_000)]
    assert sum(row.literal for row in split_rows(lines, ",")) == 20_000


def test_a_tsv_is_split_at_tabs() -> None:
    lines = ["image\tcaption", *(f"{i}.png\ta, b, c" for i in range(3)), "3.png\td"]
    assert captions(written(lines, "captions.tsv")) == ["a, b, c"] * 3 + ["d"]
    with pytest.raises(ConfigError, match="line 3 has 1 field where the header has 2"):
        read_table(written([*lines[:2], "1.png,b", *lines[3:]], "captions.tsv"))


def test_the_line_that_tells_excel_the_delimiter_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    path = written(["sep=;", "image;caption", "0.png;a cat, red", "1.png;a dog"])
    assert captions(path) == ["a cat, red", "a dog"]
    assert "the line 'sep=;' is left out" in "".join(capsys.readouterr())

"""Read text tables of numbers into columns: by pandas where the lines are regular, line by line where they are not."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intrinsic_clip.data.formats.text_dialect import Dialect, sniff
from intrinsic_clip.data.formats.text_lines import WHITESPACE, Row, TextFile, look_through, split_rows
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_LINES, SAMPLE_CHARACTERS = 400, 2**18
UNNAMED = ""  # heading of a column without one


def read_number_table(path: Path) -> tuple["pd.DataFrame", bool, list[str]]:
    """Return the columns of a text table, whether they have names, and notes on how it was read.

    Columns that are not all numbers are left as text; a heading that is empty stays so.

    Raises:
        ConfigError: it is no table, its lines differ in their number of fields, or it can be read in two ways.
        OSError: it cannot be read.
    """
    try:
        file = look_through(path)
        lines = file.read_lines(SAMPLE_LINES, SAMPLE_CHARACTERS)
        dialect = sniff(lines, "\t" if path.suffix.lower() == ".tsv" else ",")
        table, notes = _read(file, dialect)
    except ConfigError as error:
        if str(error).startswith("holds no rows"):
            raise
        raise ConfigError(f"not a table of comma-separated numbers ({error})") from error
    if not len(table):
        raise ConfigError("holds no rows")
    table.columns = dialect.header or range(table.shape[1])
    return table, dialect.header is not None, [*file.notes, *dialect.notes, *notes]


def _read(file: TextFile, dialect: Dialect) -> tuple["pd.DataFrame", list[str]]:
    """Read the body by pandas, or line by line if its number of rows or fields leaves doubts."""
    import pandas as pd

    try:
        table = _by_pandas(file.path, file.encoding, dialect, dialect.begin)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError):
        return _by_lines(file, dialect)
    blank = None if file.lines is None else file.lines - dialect.begin - len(table)
    if (
        blank is None
        or blank < 0
        or (blank and (file.quoted or dialect.width == 1))
        or not _regular(file, dialect, table)
    ):
        return _by_lines(file, dialect)
    return table.iloc[:, : dialect.width], [f"{blank:,} blank lines are skipped"] if blank else []


def _regular(file: TextFile, dialect: Dialect, table: "pd.DataFrame") -> bool:
    """Return whether every line has its fields: pandas fills up those that are too short, from the right."""
    if table.shape[1] != dialect.width + dialect.trailing:
        return False
    if dialect.trailing and not table.iloc[:, -1].isna().all():
        return False
    if dialect.header is not None and _repeats_heading(table, dialect.header):
        return False
    if not table.iloc[:, dialect.width - 1].isna().any():
        return True
    if file.quoted or dialect.delimiter == WHITESPACE:
        return False
    wanted = dialect.width - 1 + dialect.trailing
    with file.path.open(encoding=file.encoding) as lines:
        return all(
            line.count(dialect.delimiter) == wanted or not line.strip()
            for number, line in enumerate(lines)
            if number >= dialect.begin
        )


def _repeats_heading(table: "pd.DataFrame", header: Sequence[str]) -> bool:
    """Return whether a name of a column is found among its values, as in tables that were joined end to end."""
    texts = [p for p in range(len(header)) if table.iloc[:, p].dtype.kind not in "fiub" and header[p]]
    return bool(texts) and bool((table.iloc[:, texts[-1]] == header[texts[-1]]).any())


def _by_pandas(source: Path | io.StringIO, encoding: str, dialect: Dialect, skip: int) -> "pd.DataFrame":
    import pandas as pd

    whitespace = dialect.delimiter == WHITESPACE
    return pd.read_csv(
        source,
        sep=r"\s+" if whitespace else dialect.delimiter,
        decimal=dialect.decimal,
        header=None,
        skiprows=skip,
        encoding=encoding,
        low_memory=False,
        skipinitialspace=True,
        quoting=csv.QUOTE_NONE if whitespace else csv.QUOTE_MINIMAL,
    )


def _by_lines(file: TextFile, dialect: Dialect) -> tuple["pd.DataFrame", list[str]]:
    """Check each line's number of fields, and have pandas convert what is left."""
    lines = file.read_lines()
    blank = sum(not line.strip() for line in lines[dialect.begin :])
    blank -= next((n for n, line in enumerate(reversed(lines)) if line.strip()), 0)
    one_column = dialect.width == 1 and not dialect.trailing
    while lines and not lines[-1].strip():
        lines.pop()
    rows = list(
        split_rows(
            lines[dialect.begin :], dialect.delimiter, first=dialect.begin + 1, skip_blank=not one_column
        )
    )
    check_widths(rows, dialect.width, "the header" if dialect.header else f"line {dialect.begin + 1}")
    body = [row for row in rows if [value.strip() for value in row.fields] != dialect.header]
    if not body:
        start = next((line.strip()[:40] for line in lines if line.strip()), "")
        raise ConfigError(f"holds no rows below its header, which begins {start!r}")
    table = _by_pandas(io.StringIO(_rewritten(body, dialect.delimiter)), "utf-8", dialect, 0)
    notes = [f"{blank:,} blank lines are skipped"] if blank and not one_column else []
    if len(body) < len(rows):
        notes.append(f"{len(rows) - len(body):,} lines that repeat the header are skipped")
    literal = [row.line for row in rows if row.literal]
    if literal:
        notes.append(f"line {literal[0]} holds a quotation mark that is not closed, which is read as written")
    return table, notes


def _rewritten(rows: Sequence[Row], delimiter: str) -> str:
    """Return the rows as a table without any irregularity."""
    if delimiter == WHITESPACE:
        return "".join(delimiter.join(row.fields) + "\n" for row in rows)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(row.fields for row in rows)
    return text.getvalue()


def check_widths(rows: Sequence[Row], width: int, whose: str) -> None:
    """Check that each row has this number of fields, and drop a last one that is empty and too many.

    Raises:
        ConfigError: a row has more fields, or fewer; the message names its line.
    """
    for row in rows:
        if len(row.fields) == width + 1 and not row.fields[-1].strip():
            row.fields.pop()
        if len(row.fields) != width:
            count = len(row.fields)
            raise ConfigError(
                f"line {row.line} has {count} field{'s' * (count != 1)} where {whose} has {width}"
            )

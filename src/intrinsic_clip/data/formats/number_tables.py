"""Read text tables of numbers into columns: by pandas where the lines are regular, line by line where they are not."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.data.formats.column_roles import Columns
from intrinsic_clip.data.formats.text_dialect import Dialect, sniff
from intrinsic_clip.data.formats.text_lines import WHITESPACE, Row, TextFile, look_through, split_rows
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_LINES, SAMPLE_CHARACTERS = 400, 2**18
READ = 2**20  # numbers that are converted at a time
MIXED = "a column holds numbers in some rows and other things in others"
UNNAMED = ""  # heading of a column without one


def read_number_table(path: Path) -> tuple["pd.DataFrame", bool, list[str]]:
    """Return the columns of a text table, whether they have names, and notes on how it was read.

    Columns that are not all numbers are left as text; a heading that is empty stays so.

    Raises:
        ConfigError: it is no table, its lines differ in their number of fields, or it can be read in two ways.
        OSError: it cannot be read.
    """
    try:
        file, dialect = recognised(path)
        table, notes = _read(file, dialect)
    except ConfigError as error:
        if str(error).startswith("holds no rows"):
            raise
        mark = "tab" if path.suffix.lower() == ".tsv" else "comma"
        raise ConfigError(f"not a table of {mark}-separated numbers ({error})") from error
    if not len(table):
        raise ConfigError("holds no rows")
    table.columns = dialect.header or range(table.shape[1])
    return table, dialect.header is not None, [*file.notes, *dialect.notes, *notes]


def recognised(path: Path) -> tuple[TextFile, Dialect]:
    """Return a text table of numbers, looked through once, and how it is written.

    Raises:
        ConfigError: it is no table, or can be read in two ways.
        OSError: it cannot be read.
    """
    file = look_through(path)
    lines = file.read_lines(SAMPLE_LINES, SAMPLE_CHARACTERS)
    return file, sniff(lines, "\t" if path.suffix.lower() == ".tsv" else ",")


def read_chunks(file: TextFile, dialect: Dialect, rows: int, **options: Any) -> Iterator["pd.DataFrame"]:
    """Yield the body of a table so many rows at a time, with the types that each of these parts shows.

    Args:
        file, dialect: of it.
        rows: of a part.
        options: of `pandas.read_csv`.

    Raises:
        Irregular: a line has too many fields, or a quotation mark is not closed.
    """
    import pandas as pd

    try:
        with _by_pandas(file.path, file.encoding, dialect, dialect.begin, chunksize=rows, **options) as parts:
            yield from parts
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise Irregular("some lines are irregular") from error


class Irregular(Exception):
    """Lines of a table leave doubts, which reading it line by line settles; the message says which."""


def read_columns(
    file: TextFile, dialect: Dialect, places: Sequence[int], as_texts: bool = False
) -> list["pd.Series"]:
    """Return some columns of a table, of which no more than a part is held where its lines are regular.

    Args:
        file, dialect: of it.
        places: of the columns.
        as_texts: leave their values as they are written, such as `007` and `NA`.

    Raises:
        ConfigError: it is no table, or its lines differ in their number of fields.
    """
    options = {"dtype": dict.fromkeys(places, str), "keep_default_na": False} if as_texts else {}
    try:
        return _columns_in_parts(file, dialect, places, options)
    except Irregular:
        table, _ = _read(file, dialect, **options)
        return [table.iloc[:, place] for place in places]


def _columns_in_parts(
    file: TextFile, dialect: Dialect, places: Sequence[int], options: dict[str, Any]
) -> list["pd.Series"]:
    held: list[list[pd.Series]] = [[] for _ in places]
    rows, ends_missing = 0, False
    columns: list[pd.Series] = []
    for part in read_chunks(file, dialect, part_of(dialect), **options):
        require_width(part, dialect)
        columns = [part.iloc[:, place] for place in range(dialect.width)]
        if dialect.header is not None and _repeats_heading(columns, dialect.header):
            raise Irregular("the heading is repeated")
        for parts, place in zip(held, places, strict=True):
            parts.append(columns[place].copy())
        rows += len(part)
        ends_missing = ends_missing or bool(columns[-1].isna().any())
    if not rows:
        raise Irregular("it holds no rows")
    checked(file, dialect, rows, columns, ends_missing)
    return [joined(parts) for parts in held]


def part_of(dialect: Dialect) -> int:
    """Return the number of rows that are converted at a time."""
    return max(1, READ // dialect.width)


def joined(parts: Sequence["pd.Series"]) -> "pd.Series":
    """Return the parts of a column as one.

    Raises:
        Irregular: some hold numbers and others something else, so that what was written is not known any more.
    """
    import pandas as pd

    kinds = {
        "number" if part.dtype.kind in "fiu" else part.dtype.kind for part in parts if part.notna().any()
    }
    if len(kinds) > 1:
        raise Irregular(MIXED)
    return pd.concat(parts, ignore_index=True)


def _read(file: TextFile, dialect: Dialect, **options: Any) -> tuple["pd.DataFrame", list[str]]:
    """Read the body by pandas, or line by line if its number of rows or fields leaves doubts."""
    import pandas as pd

    try:
        table = _by_pandas(file.path, file.encoding, dialect, dialect.begin, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError):
        return _by_lines(file, dialect, **options)
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    try:
        require_width(table, dialect)
        notes = checked(file, dialect, len(table), columns, bool(columns[dialect.width - 1].isna().any()))
    except Irregular:
        return _by_lines(file, dialect, **options)
    return table.iloc[:, : dialect.width], notes


def require_width(part: "pd.DataFrame", dialect: Dialect) -> None:
    """Raise Irregular unless rows have as many fields as the first ones."""
    too_many = dialect.trailing and not part.iloc[:, -1].isna().all()
    if too_many or part.shape[1] != dialect.width + dialect.trailing:
        raise Irregular("lines differ in their number of fields")


def checked(file: TextFile, dialect: Dialect, rows: int, columns: Columns, ends_missing: bool) -> list[str]:
    """Return notes on the lines of a table that pandas has read.

    Args:
        file, dialect: of it.
        rows: that pandas found.
        columns: of the table.
        ends_missing: a row lacks a value in the last column: pandas fills up lines that are too short, from the right.

    Raises:
        Irregular: the number of rows or of fields leaves doubts, or the heading is repeated.
    """
    blank = -1 if file.lines is None else file.lines - dialect.begin - rows
    if blank < 0 or (blank and (file.quoted or dialect.width == 1)):
        raise Irregular("there are fewer rows than lines")
    if dialect.header is not None and _repeats_heading(columns, dialect.header):
        raise Irregular("the heading is repeated")
    if ends_missing and not _every_field(file, dialect):
        raise Irregular("lines may lack fields at their end")
    return [f"{blank:,} blank lines are skipped"] if blank else []


def _every_field(file: TextFile, dialect: Dialect) -> bool:
    """Return whether every line surely has its fields."""
    if file.quoted or dialect.delimiter == WHITESPACE:
        return False
    wanted = dialect.width - 1 + dialect.trailing
    with file.path.open(encoding=file.encoding) as lines:
        return all(
            line.count(dialect.delimiter) == wanted or not line.strip()
            for number, line in enumerate(lines)
            if number >= dialect.begin
        )


def _repeats_heading(columns: Columns, header: Sequence[str]) -> bool:
    """Return whether a name of a column is found among its values, as in tables that were joined end to end."""
    texts = [p for p in range(len(header)) if columns[p].dtype.kind not in "fiub" and header[p]]
    return bool(texts) and bool((columns[texts[-1]] == header[texts[-1]]).any())


def _by_pandas(source: Path | io.StringIO, encoding: str, dialect: Dialect, skip: int, **options: Any) -> Any:
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
        **options,
    )


def _by_lines(file: TextFile, dialect: Dialect, **options: Any) -> tuple["pd.DataFrame", list[str]]:
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
    table = _by_pandas(io.StringIO(_rewritten(body, dialect.delimiter)), "utf-8", dialect, 0, **options)
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

"""Read text tables of texts into columns: captions, file names, classes."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intrinsic_clip.data.formats.number_tables import check_widths
from intrinsic_clip.data.formats.text_dialect import DELIMITERS, NAMES, WHITESPACE
from intrinsic_clip.data.formats.text_lines import Row, look_through, split_rows
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 1000  # lines that the delimiter is judged by


def read_text_table(
    path: Path,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    quotes: bool = True,
    fill_short: bool = False,
) -> tuple["pd.DataFrame", list[str]]:
    """Return the columns of a text table, all text, and notes on how it was read.

    Args:
        path: the file.
        delimiter: the character between fields; None: the one that splits the lines into as many fields as the first.
        names: of the columns, if the first line does not name them.
        quotes: whether quotation marks enclose fields.
        fill_short: take fields that a line lacks at its end as empty.

    Raises:
        ConfigError: it is no text, or its lines differ in their number of fields; the message names a line.
        OSError: it cannot be read.
    """
    import pandas as pd

    rows, notes = read_rows(path, delimiter, quotes)
    header = [value.strip() for value in rows[0].fields] if names is None else list(names)
    body = rows[1:] if names is None else rows
    if names is None and not header[-1] and all(len(row.fields) < len(header) for row in body):
        header = header[:-1]  # a delimiter too many at the end of the heading
    if fill_short:
        for row in body:
            row.fields.extend([""] * (len(header) - len(row.fields)))
    try:
        check_widths(body, len(header), "the header" if names is None else "each line")
    except ConfigError as error:
        hint = "; a text with a delimiter in it must stand in quotation marks" if quotes else ""
        raise ConfigError(f"{error}{hint}") from error
    repeated = 0
    if names is None:
        repeated = sum(row.fields == rows[0].fields for row in body)
        body = [row for row in body if row.fields != rows[0].fields]
    if repeated:
        notes.append(f"{repeated:,} lines that repeat the header are skipped")
    table = pd.DataFrame([row.fields for row in body], columns=range(len(header)), dtype=object)
    table.columns = pd.Index(header)
    return table, notes


def read_rows(
    path: Path, delimiter: str | None = None, quotes: bool = True, skip_blank: bool = True
) -> tuple[list[Row], list[str]]:
    """Return the rows of a text table, the first line included, and notes.

    Raises:
        ConfigError: it is no text, or empty.
        OSError: it cannot be read.
    """
    file = look_through(path)
    lines = file.read_lines()
    while not lines[-1].strip():
        lines.pop()
    notes = list(file.notes)
    first = 1
    if delimiter is None and re.fullmatch(r"sep=\S", lines[0].strip(), re.IGNORECASE):
        notes.append(f"the line {lines[0].strip()!r} is left out")
        lines, first = lines[1:], 2
    if delimiter is None:
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        tabbed = usual == "\t" and "\t" in lines[0]
        delimiter = usual if tabbed else text_delimiter(lines[:SAMPLE], usual)
        if delimiter != usual:
            notes.append(f"the fields are separated by {NAMES[delimiter]}")
    rows = list(split_rows(lines, delimiter, quotes, first, skip_blank))
    literal = [row.line for row in rows if row.literal]
    if literal:
        more = f" (and {len(literal) - 1:,} more)" if len(literal) > 1 else ""
        notes.append(
            f"line {literal[0]:,}{more} holds a quotation mark that encloses nothing and is read as written"
        )
    return rows, notes


def text_delimiter(lines: Sequence[str], usual: str) -> str:
    """Return the delimiter that splits most lines into as many fields as the first; the usual one if none does."""
    best, score = usual, (-1.0, False)
    for delimiter in DELIMITERS:
        if delimiter == WHITESPACE:
            continue
        rows = list(split_rows(lines, delimiter))
        width = len(rows[0].fields) if rows else 1
        if width < 2:
            continue
        widths = Counter(len(row.fields) - (not row.fields[-1].strip()) for row in rows[1:])
        agreeing = widths[width] + widths[width - 1]
        this = (agreeing / max(1, len(rows) - 1), delimiter == usual)
        if this > score:
            best, score = delimiter, this
    return best

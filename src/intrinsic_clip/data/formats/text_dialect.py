"""Decide from the beginning of a text table of numbers how it is written: delimiter, decimal sign, heading."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from intrinsic_clip.data.formats.text_lines import WHITESPACE, Row, split_rows
from intrinsic_clip.errors import ConfigError

DELIMITERS = (",", ";", "\t", "|", WHITESPACE)
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", WHITESPACE: "spaces"}
# pandas' own: texts that stand for a missing value
MISSING = {
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
}
MISSING |= {"None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
INFINITE = {sign + word for sign in ("", "+", "-") for word in ("inf", "infinity")}
POINT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
COMMA = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?")
WHOLE = re.compile(r"[-+]?\d+")
GROUPED = re.compile(  # 1,234,567 or 1.234,5 or 1 234.5: groups of thousands
    r"[-+]?[1-9]\d{0,2}(?:([,.' \u00a0\u202f])\d{3}(?:\1\d{3})+(?:[.,]\d+)?"
    r"|,\d{3}\.\d+|\.\d{3},\d+|[' \u00a0\u202f]\d{3}(?:[.,]\d+)?)"
)
THREE_DIGITS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
BOOLEANS = {"true", "false"}


@dataclass(frozen=True)
class Dialect:
    """Dialect of a text table of numbers.

    Attributes:
        delimiter: the character between fields; a space stands for any run of spaces and tabs.
        decimal: a point or a comma.
        begin: number of lines before the first row of the body.
        header: names of the columns, as many as the body has; None: the table has no heading.
        width: number of fields of a row.
        trailing: every row ends with a delimiter too many.
        notes: choices made, a sentence each.
    """

    delimiter: str
    decimal: str
    begin: int
    header: list[str] | None
    width: int
    trailing: bool = False
    notes: list[str] = field(default_factory=list)


def sniff(lines: Sequence[str], quiet_delimiter: str = ",") -> Dialect:
    """Return how a table is written, judged by its first lines.

    Args:
        lines: without their ends.
        quiet_delimiter: the delimiter that goes without saying.

    Raises:
        ConfigError: it can be read in two ways, or its lines differ in their number of fields.
    """
    start, notes = _preamble(lines)
    delimiter = _delimiter(lines[start:])
    if quiet_delimiter == "\t":
        delimiter = _tab_or(delimiter, lines[start:])
    rows = _sample(lines, start, delimiter)
    if not rows:
        raise ConfigError("holds no rows")
    if len(rows) > 2 and _sizes_first(rows):
        rows = rows[1:]
        notes.append("the first line, number of rows and dimensions, is left out")
    if not all(map(is_number, rows[0].fields)):  # a heading may be repeated
        rows = [rows[0], *(row for row in rows[1:] if row.fields != rows[0].fields)]
    decimal = _decimal(rows, delimiter)
    headed = is_header(rows, decimal)
    if headed:
        notes.append("the first line is read as a header")
    if delimiter != quiet_delimiter and len(rows[0].fields) > 1:
        notes.append(f"the fields are separated by {NAMES[delimiter]}")
    if decimal == ",":
        notes.append("decimal commas are read")
    header, width, trailing = _widths(rows, headed)
    body = rows[1] if headed and len(rows) > 1 else rows[0]
    begin = body.line - 1 if not headed or len(rows) > 1 else rows[0].line
    return Dialect(delimiter, decimal, begin, header, width, trailing, notes)


def _preamble(lines: Sequence[str]) -> tuple[int, list[str]]:
    """Return the number of lines before the table: blank ones, comments, and `sep=;`, which Excel reads."""
    start, comments, notes = 0, 0, []
    for line in lines:
        text = line.strip()
        if re.fullmatch(r"sep=.?", text, re.IGNORECASE):
            notes.append(f"the line {text!r} is left out")
        elif text.startswith(("#", "%")):
            comments += 1
        elif text:
            break
        start += 1
    if comments:
        notes.append(f"{comments} comment line{'s' * (comments > 1)} at the beginning left out")
    return start, notes


def _sample(lines: Sequence[str], start: int, delimiter: str) -> list[Row]:
    rows = list(split_rows(lines[start:], delimiter, first=start + 1))
    return rows[:-1] if len(rows) > 2 and rows[-1].literal else rows  # the sample may end within a field


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that splits most lines into equally many fields, most of them numbers."""
    best, score = ",", (-1.0, 0)
    for delimiter in DELIMITERS:
        rows = _sample(lines, 0, delimiter)
        widths = Counter(len(row.fields) for row in rows[1:] or rows)
        if not widths or max(widths) == 1:
            continue
        width, count = widths.most_common(1)[0]
        fields = [value for row in rows[1:] or rows if len(row.fields) == width for value in row.fields]
        numbers = sum(map(_looks_numeric, fields)) / len(fields)
        listed = delimiter == WHITESPACE and any("[" in value or "]" in value for value in fields)
        if delimiter == WHITESPACE and (numbers < 0.5 or listed):
            continue  # words of a text, or the numbers of lists
        headings = 0 <= width - len(rows[0].fields) <= 1  # R's heading, or a delimiter too many in the body
        this = (count / sum(widths.values()) * (numbers or 0.01) * (1 if headings else 0.5), width)
        if this > score:
            best, score = delimiter, this
    return best


def _tab_or(other: str, lines: Sequence[str]) -> str:
    """Return the delimiter of a .tsv: a tab, or another one where tabs do not split the lines and that one does.

    Raises:
        ConfigError: neither does.
    """
    unended = [line.rstrip("\t") for line in lines]  # some lines may end with a tab too many
    if other == "\t" or _splits_evenly(lines, "\t") or _splits_evenly(unended, "\t"):
        return "\t"
    tabbed = sum("\t" in line for line in lines)
    if _splits_evenly(lines, other) or not any(other in line for line in lines):
        return other
    if 2 * tabbed > len(lines):
        return "\t"  # the line that is out of order will be named
    raise ConfigError(
        "neither tabs, which a .tsv has between its fields, nor anything else splits its lines evenly"
    )


def _splits_evenly(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether all rows have equally many fields, several; a heading may lack one, as that of R does."""
    rows = _sample(lines, 0, delimiter)
    widths = {len(row.fields) for row in rows[1:] or rows}
    width = max(widths, default=1)
    return len(widths) == 1 and width > 1 and 0 <= width - len(rows[0].fields) <= 1


def _looks_numeric(value: str) -> bool:
    return is_number(value, ".") or is_number(value, ",") or GROUPED.fullmatch(value.strip()) is not None


def is_number(value: str, decimal: str = ".") -> bool:
    """Return whether a field is a number, or stands for a missing or infinite one."""
    text = value.strip()
    pattern = COMMA if decimal == "," else POINT
    return pattern.fullmatch(text) is not None or text in MISSING or text.lower() in INFINITE


def _sizes_first(rows: Sequence[Row]) -> bool:
    """Return whether the first line is that of a word2vec file: the number of rows and of dimensions."""
    first, second = rows[0].fields, rows[1].fields
    return (
        len(first) == 2
        and all(WHOLE.fullmatch(value.strip()) for value in first)
        and len(second) > 3
        and int(first[1]) in (len(second), len(second) - 1)
    )


def _decimal(rows: Sequence[Row], delimiter: str) -> str:
    """Return the decimal sign of the fields.

    Raises:
        ConfigError: there are both, or what may be groups of thousands.
    """
    values = [(row.line, value.strip()) for row in rows for value in row.fields]
    grouped = next(((line, v) for line, v in values if GROUPED.fullmatch(v)), None)
    if grouped and sum(_looks_numeric(value) for _, value in values) * 2 > len(values):
        raise ConfigError(f"line {grouped[0]}: {grouped[1]!r} groups thousands; write plain numbers: 1234.5")
    with_comma = [value for _, value in values if "," in value and COMMA.fullmatch(value)]
    with_point = [value for _, value in values if "." in value and POINT.fullmatch(value)]
    if with_comma and with_point:
        raise ConfigError(
            f"holds {with_comma[0]!r} and {with_point[0]!r}; write all decimals with a point, no thousands"
        )
    if with_comma and all(THREE_DIGITS.fullmatch(value) for value in with_comma):
        raise ConfigError(f"{with_comma[0]!r} may be thousands or decimals; write decimals with a point")
    if delimiter == "," and not with_comma and not with_point:
        _refuse_split_decimals(rows)
    return "," if with_comma else "."


def _refuse_split_decimals(rows: Sequence[Row]) -> None:
    """Refuse a table of decimal commas between commas: every second field is what follows a decimal comma."""
    body = [row.fields for row in rows[1:] if len(row.fields) % 2 == 0]
    whole, digits = ([value for fields in body for value in fields[side::2]] for side in (0, 1))
    split = (
        len(body) > 1
        and all(WHOLE.fullmatch(value) for value in whole)
        and all(value.isdigit() for value in digits)
        and any(value == "-0" for value in whole)
        and any(len(value) > 1 and value.startswith("0") for value in digits)
    )
    if split:
        raise ConfigError("holds decimal commas between commas; write decimals with a point")


def is_header(rows: Sequence[Row], decimal: str) -> bool:
    """Return whether the first row names columns, judged by the rows below it."""
    first = [value.strip() for value in rows[0].fields]
    body = [[value.strip() for value in row.fields] for row in rows[1:] if len(row.fields) >= len(first)]
    shift = (
        1 if body and len(body[0]) == len(first) + 1 and body[0][-1] else 0
    )  # R's heading lacks the row names
    names = first[1:] if first[0] == "" else first
    offset = shift + len(first) - len(names)
    below = [row[offset : offset + len(names)] for row in body]
    if not names:
        return False
    if not all(is_number(name, decimal) for name in first):
        return _has_text_heading(first, [row[shift:] for row in body], decimal)
    return _counts_columns(names, below)


def _has_text_heading(first: Sequence[str], body: Sequence[Sequence[str]], decimal: str) -> bool:
    """Return whether a first row with text in it is a heading, rather than a row with a name or class in it."""
    if not body:
        return True
    texts = [place for place, value in enumerate(first) if not is_number(value, decimal)]
    columns = {place: [row[place] for row in body if place < len(row)] for place in range(len(first))}
    numeric = {p for p, values in columns.items() if all(is_number(value, decimal) for value in values)}
    if any(place in numeric for place in texts):
        return True
    if all(value.lower() in BOOLEANS for place in texts for value in (first[place], *columns[place])):
        return False
    others = [place for place in numeric if first[place] and place not in texts]
    if others and not _counts_columns([first[p] for p in others], [[row[p] for p in others] for row in body]):
        return False  # numbers over numbers, text over text: a row like the others
    return not any(first[place] in columns[place] for place in texts)


def _counts_columns(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether a row of numbers is a heading: 0, 1, 2, …, the numbers of chosen columns, or wavelengths."""
    numbers = _whole_numbers(names)
    if numbers is None:
        return _names_repeated(names) or _rises_alone(names, body)
    if len(set(numbers)) < len(numbers):
        return False
    if body and not any(WHOLE.fullmatch(value) for row in body for value in row):
        return any(value not in MISSING for row in body for value in row)
    consecutive = all(b - a == 1 for a, b in pairwise(numbers))
    if len(numbers) < 2 or not consecutive or (numbers[0] != 0 and len(numbers) < 3):
        return False
    return not any(_consecutive(row) for row in body)


def _names_repeated(names: Sequence[str]) -> bool:
    """Return whether names are one name as pandas tells repetitions of it apart: 0, 0.1, 0.2, …, 0.10, …."""
    return len(names) > 11 and all(name == f"{names[0]}.{n}" for n, name in enumerate(names[1:], 1))


def _rises_alone(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether numbers rise or fall all along the first row, as wavelengths and times do, and along no other."""
    if len(names) < 8 or len(body) < 3:  # of 8 numbers that chance orders one in 20,000 rows rises or falls
        return False
    return _is_monotonic(names) and not any(map(_is_monotonic, body))


def _is_monotonic(values: Sequence[str]) -> bool:
    if not all(POINT.fullmatch(value) or COMMA.fullmatch(value) for value in values):
        return False
    numbers = [float(value.replace(",", ".")) for value in values]
    return all(a < b for a, b in pairwise(numbers)) or all(a > b for a, b in pairwise(numbers))


def _whole_numbers(values: Sequence[str]) -> list[int] | None:
    texts = [value.removesuffix(".0") for value in values]
    return [int(text) for text in texts] if all(text.isdecimal() for text in texts) else None


def _consecutive(values: Sequence[str]) -> bool:
    numbers = _whole_numbers(values)
    return numbers is not None and all(b - a == 1 for a, b in pairwise(numbers))


def _widths(rows: Sequence[Row], headed: bool) -> tuple[list[str] | None, int, bool]:
    """Return the names of the columns, the number of fields, and whether each row ends with a delimiter too many."""
    body = rows[1:] if headed else rows
    names = [value.strip() for value in rows[0].fields] if headed else None
    if not body:
        return names, len(rows[0].fields), False
    width = Counter(len(row.fields) for row in body).most_common(1)[0][0]
    if headed and _is_second_heading(body):
        raise ConfigError(f"line {body[0].line} looks like a second heading; there must be one")
    ends_empty = all(not row.fields[-1].strip() for row in body if len(row.fields) == width)
    trailing = ends_empty and width > 1 and len(body) > 1
    if names is None:
        return None, width - trailing, trailing
    if width == len(names) + 1:
        if ends_empty:
            return names, len(names), True
        if _is_row_name([row.fields[0] for row in body]):
            return ["", *names], width, False
    if width != len(names):
        raise ConfigError(f"line {body[0].line} has {width} fields where the header has {len(names)}")
    trailing = ends_empty and width > 1 and not names[-1]
    return names[: width - trailing], width - trailing, trailing


def _is_second_heading(body: Sequence[Row]) -> bool:
    """Return whether whole numbers, each once, stand over rows without any, as in pandas' headings of two levels."""
    fields = [[value.strip() for value in row.fields] for row in body]
    names = [value for value in fields[0] if value]
    below = [row[-len(names) :] for row in fields[1:] if len(row) >= len(names) > 1]
    return len(below) > 1 and _whole_numbers(names) is not None and _counts_columns(names, below)


def _is_row_name(values: Sequence[str]) -> bool:
    """Return whether the first fields can be the row names that R writes without a heading: each of them once."""
    stripped = [value.strip() for value in values]
    plain = all(value.isdecimal() or not is_number(value) for value in stripped)
    return plain and len(set(stripped)) == len(stripped)

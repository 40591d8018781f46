"""Read the lines of a text table, whatever its encoding, and split them into fields, however careless its quotes."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from intrinsic_clip.errors import ConfigError

CHUNK = 2**22
LONGEST_LINE = 2**26  # characters; a file without line ends is no table
LONGEST_FIELD = 1000  # lines that one quoted field may run over
BYTE_ORDER_MARKS = {  # in this order: the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WHITESPACE = " "  # as a delimiter: any run of spaces and tabs


@dataclass(frozen=True)
class TextFile:
    """A text file that has been looked through once.

    Attributes:
        path: the file.
        encoding: Python's name of its encoding.
        lines: number of lines, without blank ones at the end; None: unknown, for want of a cheap way to count them.
        quoted: whether it holds a quotation mark.
        notes: choices made, a sentence each.
    """

    path: Path
    encoding: str
    lines: int | None
    quoted: bool
    notes: list[str] = field(default_factory=list)

    def read_lines(self, count: int | None = None, characters: int | None = None) -> list[str]:
        """Return the lines without their ends: all, or the first until there are enough lines or characters."""
        lines: list[str] = []
        size = 0
        with self.path.open(encoding=self.encoding) as file:
            while line := file.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise ConfigError(f"line {len(lines) + 1:,} is longer than {LONGEST_LINE:,} characters")
                lines.append(line.removesuffix("\n"))
                size += len(line)
                if (count is not None and len(lines) >= count) or (
                    characters is not None and size >= characters and len(lines) >= 5
                ):
                    break
        return lines


def look_through(path: Path) -> TextFile:
    """Find the encoding of a text file and count its lines in one pass over its bytes.

    Raises:
        ConfigError: it is empty, or no text.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise ConfigError("it is empty")
    mark = next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), None)
    encoding = BYTE_ORDER_MARKS[mark] if mark else "utf-8"
    if encoding.startswith(("utf-16", "utf-32")):
        try:
            quoted = '"' in path.read_text(encoding=encoding)
        except UnicodeError as error:
            raise ConfigError(f"it begins as {encoding} and does not go on so ({error})") from error
        return TextFile(path, encoding, None, quoted, [f"the file is read as {encoding.upper()}"])
    return _look_through_bytes(path, encoding)


def _look_through_bytes(path: Path, encoding: str) -> TextFile:
    decoder = codecs.getincrementaldecoder("utf-8")()
    ends, quoted, utf8, last = 0, False, True, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if b"\0" in chunk:
                raise ConfigError("it holds NUL bytes, so it is no text")
            returns = chunk.count(b"\r")
            ends += chunk.count(b"\n") + returns - (chunk.count(b"\r\n") if returns else 0)
            ends -= last.endswith(b"\r") and chunk.startswith(b"\n")
            quoted = quoted or b'"' in chunk
            utf8 = utf8 and _goes_on(decoder, chunk)
            last = chunk if len(chunk) == CHUNK else (last + chunk)[-CHUNK:]
    utf8 = utf8 and _goes_on(decoder, b"", final=True)
    if not last.strip():
        raise ConfigError("it is empty")
    tail = last[len(last.rstrip()) :].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = ends - tail.count(b"\n") + 1
    if utf8:
        return TextFile(path, encoding, lines, quoted)
    return TextFile(
        path, "latin-1", lines, quoted, ["the file is not UTF-8 and is read as Western European (Latin-1)"]
    )


def _goes_on(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    if chunk.isascii() and not decoder.getstate()[0] and not final:
        return True
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Row:
    """The fields of a row, the number of its first line, and whether a quotation mark had to be read as written."""

    fields: list[str]
    line: int
    literal: bool = False


def split_rows(
    lines: Sequence[str], delimiter: str, quotes: bool = True, first: int = 1, skip_blank: bool = True
) -> Iterator[Row]:
    """Split lines into rows of fields.

    A field in quotation marks may hold delimiters, line ends and, doubled, quotation marks. A mark that opens a field
    and does not close it before a delimiter or line end is text: it swallows nothing.

    Args:
        lines: without their ends.
        delimiter: one character; a space stands for any run of spaces and tabs, and quotation marks are text then.
        quotes: whether quotation marks enclose fields at all.
        first: number of the first of these lines.
        skip_blank: leave out lines without content.
    """
    place, width = 0, None
    while place < len(lines):
        line, number, last = lines[place], first + place, place
        row: Row | None = None
        if line.strip():
            row = Row(line.split() if delimiter == WHITESPACE else line.split(delimiter), number)
            if quotes and delimiter != WHITESPACE and '"' in line:
                row, last = _split_quoted(lines, place, delimiter, width, number)
        elif not skip_blank:
            row = Row([""], number)
        if row is not None:
            width = width or len(row.fields)
            yield row
        place = last + 1


def _split_quoted(
    lines: Sequence[str], place: int, delimiter: str, width: int | None, number: int
) -> tuple[Row, int]:
    """Split the row that begins at a place, and return it with the place of its last line."""
    fields, unclosed = _scan(lines[place], delimiter)
    if unclosed is None:
        return Row(fields, number), place
    text = lines[place]
    for last in range(place + 1, min(place + LONGEST_FIELD, len(lines))):
        text += "\n" + lines[last]
        if '"' not in lines[last]:
            continue
        joined, still = _scan(text, delimiter)
        if still is None:
            if _swallows(lines[place : last + 1], delimiter, width):
                break
            return Row(joined, number), last
        if still == unclosed and '"' in lines[last].replace('""', ""):
            break  # something follows the closing mark, so it closes nothing
        unclosed = still
    return Row(fields, number, literal=True), place


def _scan(text: str, delimiter: str) -> tuple[list[str], int | None]:
    """Split a row; return its fields and the place of the first that opens a quotation mark and does not close it."""
    quoted, plain = _patterns(delimiter)
    fields: list[str] = []
    unclosed, position = None, 0
    while True:
        match = quoted.match(text, position)
        if match is not None:
            fields.append(match[1].replace('""', '"'))
        else:
            match = plain.match(text, position)
            assert match is not None  # it matches the empty text
            if unclosed is None and match[0].lstrip(" ").startswith('"'):
                unclosed = len(fields)
            fields.append(match[0])
        if match.end() >= len(text):
            return fields, unclosed
        position = match.end() + 1


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what matches a field in quotation marks, and any field."""
    mark = re.escape(delimiter)
    return re.compile(rf' *"((?:[^"]|"")*+)" *(?={mark}|\Z)'), re.compile(rf"[^{mark}]*")


def _swallows(lines: Sequence[str], delimiter: str, width: int | None) -> bool:
    """Return whether the lines of a quoted field look like rows of their own, begun by the same kind of value."""
    fields = [line.split(delimiter) for line in lines]
    if width is None or width < 2 or any(len(split) != width for split in fields):
        return False
    kinds = {_kind(split[0]) for split in fields}
    return len(kinds) == 1 and kinds != {"text"}


def _kind(value: str) -> str:
    suffix = Path(value.strip()).suffix.lower()
    return "number" if value.strip().isdigit() else suffix or "text"

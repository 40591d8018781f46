"""Format numbers with their errors, and tables of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text below a header, with remarks below them."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remarks: tuple[str, ...] = ()


def plus_minus(value: float | None, error: float | None) -> str:
    """Format value and error to the second digit of the error; a dash where there is no value."""
    if value is None:
        return "–"
    if not error or error < 5e-7:
        return f"{value:.4g}"
    return f"{to_digits_of(value, error)} ± {to_digits_of(error, error)}"


def to_digits_of(value: float, error: float) -> str:
    """Format a value to the second digit of an error, as `plus_minus` does, to stand beside a value with that error.

    Example:
        >>> from intrinsic_clip.reports.number_format import to_digits_of
        >>> to_digits_of(0.3301, 0.0067), to_digits_of(0.33, 0.0067), to_digits_of(0.5, 0.0)
        ('0.3301', '0.3300', '0.5')
    """
    if not error or error < 5e-7:
        return f"{value:.4g}"
    return f"{value:.{min(max(1 - math.floor(math.log10(error)), 0), 6)}f}"


def signed(value: float | None, error: float | None) -> str:
    """Format a difference as `plus_minus` does, with a plus where it is a gain.

    Example:
        >>> from intrinsic_clip.reports.number_format import signed
        >>> signed(0.5878, 0.0086), signed(-0.0151, 0.002), signed(0.00001, 0.001), signed(0.0, 0.0)
        ('+0.5878 ± 0.0086', '-0.0151 ± 0.0020', '0.0000 ± 0.0010', '0')
    """
    text = plus_minus(value, error)
    gain = value is not None and value > 0 and float(text.partition(" ")[0]) > 0
    return f"+{text}" if gain else text


def aligned(table: Table) -> Sequence[str]:
    """Return the table as lines with aligned columns, the first flush left."""
    rows = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return [line for line in lines if line] + [f"  {remark}" for remark in table.remarks]

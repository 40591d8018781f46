"""Format numbers with their errors, and tables of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

SURE = 0.05  # error below which a count is sure: its digits would say nothing that the count does not


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
        return four_digits(value)
    return f"{to_digits_of(value, error)} ± {to_digits_of(error, error)}"


def to_digits_of(value: float, error: float) -> str:
    """Format a value to the second digit of an error, as `plus_minus` does, to stand beside a value with that error.

    Example:
        >>> from intrinsic_clip.reports.number_format import to_digits_of
        >>> to_digits_of(0.3301, 0.0067), to_digits_of(0.33, 0.0067), to_digits_of(0.5, 0.0)
        ('0.3301', '0.3300', '0.5')
    """
    if not error or error < 5e-7:
        return four_digits(value)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 6) if math.isfinite(error) else 6
    return _fixed(value, decimals)


def counted(value: float | None, error: float | None) -> str:
    """Format a count with its error, which is left out where the count is sure.

    Example:
        >>> from intrinsic_clip.reports.number_format import counted
        >>> counted(3.0, 0.000007), counted(3.0, 0.31), counted(45.0, 3.21), counted(None, None)
        ('3', '3 ± 0.31', '45 ± 3.2', '–')
    """
    if value is None or not float(value).is_integer():
        return plus_minus(value, error)
    return f"{value:.0f}" if not error or error < SURE else f"{value:.0f} ± {error:.2g}"


def four_digits(value: float) -> str:
    """Format a value with four digits, halves away from zero as the page's script rounds them.

    Example:
        >>> from intrinsic_clip.reports.number_format import four_digits
        >>> four_digits(1 / 128), four_digits(5.25), four_digits(1e-7)
        ('0.007813', '5.25', '1e-07')
    """
    if not math.isfinite(value):
        return f"{value:.4g}"
    return f"{float(Context(prec=4, rounding=ROUND_HALF_UP).create_decimal(value)):.4g}"


def percent(share: float, decimals: int = 0) -> str:
    """Format a share in percent, without zeros behind the point: `28 %`.

    Example:
        >>> from intrinsic_clip.reports.number_format import percent
        >>> percent(1.0, 2), percent(0.28125, 2), percent(0.99)
        ('100 %', '28.13 %', '99 %')
    """
    text = _fixed(100 * share, decimals)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def _fixed(value: float, decimals: int) -> str:
    """Format a value with so many decimals, halves away from zero."""
    if not math.isfinite(value):
        return f"{value:.{decimals}f}"
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, Context(prec=400))
    return f"{rounded:f}"


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

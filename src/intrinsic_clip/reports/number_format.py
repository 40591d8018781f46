"""Format numbers with their errors, and tables of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

SURE = 0.05  # error below which a count is sure: its digits would say nothing that the count does not
NEGLIGIBLE = 5e-7  # error, beside a value of 1 or more and as a share of smaller ones, that says nothing
SMALL = 1e-4  # value and error below which both are written with an exponent, as single values are


@dataclass(frozen=True)
class Table:
    """Rows of text below a header, with remarks below them."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remarks: tuple[str, ...] = ()


def plus_minus(value: float | None, error: float | None) -> str:
    """Format value and error to the second digit of the error; a dash where there is no value.

    The script of the pages has the same rule, `plusMinus`.

    Example:
        >>> from intrinsic_clip.reports.number_format import plus_minus
        >>> plus_minus(12.3456, 0.0561), plus_minus(1.2e-6, 6e-7), plus_minus(3.0, 1e-9)
        ('12.346 ± 0.056', '1.20e-06 ± 6.0e-07', '3')
    """
    if value is None:
        return "–"
    if error is None or _is_negligible(value, error):
        return four_digits(value)
    return f"{to_digits_of(value, error)} ± {_to_second_digit(error, error, _is_small(value, error))}"


def to_digits_of(value: float, error: float) -> str:
    """Format a value to the second digit of an error, as `plus_minus` does, to stand beside a value with that error.

    Example:
        >>> from intrinsic_clip.reports.number_format import to_digits_of
        >>> to_digits_of(0.3301, 0.0067), to_digits_of(0.33, 0.0067), to_digits_of(0.5, 0.0)
        ('0.3301', '0.3300', '0.5')
    """
    if not error or _is_negligible(value, error):
        return four_digits(value)
    return _to_second_digit(value, error, _is_small(value, error))


def _is_negligible(value: float, error: float) -> bool:
    return not error or error < NEGLIGIBLE * min(1.0, abs(value))


def _is_small(value: float, error: float) -> bool:
    return max(abs(value), error) < SMALL


def _to_second_digit(value: float, error: float, with_exponent: bool) -> str:
    """Format a value to the second digit of an error, or without decimals where that digit is before the point."""
    shortest = Decimal(repr(float(error)))  # a float of 1e-6 lies a little below it
    decimals = max(1 - shortest.adjusted(), 0) if math.isfinite(error) else 6
    text = _fixed(value, decimals)
    if not with_exponent:
        return text
    rounded = Decimal(text)
    return f"{float(rounded):.{decimals + rounded.adjusted()}e}" if rounded else "0"


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


def listed(first: Sequence[str], total: int) -> str:
    """Return the first names of a list, and how many more there are.

    Example:
        >>> from intrinsic_clip.reports.number_format import listed
        >>> listed(["a", "b"], 2), listed(["a", "b"], 5)
        ('a, b', 'a, b and 3 more')
    """
    return ", ".join(first) + (f" and {total - len(first):,} more" if total > len(first) else "")


def hold(count: int) -> str:
    """Return the verb for so many things that hold something.

    Example:
        >>> from intrinsic_clip.reports.number_format import hold
        >>> hold(1), hold(2)
        ('holds', 'hold')
    """
    return "holds" if count == 1 else "hold"


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

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
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def aligned(table: Table) -> Sequence[str]:
    """Return the table as lines with aligned columns, the first flush left."""
    rows = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return [line for line in lines if line] + [f"  {remark}" for remark in table.remarks]

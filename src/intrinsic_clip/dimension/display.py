"""Show an estimate to a person: in one line, as a small table in a notebook, as a picture."""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from intrinsic_clip.dimension.estimate import DimensionEstimate

FEW = 4  # replicates that a line lists one by one
BINS = 24
WIDTH, HEIGHT = 120, 24  # of the spark line, pixels


def one_line(estimate: "DimensionEstimate") -> str:
    """Return `mle: 7.62 ± 0.10 (n = 5,000, k = 20)`, with the reason where a value is NaN."""
    values = estimate.value.double().reshape(-1).tolist()
    errors = estimate.standard_error.double().reshape(-1).tolist()
    facts = [] if estimate.value.ndim == 0 else [_count(len(values))]
    facts += [f"n = {estimate.n:,}"] + ([] if estimate.asked is None else [f"{estimate.asked:,} asked"])
    facts += [f"k = {estimate.k}"] if estimate.k is not None else []
    if len(values) <= FEW:
        shown = ", ".join(plus_minus(*pair) for pair in zip(values, errors, strict=True))
    else:
        shown = _summary(values)
    reason = f"; {estimate.reason}" if estimate.reason is not None else ""
    doubt = f"; {estimate.doubt}" if estimate.doubt is not None else ""
    return f"{estimate.name or 'dimension'}: {shown or '–'} ({', '.join(facts)}{reason}){doubt}"


def plus_minus(value: float, error: float) -> str:
    """Return a number and its standard error, both to as many digits as the error allows.

    Example:
        >>> from intrinsic_clip.dimension.display import plus_minus
        >>> [plus_minus(*pair) for pair in ((7.6213, 0.1), (123.4, 5.2), (3.0, float("nan")))]
        ['7.62 ± 0.10', '123 ± 5', '3.00']
    """
    if not math.isfinite(value):
        return "NaN"
    if not math.isfinite(error):
        return f"{value:.{_decimals(abs(value) / 10)}f}"
    decimals = _decimals(error)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def table(estimate: "DimensionEstimate") -> str:
    """Return the estimate as an HTML table of one row for each replicate."""
    values = estimate.value.double().reshape(-1).tolist()
    errors = estimate.standard_error.double().reshape(-1).tolist()
    points = None if estimate.pointwise is None else estimate.pointwise.reshape(len(values), -1)
    shown = range(min(len(values), 10))
    head = ["estimator", "dimension", "n", "k"] + (["at the points"] if points is not None else [])
    rows = []
    for r in shown:
        cells = [
            escape(estimate.name or "dimension"),
            plus_minus(values[r], errors[r]),
            f"{estimate.n:,}",
            "–" if estimate.k is None else str(estimate.k),
        ]
        rows.append(cells + ([spark_line(points[r])] if points is not None else []))
    notes = [note for note in (estimate.reason, estimate.doubt) if note is not None]
    if len(values) > len(shown):
        notes.append(f"{len(values) - len(shown):,} more replicates: {_summary(values)} in all")
    return html_table(head, rows, notes)


def html_table(head: list[str], rows: list[list[str]], notes: list[str]) -> str:
    """Return a table in HTML with sentences below it.

    Args:
        head: titles of the columns.
        rows: cells, in HTML.
        notes: plain sentences.
    """
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<div><small>{escape(note)}</small></div>" for note in notes)
    return f"<div><table>{body}</table>{below}</div>"


def spark_line(values: Tensor) -> str:
    """Return the distribution of numbers as a line in SVG; empty where no number is finite."""
    counts, low, high = _histogram(values)
    if not counts:
        return ""
    return line_of(counts, f"from {low:.3g} to {high:.3g}")


def line_of(heights: Sequence[float], title: str) -> str:
    """Return heights above 0, two at least, as a line in SVG; those that are not finite lie at 0."""
    heights = [height if math.isfinite(height) else 0.0 for height in heights]
    top = max(heights) or 1.0
    step = WIDTH / (len(heights) - 1)
    places = " ".join(
        f"{i * step:.0f},{HEIGHT - 1 - (HEIGHT - 2) * height / top:.1f}" for i, height in enumerate(heights)
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img"><title>{title}</title>'
        f'<polyline points="{places}" fill="none" stroke="currentColor"/></svg>'
    )


def draw(estimate: "DimensionEstimate", ax: "Axes | None") -> "Axes":
    """Draw the estimate on Matplotlib axes, new ones if there are none."""
    ax = new_axes() if ax is None else ax
    values = estimate.value.double().reshape(-1).cpu()
    errors = estimate.standard_error.double().reshape(-1).cpu().nan_to_num(nan=0.0)
    name = estimate.name or "dimension"
    if estimate.pointwise is None or len(values) != 1:
        ax.errorbar(range(len(values)), values.tolist(), errors.tolist(), fmt="o", capsize=3, label=name)
        ax.set(xlabel="replicate", ylabel="intrinsic dimension", xticks=range(len(values)))
        return ax
    points = _finite(estimate.pointwise)
    if len(points):
        top = float(points.quantile(0.99)) if len(points) < 10**7 else float(points.max())
        ax.hist(points.clamp_max(top).tolist(), bins=BINS, alpha=0.5)
    value, error = float(values), float(errors)
    if math.isfinite(value):
        ax.axvspan(value - error, value + error, alpha=0.3)
        ax.axvline(value, label=f"{name}: {plus_minus(value, error)}")
        ax.legend()
    ax.set(xlabel="dimension at a point", ylabel="points")
    return ax


def new_axes() -> "Axes":
    """Return the axes of a new figure."""
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _histogram(values: Tensor) -> tuple[list[float], float, float]:
    """Return counts and limits of a histogram that leaves out the most extreme hundredth on either side."""
    finite = _finite(values)
    if not len(finite):
        return [], math.nan, math.nan
    ordered = finite.sort().values
    low, high = (float(ordered[round(share * (len(ordered) - 1))]) for share in (0.01, 0.99))
    if low == high:
        low, high = low - 0.5, high + 0.5
    return torch.histc(finite.clamp(low, high), BINS, low, high).tolist(), low, high


def _finite(values: Tensor) -> Tensor:
    values = values.detach().double().reshape(-1).cpu()
    return values[values.isfinite()]


def _summary(values: list[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "NaN"
    mean = sum(finite) / len(finite)
    nans = len(values) - len(finite)
    return f"mean {mean:.2f}, from {min(finite):.2f} to {max(finite):.2f}" + (f", {nans} NaN" if nans else "")


def _count(replicates: int) -> str:
    return f"{replicates:,} replicate{'s' * (replicates != 1)}"


def _decimals(error: float) -> int:
    """Return the decimals that show an error's first two digits, if they are behind the point: 0.10, 0.052, 5."""
    if error < 1e-5 or not math.isfinite(error):
        return 2
    return min(5, max(0, 1 - math.floor(math.log10(error)))) if error < 1 else 0


def in_replicates(reason: str, affected: int, total: int) -> str:
    """Return a reason with the number of replicates that it is about; as it is where there is but one.

    Example:
        >>> from intrinsic_clip.dimension.display import in_replicates
        >>> in_replicates("needs at least 2 finite rows, got 1", 3, 8)
        'needs at least 2 finite rows, got 1 (in 3 of 8 replicates)'
    """
    return reason if total == 1 else f"{reason} (in {affected} of {total} replicates)"

"""Show a curve over scales, or the spectrum of a Jacobian, to a person: in one line, as a table, as a picture."""

import math
from typing import TYPE_CHECKING

from torch import Tensor

from intrinsic_clip.dimension.display import html_table, new_axes, plus_minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from intrinsic_clip.dimension.jacobian import JacobianSpectrum
    from intrinsic_clip.dimension.scale import ScaleCurve

FEW = 4  # replicates that a line lists


def curve_line(curve: "ScaleCurve") -> str:
    """Return `scale curve at 1 … 32: 5.25 … 4.36, level at 5.41 (n = 200)`."""
    values = _rows(curve.value)
    ends = f"at {curve.at[0]:,} … {curve.at[-1]:,}" if curve.at else "at no scale"
    shown = [f"{row[0]:.2f} … {row[-1]:.2f}, {_level(level)}" for row, level in _with_levels(curve, values)]
    return f"scale curve {ends}: {_few(shown)} ({_facts(curve.value, curve.n, curve.reason, 1)})"


def curve_table(curve: "ScaleCurve") -> str:
    """Return the curve as an HTML table of a row for each scale."""
    values, errors = _rows(curve.value), _rows(curve.standard_error)
    head = ["at"] + (
        [f"replicate {r}" for r in range(len(values))] if curve.value.ndim > 1 else ["dimension"]
    )
    rows = [
        [f"{at:,}", *(plus_minus(value[s], error[s]) for value, error in zip(values, errors, strict=True))]
        for s, at in enumerate(curve.at)
    ]
    return html_table(head, rows, [curve.reason] if curve.reason is not None else [])


def draw_curve(curve: "ScaleCurve", ax: "Axes | None") -> "Axes":
    """Draw the dimension over the scales, with standard errors; a line for each replicate."""
    ax = new_axes() if ax is None else ax
    for value, error in zip(_rows(curve.value), _rows(curve.standard_error), strict=True):
        ax.errorbar(curve.at, value, [0 if math.isnan(each) else each for each in error], fmt="o-", capsize=3)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="scale: neighbour, or rows" if curve.radius is None else "scale: neighbour n1")
    ax.set(ylabel="intrinsic dimension")
    return ax


def jacobian_line(spectrum: "JacobianSpectrum") -> str:
    """Return `jacobian spectrum: rank 3 of 8, gap 12 (n = 10)`."""
    m = spectrum.singular_values.shape[-1]
    ranks, gaps = spectrum.rank.reshape(-1).tolist(), spectrum.gap.double().reshape(-1).tolist()
    shown = [
        "NaN" if math.isnan(rank) else f"rank {rank:.0f} of {m}, gap {gap:.3g}"
        for rank, gap in zip(ranks, gaps, strict=True)
    ]
    return f"jacobian spectrum: {_few(shown)} ({_facts(spectrum.rank, spectrum.n, spectrum.reason, 0)})"


def jacobian_table(spectrum: "JacobianSpectrum") -> str:
    """Return rank, gap and participation ratio as an HTML table of a row for each replicate."""
    columns = (spectrum.rank, spectrum.gap.double(), spectrum.participation.double())
    cells = zip(*(column.reshape(-1).tolist() for column in columns), strict=True)
    rows = [[f"{rank:.0f}", f"{gap:.3g}", f"{soft:.3g}"] for rank, gap, soft in cells]
    return html_table(
        ["rank", "gap", "participation ratio"], rows, [spectrum.reason] if spectrum.reason else []
    )


def draw_jacobian(spectrum: "JacobianSpectrum", ax: "Axes | None") -> "Axes":
    """Draw the mean singular values with their standard errors; a line for each replicate."""
    ax = new_axes() if ax is None else ax
    errors = _rows(spectrum.standard_error.nan_to_num(nan=0.0))
    for value, error in zip(_rows(spectrum.singular_values), errors, strict=True):
        ax.errorbar(range(1, len(value) + 1), value, error, fmt="o-", capsize=3)
    ax.set_yscale("log")
    ax.set(xlabel="singular value", ylabel="mean over the points")
    return ax


def _rows(values: Tensor) -> list[list[float]]:
    """Return `(*R, s)` as a list for each replicate."""
    rows: list[list[float]] = values.double().reshape(-1, values.shape[-1]).tolist()
    return rows


def _with_levels(curve: "ScaleCurve", values: list[list[float]]) -> list[tuple[list[float], float]]:
    levels = curve.plateau_value.double().reshape(-1).tolist()
    return [(row or [math.nan], level) for row, level in zip(values, levels, strict=True)]


def _level(value: float) -> str:
    return "nowhere level" if math.isnan(value) else f"level at {value:.2f}"


def _few(shown: list[str]) -> str:
    listed = "; ".join(shown[:FEW])
    return f"{listed}; {len(shown) - FEW:,} more" if len(shown) > FEW else listed or "–"


def _facts(values: Tensor, n: int, reason: str | None, own_axes: int) -> str:
    """Return replicates, points and the reason of a NaN."""
    count = values.numel() // max(1, values.shape[-1] if own_axes else 1)
    replicates = f"{count:,} replicate{'s' * (count != 1)}, " if values.ndim > own_axes else ""
    return f"{replicates}n = {n:,}" + (f"; {reason}" if reason is not None else "")

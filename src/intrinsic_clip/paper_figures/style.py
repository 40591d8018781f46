"""Draw the shared kinds of panels in one style."""

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from intrinsic_clip.paper_figures.finished_runs import D, FinishedRuns, all_similarities
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings
from intrinsic_clip.runs.vocabulary import PAIRS, SIDES, describe

# Okabe–Ito: distinguishable for colour-blind readers; lines differ in style and marker too, for print without colour.
X, Y, THIRD, FOURTH, TRUTH = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666"
SEQUENCE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES: tuple[Any, ...] = (  # of the lines in the colours of SEQUENCE, where markers would cover each other
    "-",
    "--",
    ":",
    "-.",
    (0, (8, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (1, 3)),
)
OUTPUT_DIM = "output dimension d"
LETTERS_PER_INCH = 20  # of the line at the foot
RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # text stays text
}
SIDE_STYLES = {"x": (X, "o", SIDES["x"]), "y": (Y, "s", SIDES["y"])}  # colour, marker, label


def panels(count: int, titles: Sequence[str] = (), rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure with this many panels side by side, lettered.

    Lines and legends take their style from `matplotlib.rcParams` when they are drawn: draw within `in_style`.
    """
    columns = -(-count // rows)
    figure = Figure(figsize=(3.1 * columns + 0.3, 2.75 * rows + 0.15), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, ax in enumerate(axes):
        title = titles[place] if place < len(titles) else ""
        ax.set_title(f"({chr(97 + place)}) {title}".rstrip(), loc="left")
        ax.set_visible(place < count)
    return figure, axes[:count]


def in_style() -> Any:
    """Return a context in which figures are drawn and saved in the shared style; matplotlib's own is restored."""
    return matplotlib.rc_context(RC)


def band(ax: Axes, curve: pd.DataFrame, at: str = "at", **line: Any) -> None:
    """Draw the mean as a line, ± one standard deviation as a band."""
    if curve.empty:
        return
    (drawn,) = ax.plot(curve[at], curve["mean"], **line)
    spread = curve["std"].fillna(0.0)
    low, high = curve["mean"] - spread, curve["mean"] + spread
    ax.fill_between(curve[at], low, high, color=drawn.get_color(), alpha=0.18, lw=0)
    mark_lone_points(ax, drawn, spread)


def mark_lone_points(ax: Axes, line: Line2D, spread: ArrayLike) -> None:
    """Mark the points that a line joins to no other, with a bar of ± spread: neither line nor band shows them.

    Args:
        ax: the panel of the line.
        line: a curve that has been drawn; NaN where there is no number.
        spread: half the height of the bar at each of its points; NaN or 0: no bar.
    """
    at, values = (np.asarray(data, dtype=float) for data in line.get_data())
    joined = np.isfinite(values[1:]) & np.isfinite(values[:-1]) & (at[1:] != at[:-1])
    lone = np.isfinite(values) & ~np.append(joined, False) & ~np.append(False, joined)
    if not lone.any():
        return
    if line.get_marker() in (None, "None", "none", " ", ""):
        line.set(marker="o", markevery=np.flatnonzero(lone).tolist())
    half = np.asarray(spread, dtype=float)
    barred = lone & (half > 0)  # broadcast: one spread may be that of all points
    low, high = (values - half)[barred], (values + half)[barred]
    ax.vlines(at[barred], low, high, color=line.get_color(), lw=line.get_linewidth())


def logarithmic(axis: XAxis | YAxis) -> None:
    """Make an axis logarithmic, with plain numbers: 0.05 and 2000, not powers of ten."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})

    def in_full(value: float, _: int | None) -> str:
        low, high = sorted(axis.get_view_interval())
        digits = max(6, 2 - math.floor(math.log10(high / low - 1))) if 0 < low < high else 6
        return f"{value:.{digits}g}"

    def between(value: float, position: int | None) -> str:
        low, high = sorted(axis.get_view_interval())
        if low <= 0:
            return ""
        first = math.ceil(math.log10(low))
        if high < 10 * low:  # no power of ten may be in view
            return in_full(value, position)
        alone = high < 10 ** (first + 1)  # the one power in view gives no scale
        return in_full(value, position) if alone and f"{value:e}"[0] in "25" else ""

    axis.set_major_formatter(FuncFormatter(in_full))
    axis.set_minor_formatter(FuncFormatter(between))


def y_axis(ax: Axes, metric: str) -> None:
    """Label and scale the vertical axis as the vocabulary declares the metric."""
    described = describe(metric)
    ax.set_ylabel(described.axis_label)
    if described.scale.axis == "log":
        logarithmic(ax.yaxis)
    elif described.scale.axis == "from zero":
        ax.update_datalim([(0, 0)], updatex=False)  # set_ylim would cut off what is drawn later
        for line in ax.lines:
            line.sticky_edges.y.append(0)
    elif described.scale.axis == "zero to one":
        ax.set_ylim(-0.02, 1.02)


def x_axis_of_dims(ax: Axes, label: str = OUTPUT_DIM) -> None:
    """Label a horizontal axis of dimensions, or of epochs, whose ticks are whole numbers."""
    ax.set_xlabel(label)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


NONE_AT = -1.5  # where ranks are drawn that are no number, since there is no clear gap


def ranks(axis: XAxis | YAxis) -> None:
    """Scale an axis of ranks from `none`, drawn at NONE_AT, past zero to at least 7; ticks are whole numbers."""
    axis.set_major_locator(RankTicks(nbins=6, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: "none" if value == NONE_AT else f"{value:g}"))
    is_x = axis.axis_name == "x"
    axis.axes.update_datalim([(NONE_AT, NONE_AT), (7.0, 7.0)], updatex=is_x, updatey=not is_x)
    axis.axes.autoscale_view(scalex=is_x, scaley=not is_x)


class RankTicks(MaxNLocator):
    """Put ticks at whole numbers from zero, and one at NONE_AT."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between zero and the upper end of the axis, and NONE_AT."""
        ticks = super().tick_values(0.0, max(vmax, 1.0))
        return [NONE_AT, *(float(tick) for tick in ticks if 0 <= tick <= vmax)]


def dimension(ax: Axes, runs: FinishedRuns, experiment: str, over: str = D, in_sample: bool = False) -> None:
    """Draw the ID of f(X) and g(Y) by the MLE over a setting, dotted on training rows if asked for."""
    for side, (colour, marker, name) in SIDE_STYLES.items():
        curve = runs.curve(experiment, f"id/mle/{side}", over)
        band(ax, curve, color=colour, marker=marker, label=name)
        if in_sample:
            curve = runs.curve(experiment, f"in_sample/id/mle/{side}", over)
            band(ax, curve, color=colour, ls=":", label=f"{name}, in sample")
    y_axis(ax, "id/mle/x")


def matching(ax: Axes, runs: FinishedRuns, experiment: str, metric: str, over: str = D) -> None:
    """Draw a matching accuracy over a setting, out of sample and, if it was measured, in sample."""
    metrics = set(runs.tables[experiment]["metric"])
    label = f"out of sample{runs.row_count(experiment, 'test')}"
    band(ax, runs.curve(experiment, metric, over), color=X, marker="o", label=label)
    if f"in_sample/{metric}" in metrics:
        curve = runs.curve(experiment, f"in_sample/{metric}", over)
        label = f"in sample{runs.row_count(experiment, 'train')}"
        band(ax, curve, color=Y, marker="s", ls="--", label=label)
    y_axis(ax, metric)


def source_words(source: str) -> str:
    """Return what titles call a synthetic source: `linear data` of `….SyntheticLinear`."""
    return f"{source.rpartition('.Synthetic')[2].lower()} data"


def true_dim(ax: Axes, k: int) -> None:
    """Draw a dashed line at k*."""
    ax.axhline(k, color=TRUTH, ls="--", lw=1, label=f"k* = {k}")


def histogram(ax: Axes, values: NDArray[Any], colour: str, label: str, bins: int = 60) -> None:
    """Draw a density, filled and outlined."""
    ax.hist(values, bins=bins, density=True, histtype="stepfilled", color=colour, alpha=0.35)
    ax.hist(values, bins=bins, density=True, histtype="step", color=colour, lw=1, label=label)


def similarities(ax: Axes, embeddings: StoredEmbeddings) -> None:
    """Draw the densities of the similarities of positive pairs and of all others, as the loss sees them."""
    positive, random = all_similarities(embeddings)
    histogram(ax, random, Y, PAIRS["random"])
    histogram(ax, positive, X, PAIRS["positive"])
    ax.set(xlabel="similarity", ylabel="density")
    ax.legend()


def legend_above(figure: Figure, ax: Axes, ncols: int | None = None) -> None:
    """Put the legend of a panel above all panels, where it lies on no curve; without `ncols` in one row."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=ncols or len(labels))


def foot(figure: Figure, runs: FinishedRuns) -> None:
    """Write size, repetitions and data below the panels."""
    letters = int(figure.get_figwidth() * LETTERS_PER_INCH)
    figure.supxlabel(textwrap.fill(runs.note, letters), fontsize=7, color=TRUTH)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write PDF and PNG; nothing in them depends on the time."""
    paths = [folder / f"{name}.pdf", folder / f"{name}.png"]
    formats: list[dict[str, Any]] = [
        {"format": "pdf", "metadata": {"CreationDate": None}},
        {"format": "png", "dpi": 160},
    ]
    for path, options in zip(paths, formats, strict=True):
        content = io.BytesIO()
        figure.savefig(content, **options)
        figure.set_layout_engine(
            "none"
        )  # the second format keeps the layout, which takes a third of the time
        write_atomically(path, content.getvalue())
    return paths

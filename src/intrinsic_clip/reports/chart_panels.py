"""Draw charts as panels of a picture, with Matplotlib: the same charts that chart.js draws on a page."""

import io
import warnings
from collections.abc import Sequence
from math import ceil
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from intrinsic_clip.paper_figures.style import logarithmic, mark_lone_points
from intrinsic_clip.reports.chart_series import COLOURS, Chart, Series
from intrinsic_clip.reports.run_picture import BLUE, GREEN, GREY, ORANGE

INKS = {COLOURS["x"]: BLUE, COLOURS["y"]: ORANGE, COLOURS["z"]: GREY, COLOURS["against"]: GREEN}
WIDTH, HEIGHT = 5.25, 3.8  # of a panel, in inches
LONGEST = 135  # characters of a title's line


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A letter of a file's name that the font lacks is drawn as a box; the page and the printout have the name.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def panels(charts: Sequence[Chart], title: str, rows: int | None = None) -> Figure:
    """Return a figure of two columns, which pyplot does not know of and need not close; bands are ± one standard error.

    Args:
        charts: as chart.js takes them.
        title: plain text.
        rows: of panels; None: as many as the charts fill.
    """
    rows = max(1, ceil(len(charts) / 2)) if rows is None else rows
    figure = Figure(
        figsize=(2 * WIDTH, rows * HEIGHT), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.14)
    )
    axes = list(figure.subplots(rows, 2, squeeze=False).flat)  # of an iterator, zip would take one too many
    for ax, chart in zip(axes, charts, strict=False):
        draw_chart(ax, chart)
    for ax in axes[len(charts) :]:
        ax.set_axis_off()
    if not charts:
        figure.text(0.5, 0.5, "There is no number to draw.", ha="center")
    lines = [fill(line, LONGEST, max_lines=2, placeholder=" …") for line in title.splitlines()]
    figure.suptitle("\n".join(lines), fontsize="medium", parse_math=False)  # names may hold $
    return figure


def draw_chart(ax: Axes, chart: Chart) -> None:
    """Draw a chart with its title, labels and legend."""
    for each in chart["series"]:
        _draw_series(ax, each)
    for mark in chart.get("upright", []):
        ax.axvline(mark["x"], color=GREY, ls=":", lw=1.5, label=mark["label"])
    for mark in chart.get("across", []):
        ax.axhline(mark["y"], color=GREY, ls="--", lw=1, label=mark["label"])
    ax.set(title=chart["title"], xlabel=chart["x"]["label"], ylabel=chart["y"]["label"])
    _scale_x(ax, chart["x"])
    if chart["y"].get("log"):
        logarithmic(ax.yaxis)
    elif chart["y"].get("zero"):
        ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(framealpha=0.7, edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)  # names may hold $


def _draw_series(ax: Axes, each: Series) -> None:
    at, value, error = (
        np.array([point.get(key) for point in each["points"]], dtype=float) for key in ("x", "y", "sd")
    )
    colour = INKS[each["colour"]]
    if each.get("level"):
        ax.plot(at, value, color=colour, lw=9, alpha=0.2, solid_capstyle="butt")
        return
    width = 1.0 if each.get("thin") else 1.5
    style: dict[str, Any] = {"color": colour, "lw": width, "label": each["label"], "ls": _dashes(each, width)}
    if each.get("dots"):
        style |= {"marker": "o", "ms": 3.5}
    (line,) = ax.plot(at, value, **style)
    mark_lone_points(ax, line, error)
    if each.get("area"):
        ax.fill_between(at, 0, value, color=colour, alpha=0.2, lw=0)
    if np.isfinite(error).any():
        ax.fill_between(at, value - error, value + error, color=colour, alpha=0.15, lw=0)


def _dashes(each: Series, width: float) -> Any:
    """Return the dashes of a series, which a page has in pixels and Matplotlib in widths of the line."""
    if each.get("dash") is None:
        return "-"
    return (0, tuple(float(length) / width / 1.3 for length in each["dash"].split()))


def _scale_x(ax: Axes, axis: dict[str, Any]) -> None:
    """Write numbers along a logarithmic axis in full: 2,000, not 2 × 10³."""
    if axis.get("whole"):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not axis.get("log"):
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())

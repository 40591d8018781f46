"""Draw a measurement: spectrum, intrinsic dimension over scale and sample size, recall of fewer dimensions."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from intrinsic_clip.reports.measurement_charts import SMALLEST
from intrinsic_clip.reports.measurement_printout import headline
from intrinsic_clip.reports.run_picture import BLUE, GREY, ORANGE

COLOURS = {"x": BLUE, "y": ORANGE, "z": GREY}
STYLES = {"x": "-", "y": "--", "z": ":"}  # two curves that coincide are both visible
LINES = {"principal": ("-", "o"), "canonical": ("--", "s")}


def draw(measurement: Mapping[str, Any]) -> bytes:
    """Return a PNG of four panels; bars are ± one standard error."""
    content = io.BytesIO()
    figure(measurement).savefig(content, format="png", dpi=120)
    return content.getvalue()


def figure(measurement: Mapping[str, Any]) -> Figure:
    """Return the picture as a figure of matplotlib, which pyplot does not know of and need not close."""
    picture = Figure(figsize=(10.5, 7.6), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.14))
    axes = picture.subplots(2, 2)
    _draw_spectrum(axes[0, 0], measurement)
    _draw_scale(axes[0, 1], measurement)
    _draw_sample_size(axes[1, 0], measurement)
    if _kept(measurement):
        _draw_kept(axes[1, 1], measurement)
    else:
        _draw_variance(axes[1, 1], measurement)
    for ax in axes.flat:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    title = _shortened(headline(measurement))
    picture.suptitle(title, fontsize="medium", parse_math=False)  # names may hold $
    return picture


def _shortened(title: str, length: int = 110) -> str:
    return title if len(title) <= length else title[: length - 1] + "…"


def _curves(measurement: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the curves of one kind by side."""
    return {side: measurement["curves"][f"{kind}/{side}"] for side in measurement["dims"]}


def _draw_spectrum(ax: Axes, measurement: Mapping[str, Any]) -> None:
    any_variance = False
    for side, curve in _curves(measurement, "spectrum").items():
        shares = np.asarray(curve["variance_share"], dtype=float)
        places = np.arange(1, len(shares) + 1)
        shown = shares > shares.max() * SMALLEST
        any_variance |= bool(shown.any())
        ax.plot(places[shown], 100 * shares[shown], color=COLOURS[side], ls=STYLES[side], lw=1.5, label=side)
    ax.set(title="spectrum", xlabel="principal component", ylabel="% of variance", xscale="log")
    if any_variance:  # constant rows have none, and 0 has no logarithm
        ax.set_yscale("log")
    _plain(ax)
    ax.legend(frameon=False)


def _draw_variance(ax: Axes, measurement: Mapping[str, Any]) -> None:
    """Draw the variance that the leading components hold together, in place of retrieval where there are no pairs."""
    for side, curve in _curves(measurement, "spectrum").items():
        held = 100 * np.cumsum(np.asarray(curve["variance_share"], dtype=float))
        ax.plot(np.arange(1, len(held) + 1), held, color=COLOURS[side], ls=STYLES[side], lw=1.5, label=side)
    chosen = measurement["advice"].get("dims")
    if chosen is not None:
        _mark(ax, chosen, f"{chosen:,} hold 99 % of x")
    ax.set(title="variance kept", xlabel="principal components kept", ylabel="% of variance", xscale="log")
    ax.set_ylim(0, 102)
    _plain(ax)
    ax.legend(frameon=False)


def _draw_scale(ax: Axes, measurement: Mapping[str, Any]) -> None:
    for side, curve in _curves(measurement, "scale").items():
        _draw_curve(ax, curve, curve["radius"], side)
    ax.set(
        title="intrinsic dimension against scale (GRIDE)",
        xlabel="mean distance of the farther neighbour",
        ylabel="dimensions",
    )
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)


def _draw_sample_size(ax: Axes, measurement: Mapping[str, Any]) -> None:
    for side, curve in _curves(measurement, "sample_size").items():
        _draw_curve(ax, curve, curve["at"], side)
    ax.set(
        title="intrinsic dimension against sample size (MLE)",
        xlabel="rows",
        ylabel="dimensions",
        xscale="log",
    )
    ax.set_ylim(bottom=0)
    _plain(ax)
    ax.legend(frameon=False)


def _draw_curve(ax: Axes, curve: Mapping[str, Any], places: Sequence[float], side: str) -> None:
    """Draw a curve with error bars, and a band behind its plateau."""
    at, value, error = (
        np.asarray(column, dtype=float) for column in (places, curve["value"], curve["standard_error"])
    )
    level = curve["plateau"]
    style: dict[str, Any] = {
        "color": COLOURS[side],
        "ls": STYLES[side],
        "lw": 1.5,
        "marker": "o",
        "ms": 4,
        "capsize": 2,
    }
    label = side if level is None else f"{side}, plateau {level['value']:.3g}"
    ax.errorbar(at, value, np.nan_to_num(error), label=label, **style)
    if level is not None:
        ends = [at[curve["at"].index(level[end])] for end in ("from", "to")]
        ax.plot(ends, [level["value"]] * 2, color=COLOURS[side], lw=9, alpha=0.2, solid_capstyle="butt")


def _kept(measurement: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return recall against dimensions kept by basis; empty where there are no pairs."""
    curves = measurement["curves"]
    return {name: curves[f"retrieval/{name}"] for name in LINES if f"retrieval/{name}" in curves}


def _draw_kept(ax: Axes, measurement: Mapping[str, Any]) -> None:
    curves = _kept(measurement)
    for name, curve in curves.items():
        line, marker = LINES[name]
        at, value, error = (np.asarray(curve[key], dtype=float) for key in ("at", "value", "standard_error"))
        colour = BLUE if name == "principal" else ORANGE
        ax.plot(at, value, color=colour, ls=line, marker=marker, ms=3.5, lw=1.5, label=f"{name} directions")
        ax.fill_between(at, value - error, value + error, color=colour, alpha=0.15, lw=0)
    advice = measurement["advice"]
    if advice.get("dims") is not None:
        _mark(ax, advice["dims"], f"{advice['dims']:,} of {advice['of']:,} are enough")
    n = next(iter(curves.values()))["n"]
    ax.set(
        title="retrieval by cosine with fewer dimensions",
        xlabel=f"dimensions kept ({n:,} held-out pairs)",
        ylabel="recall@1, mean of both ways",
        xscale="log",
    )
    ax.set_ylim(bottom=0)
    _plain(ax)
    ax.legend(frameon=False)


def _mark(ax: Axes, place: float, label: str) -> None:
    ax.axvline(place, color=GREY, ls=":", lw=1.5, label=label)


def _plain(ax: Axes) -> None:
    """Write numbers in full along a logarithmic axis: 2,000, not 2 × 10³."""
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())

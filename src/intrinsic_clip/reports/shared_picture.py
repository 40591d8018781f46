"""Draw an estimate of the shared dimension: consensus spectra beside those of shuffled pairs, and their ratios."""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from intrinsic_clip.paper_figures.style import logarithmic
from intrinsic_clip.reports.run_picture import BLUE, GREY, ORANGE
from intrinsic_clip.reports.shared_printout import headline

SIDES = {"x": (BLUE, "o", "-"), "y": (ORANGE, "s", "--")}


def draw(estimated: Mapping[str, Any]) -> bytes:
    """Return a PNG of two panels."""
    figure = Figure(figsize=(10.5, 4.2), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    left, right = figure.subplots(1, 2)
    draw_spectra(left, estimated)
    _draw_ratios(right, estimated)
    for ax in (left, right):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        if estimated["dimension"]:
            ax.axvline(estimated["dimension"] + 0.5, color=GREY, ls=":", lw=1.5)
        ax.legend(frameon=False)
    title = f"{headline(estimated)}\n{estimated['text']}"
    figure.suptitle(title, fontsize="medium", parse_math=False)  # names may hold $
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def draw_spectra(ax: Axes, estimated: Mapping[str, Any]) -> None:
    """Draw the lengths of the consensus directions, and those of shuffled pairs."""
    shown = len(estimated["ratios"]["both"]) + 1
    for side, (colour, marker, line) in SIDES.items():
        for kind, label, strength in (
            ("spectrum", side, 1.0),
            ("null_spectrum", f"{side}, shuffled pairs", 0.35),
        ):
            values = estimated[kind].get(side, [])[:shown]
            if not values:
                continue
            ax.plot(
                range(1, len(values) + 1), values, color=colour, marker=marker, ls=line, ms=3.5, lw=1.5,
                alpha=strength, label=label,
            )  # fmt: skip
    ax.set(
        title=f"consensus of {estimated.get('trainings', 'the')} training{'s' * (estimated.get('trainings') != 1)}",
        xlabel="direction",
        ylabel="root eigenvalue",
    )
    ax.set_ylim(bottom=0)


def _draw_ratios(ax: Axes, estimated: Mapping[str, Any]) -> None:
    for side, (colour, marker, line) in SIDES.items():
        values = estimated["ratios"].get(side, [])
        if not values:
            continue
        ax.plot(
            range(1, len(values) + 1),
            values,
            color=colour,
            marker=marker,
            ls=line,
            ms=3.5,
            lw=1.5,
            label=side,
        )
    ax.axhline(estimated["threshold"], color=GREY, lw=1, label="least gap")
    ax.set(title="ratio to the next", xlabel="dimensions", ylabel="ratio")
    logarithmic(ax.yaxis)

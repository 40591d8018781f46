"""Real pairs with known or bounded sharing: the estimated shared dimension, ID and matching, and icons over n."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, N, setting_columns

EXPERIMENTS = ("ladder",)
OPTIONAL = ("ladder_icons",)
MATCHING, CHANCE = "matching/top_0.5pct/x_to_y", 0.005
IDS = {  # metric → colour, marker, place beside the tick, name
    "id/mle/x": (style.X, "o", -0.28, "MLE of f(X)"),
    "id/mle/y": (style.Y, "s", -0.14, "MLE of g(Y)"),
    "id/twonn/x": (style.THIRD, "^", 0.0, "TwoNN of f(X)"),
    "id/twonn/y": (style.FOURTH, "v", 0.14, "TwoNN of g(Y)"),
}
SHARED = ("#000000", "D", 0.3)
TICKS = (0, 1, 2, 3, 5, 10, 20, 50)
GAP, DECAY = "k̂* at a clear gap", "no clear gap: 90 % of the spectrum"


@dataclass(frozen=True)
class Source:
    """A data set of the ladder.

    Attributes:
        name: as in `data=`.
        known: words about what x and y share.
        bound: most dimensions that they can share; None where that is not known.
        number: metric that the bound is about.
    """

    name: str
    known: str
    bound: int | None = None
    number: str = "shared/dimension"


SOURCES = {  # by class, in the order of the figure
    "ColourNames": Source("colours", "at most 3 dimensions, those of a colour", 3),
    "Cities": Source("cities", "at most 2 dimensions on the position's side", 2, "shared/side/y"),
    "Digits": Source("digits", "class and style of a digit"),
    "ImageHalves": Source("halves", "shape and texture across the cut"),
    "Verses": Source("verses", "the meaning of a verse: much"),
    "IconFeatures": Source("icons", "the thing drawn"),
    "OpenClipArt": Source("openclipart", "the thing drawn"),
}


def draw(runs: FinishedRuns) -> Figure:
    """Draw estimates and matching by data set, and below them the same over n on icons, if they have been run."""
    titles = ["dimensions by data set", "held-out matching by data set"]
    runs = with_ladder_among_icons(runs)
    over_n = "ladder_icons" in runs
    titles += ["dimensions on icons, over n", "matching on icons, over n"] if over_n else []
    figure, axes = style.panels(len(titles), titles, rows=2 if over_n else 1)
    rows, columns = (2, 2) if over_n else (1, 2)
    figure.set_size_inches(4.6 * columns + 0.3, 3.4 * rows + 0.6)
    rungs = rungs_of(runs)
    _draw_dimensions(axes[0], runs, rungs)
    _draw_matching(axes[1], runs, rungs)
    if over_n:
        _draw_over_n(axes[2], axes[3], runs)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=4,
        title="panels (a) and (c)" if over_n else "panel (a)",
    )
    axes[1].legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check the bounds that are known, and list the numbers of each data set, and of icons over n."""
    runs = with_ladder_among_icons(runs)
    lines = []
    for (label, source), where in rungs_of(runs).items():
        numbers = runs.values("ladder", source.number, **where)
        agrees = None if source.bound is None else judged((numbers <= source.bound).all(), numbers)
        lines.append(Claim(f"{label}: {source.known}", _measured(runs, "ladder", where), agrees))
    for n in runs.settings("ladder_icons", N) if "ladder_icons" in runs else []:
        says = f"icons, n = {n:,.0f}: do ID and the shared dimension come down with n?"
        lines.append(Claim(says, _measured(runs, "ladder_icons", {N: n})))
    return lines


def with_ladder_among_icons(runs: FinishedRuns) -> FinishedRuns:
    """Return the runs with the ladder's own on icons among those over n: it has the same settings."""
    if "ladder_icons" not in runs:
        return runs
    ladder, icons = runs.tables["ladder"], runs.tables["ladder_icons"]
    own = ladder[ladder["data._target_"].str.endswith(".IconFeatures") & ladder[N].notna()]
    others = own[~own[N].isin(icons[N])]
    return replace(runs, tables={**runs.tables, "ladder_icons": pd.concat([icons, others])})


def rungs_of(runs: FinishedRuns) -> dict[tuple[str, Source], dict[str, Any]]:
    """Return the data sets that have been run, by label, each with the columns that select its repetitions.

    A data set that was run with several settings has a rung for each, `digits (2)`.
    """
    table = runs.tables["ladder"].sort_values("run")
    columns = setting_columns(table)
    trained = table.drop_duplicates([*columns, "data._target_"])
    rungs: dict[tuple[str, Source], dict[str, Any]] = {}
    for kind, source in SOURCES.items():
        own = trained[trained["data._target_"].str.rpartition(".")[2] == kind]
        for place, where in enumerate(own[columns].to_dict("records"), 1):
            rungs[source.name if place == 1 else f"{source.name} ({place})", source] = where
    return rungs


def estimates(
    runs: FinishedRuns, experiment: str, where: Mapping[str, Any]
) -> tuple[float, float, float, bool]:
    """Return the shared dimension, both ends of its interval, and whether a gap is clear: means over estimates.

    Where any of the estimates has no clear gap, it is the effective number. NaN where there is no estimate,
    or none that can be trusted.
    """

    def numbers(name: str) -> Any:
        return runs.values(experiment, name, **where)

    effective, named = numbers("shared/effective"), numbers("shared/dimension")
    low, high = (float(numbers(f"shared/interval/{end}").mean()) for end in ("low", "high"))
    clear = len(named) > 0 and len(named) == len(effective)
    return float((named if clear else effective).mean()), low, high, clear


def _draw_dimensions(
    ax: Axes, runs: FinishedRuns, rungs: Mapping[tuple[str, Source], dict[str, Any]]
) -> None:
    for metric, (colour, marker, offset, name) in IDS.items():
        _points(ax, runs, rungs, metric, offset, color=colour, marker=marker, label=name)
    _shared_points(
        ax,
        [place + SHARED[2] for place in range(len(rungs))],
        [estimates(runs, "ladder", where) for where in rungs.values()],
    )
    bounds = [(place, source.bound) for place, (_, source) in enumerate(rungs) if source.bound is not None]
    for first, (place, bound) in enumerate(bounds):
        label = "known: at most" if not first else None
        ax.plot([place - 0.42, place + 0.42], [bound, bound], color=style.TRUTH, ls="--", lw=1.4, label=label)
    _name_rungs(ax, rungs)
    _dimensions_axis(ax)


def _draw_matching(ax: Axes, runs: FinishedRuns, rungs: Mapping[tuple[str, Source], dict[str, Any]]) -> None:
    _points(ax, runs, rungs, MATCHING, -0.1, color=style.X, marker="o", label="out of sample")
    _points(ax, runs, rungs, f"in_sample/{MATCHING}", 0.1, color=style.Y, marker="s", label="in sample")
    ax.axhline(CHANCE, color=style.TRUTH, ls="--", lw=1, label=f"chance, {CHANCE}")
    style.y_axis(ax, MATCHING)
    ax.set_ylabel("matching accuracy (top 0.5 %)")
    _name_rungs(ax, rungs)


def _draw_over_n(left: Axes, right: Axes, runs: FinishedRuns) -> None:
    for metric, (colour, marker, _, name) in IDS.items():
        style.band(left, runs.curve("ladder_icons", metric, N), color=colour, marker=marker, label=name)
    sizes = runs.settings("ladder_icons", N)
    _shared_points(left, sizes, [estimates(runs, "ladder_icons", {N: n}) for n in sizes], joined=True)
    for prefix, (colour, marker, name) in {
        "": (style.X, "o", "out of sample"),
        "in_sample/": (style.Y, "s", "in sample"),
    }.items():
        curve = runs.curve("ladder_icons", f"{prefix}{MATCHING}", N)
        style.band(right, curve, color=colour, marker=marker, label=name)
    right.axhline(CHANCE, color=style.TRUTH, ls="--", lw=1, label=f"chance, {CHANCE}")
    style.y_axis(right, MATCHING)
    right.set_ylabel("matching accuracy (top 0.5 %)")
    _dimensions_axis(left)
    for ax in (left, right):
        ax.set(xlabel="training pairs n", xscale="log")
        ax.set_xticks(sizes, [f"{n:,.0f}" for n in sizes])
        ax.minorticks_off()


def _points(
    ax: Axes,
    runs: FinishedRuns,
    rungs: Mapping[tuple[str, Source], dict[str, Any]],
    metric: str,
    offset: float,
    **look: Any,
) -> None:
    """Draw mean ± one standard deviation of a metric for each data set."""
    values = [runs.values("ladder", metric, **where) for where in rungs.values()]
    places = np.arange(len(values)) + offset
    means = [float(v.mean()) for v in values]
    spread = [float(v.std()) if len(v) > 1 else 0.0 for v in values]
    ax.errorbar(places, means, spread, ls="none", elinewidth=1, **look)


def _shared_points(
    ax: Axes,
    places: Sequence[float],
    estimated: Sequence[tuple[float, float, float, bool]],
    joined: bool = False,
) -> None:
    """Draw estimates with their intervals: filled where a gap is clear, hollow where the spectrum decays."""
    colour, marker, _ = SHARED
    if joined:
        ax.plot(places, [number for number, *_ in estimated], color=colour, lw=1, ls=":")
    for clear, label in ((True, GAP), (False, DECAY)):
        chosen = [
            (place, number, low, high)
            for place, (number, low, high, is_clear) in zip(places, estimated, strict=True)
            if is_clear is clear and not math.isnan(number)
        ]
        if not chosen:
            continue
        at, numbers, low, high = (np.array(column) for column in zip(*chosen, strict=True))
        ax.errorbar(
            at,
            numbers,
            [np.maximum(numbers - low, 0), np.maximum(high - numbers, 0)],
            ls="none",
            elinewidth=1,
            color=colour,
            marker=marker,
            markerfacecolor=colour if clear else "none",
            label=label,
            clip_on=False,
        )


def _dimensions_axis(ax: Axes) -> None:
    """Scale the axis so that 2 and 3 stand apart beside 40, and 0 has a place."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.25)
    ax.set_ylabel("dimensions (logarithmic from 1)")
    ax.set_yticks(TICKS, [str(tick) for tick in TICKS])
    ax.minorticks_off()
    ax.set_ylim(0, None)


def _name_rungs(ax: Axes, rungs: Mapping[tuple[str, Source], dict[str, Any]]) -> None:
    ax.set_xticks(range(len(rungs)), [label for label, _ in rungs], rotation=30, ha="right")
    ax.set_xlabel("data set")
    ax.grid(visible=False, axis="x")


def _measured(runs: FinishedRuns, experiment: str, where: Mapping[str, Any]) -> str:
    """Return the estimate, ID, matching and τ of one run as text."""

    def text(metric: str, digits: int = 2) -> str:
        return mean_sd(runs.values(experiment, metric, **where), digits)

    number, low, high, clear = estimates(runs, experiment, where)
    interval, null = f"{low:g} to {high:g}", text("shared/null_gap")
    if math.isnan(number):
        estimated = len(runs.values(experiment, "shared/gap", **where)) > 0
        ratios = f"largest ratio {text('shared/gap')}, shuffled pairs {null}"
        shared = f"no number can be trusted ({ratios})" if estimated else "no estimate"
    elif clear and number == 0:
        shared = f"k̂* = 0, held-out matching is at chance (p = {text('shared/p_value')})"
    elif clear:
        sides = ", ".join(f"{side} {text(f'shared/side/{side}', 0)}" for side in "xy")
        shared = (
            f"k̂* = {number:g} ({interval}; gap {text('shared/gap')}, shuffled pairs {null}; alone {sides})"
        )
    else:
        shared = (
            f"no clear gap: 90 % of the spectrum in {number:g} ({interval}; largest ratio {text('shared/gap')}, "
            f"shuffled pairs {null})"
        )
    ids = "; ".join(
        f"{name} f {text(f'id/{key}/x')}, g {text(f'id/{key}/y')}"
        for key, name in (("mle", "MLE"), ("twonn", "TwoNN"))
    )
    matching = f"matching (top 0.5 %) {text(MATCHING)}, in sample {text(f'in_sample/{MATCHING}')}"
    return f"{shared}; {ids}; {matching}; τ {text('temperature', 3)}"

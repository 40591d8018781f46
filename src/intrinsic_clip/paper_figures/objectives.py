"""Which objectives adapt to the shared dimension: ranks, ID, matching, recovery and gaps of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.runs.vocabulary import describe

EXPERIMENTS = ("objectives",)
OPTIONAL = ("objectives_noisy", "objectives_mixed", "objectives_real")
OBJECTIVE, SOURCE, MIXING, NOISE = "objective._target_", "data._target_", "data.mixing", "data.noise"
SHARED = "data.shared_dim"
SIDES, DIRECTIONS = ("x", "y"), ("x_to_y", "y_to_x")
PANELS = {  # title: metrics of both sides or directions, pooled
    "consensus rank": ("consensus/rank",),
    "rank of one run's Jacobian": tuple(f"jacobian/rank/{side}" for side in SIDES),
    "MLE, harmonic mean": tuple(f"id/mle/{side}" for side in SIDES),
    "MLE, mean of points": tuple(f"id/mean_mle/{side}" for side in SIDES),
    "effective rank": tuple(f"spectrum/effective_rank/{side}" for side in SIDES),
    "top-1 recall": tuple(f"retrieval/top_1/{direction}" for direction in DIRECTIONS),
    "recovery of the latent": tuple(f"recovery/kernel/{side}" for side in SIDES),
    "gap of the centroids": ("modality_gap",),
    "gap of the distributions": ("distribution_gap",),
    "uniformity": tuple(f"uniformity/{side}" for side in SIDES),
}
RANKS = tuple(PANELS)[:2]
DIMENSIONS = tuple(PANELS)[:4]  # those that are to be compared with k*; an effective rank is not
SHARES = ("top-1 recall", "recovery of the latent")
MARKERS = "osD^vP*X"
NAMES = {  # class: name on the command line; contrastive ones first, floors last
    "InfoNCE": "infonce",
    "Decoupled": "decoupled",
    "CLOOB": "cloob",
    "TemperatureFree": "temperature_free",
    "IndividualTemperature": "individual",
    "Uncertainty": "uncertainty",
    "Sigmoid": "sigmoid",
    "Spectral": "spectral",
    "AlignmentUniformity": "alignment_uniformity",
    "Triplet": "triplet",
    "VICReg": "vicreg",
    "BarlowTwins": "barlow_twins",
    "DCCA": "dcca",
    "SoftDCCA": "soft_dcca",
    "CosineRegression": "cosine_regression",
    "MSE": "mse",
}
KINDS = (
    "linear",
    "nonlinear",
    "independent",
    "tanh mixing",
    "sine mixing",
)  # worlds, in the order of the legend
WORDS = {"OpenClipArt": "Open Clip Art", "IconFeatures": "icons"}


@dataclass(frozen=True)
class World:
    """Data on which the objectives are compared.

    Attributes:
        label: in the legend.
        k: how many dimensions its modalities share; None: unknown.
        rows: the numbers of its runs, as `runs.collect` returns them.
    """

    label: str
    k: int | None
    rows: pd.DataFrame


def worlds(runs: FinishedRuns) -> list[World]:
    """Return the worlds that have been run."""
    shown = []
    for experiment in (*EXPERIMENTS, *OPTIONAL):
        if experiment not in runs:
            continue
        table = runs.tables[experiment]
        keys = [key for key in (SOURCE, MIXING, NOISE) if key in table]
        for _, rows in table.groupby(keys, dropna=False):
            row = rows.iloc[0]
            shown.append(World(_label(row), _shared(row), rows))
    return sorted(shown, key=_place)


def _label(row: "pd.Series[str]") -> str:
    name = str(row[SOURCE]).rpartition(".")[2].removeprefix("Synthetic")
    if name == "Mixed":
        return f"{row[MIXING]} mixing"
    noise = row.get(NOISE)
    noisy = f", noise {noise:g}" if isinstance(noise, float) and noise > 0 else ""
    return WORDS.get(name, f"{name.lower()}{noisy}")


def _shared(row: "pd.Series[str]") -> int | None:
    """Return the known number of shared dimensions of a world."""
    if str(row[SOURCE]).endswith(".SyntheticIndependent"):
        return 0
    shared = row.get(SHARED)
    return None if shared is None or pd.isna(shared) else int(shared)


def _place(world: World) -> tuple[int, str]:
    kind = world.label.partition(",")[0]
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), world.label)


def draw(runs: FinishedRuns) -> Figure:
    """Draw a panel per number: a line per objective, a marker per world."""
    shown = worlds(runs)
    figure, axes = style.panels(len(PANELS), list(PANELS), rows=5)
    names = trained(world.rows[OBJECTIVE] for world in shown)
    figure.set_size_inches(8.0, 2.2 + 5 * (0.5 + (0.11 + 0.045 * len(shown)) * len(names)))
    for place, (ax, title) in enumerate(zip(axes, PANELS, strict=True)):
        _prepare(ax, title, [NAMES.get(name, name) for name in names], named=place % 2 == 0)
        for index, world in enumerate(shown):
            _draw_world(ax, world, title, names, (index, len(shown)))
        if title in DIMENSIONS:
            for k in {world.k for world in shown if world.k}:
                ax.axvline(k, color=style.TRUTH, ls="--", lw=1, zorder=1)
    figure.legend(handles=_legend(shown), loc="outside upper center", ncols=3)
    style.foot(figure, runs)
    return figure


def trained(columns: Iterable["pd.Series[str]"]) -> list[str]:
    """Return the classes of the objectives that have been trained, in the order of the figure."""
    present = {str(name).rpartition(".")[2] for column in columns for name in column.unique()}
    return [name for name in NAMES if name in present] + sorted(present - set(NAMES))


def _prepare(ax: Axes, title: str, names: list[str], named: bool) -> None:
    """Give a panel its rows, every second one shaded, and a scale that does not zoom in on small differences."""
    for place in range(0, len(names), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="black", alpha=0.05, lw=0)
    ax.set_yticks(range(len(names)), names if named else [""] * len(names))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    label = describe(PANELS[title][0]).axis_label
    note = " (none: no number)" if title in RANKS else ""
    ax.set(xlabel=f"{label}{note}", ylim=(len(names) - 0.5, -0.5))
    ax.update_datalim([(0, 0), (1 if title in SHARES else 0, 0)], updatey=False)  # R² may lie below 0
    if title in RANKS:
        style.ranks(ax.xaxis)


def _draw_world(ax: Axes, world: World, title: str, names: list[str], place: tuple[int, int]) -> None:
    """Draw mean ± sd of each objective in one world: open where some trainings have no number."""
    rows = world.rows[world.rows["metric"].isin(PANELS[title])]
    index, count = place
    colour, marker = style.SEQUENCE[index % len(style.SEQUENCE)], MARKERS[index % len(MARKERS)]
    for name, part in rows.groupby(rows[OBJECTIVE].str.split(".").str[-1])["value"]:
        at = names.index(str(name)) + 0.8 * ((index + 0.5) / count - 0.5)
        values = part.dropna()
        if values.empty and title not in RANKS:
            continue  # no latent to recover where nothing is shared
        ax.errorbar(
            style.NONE_AT if values.empty else values.mean(),
            at,
            xerr=values.std() if len(values) > 1 else 0.0,
            ls="",
            color=colour,
            marker=marker,
            mfc="white" if len(values) < len(part) else colour,
            ms=3.5,
            lw=1,
        )


def _legend(shown: list[World]) -> list[Line2D]:
    """Return a handle for each world, for the line at k* and for missing numbers."""
    handles = []
    for index, world in enumerate(shown):
        known = "unknown" if world.k is None else f"= {world.k}"
        colour, marker = style.SEQUENCE[index % len(style.SEQUENCE)], MARKERS[index % len(MARKERS)]
        handles.append(
            Line2D([], [], ls="", color=colour, marker=marker, label=f"{world.label} (k* {known})")
        )
    for k in sorted({world.k for world in shown if world.k}):
        handles.append(Line2D([], [], ls="--", lw=1, color=style.TRUTH, label=f"k* = {k}"))
    open_marker: dict[str, Any] = {"color": "black", "marker": "o", "mfc": "white"}
    return [
        *handles,
        Line2D([], [], ls="", label="open: some trainings, or all, have no number", **open_marker),
    ]


def claims(runs: FinishedRuns) -> list[Claim]:
    """List each objective's numbers, world by world."""
    lines = []
    for world in worlds(runs):
        for name, words in NAMES.items():
            rows = world.rows[world.rows[OBJECTIVE].str.split(".").str[-1] == name]
            if len(rows):
                lines.append(Claim(f"{world.label}, {words}", _numbers(rows)))
    return lines


def _numbers(rows: pd.DataFrame) -> str:
    parts = []
    for title, metrics in PANELS.items():
        measured = rows[rows["metric"].isin(metrics)]["value"]
        values = measured.dropna()
        if len(values):
            parts.append(f"{title} {mean_sd(values)}")
        elif title == "consensus rank" and len(measured):
            parts.append("consensus rank: no clear gap")
    return "; ".join(parts)

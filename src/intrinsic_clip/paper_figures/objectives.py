"""Which objectives adapt to the shared dimension: ranks, ID, matching, recovery and gaps of each."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.runs.vocabulary import describe

EXPERIMENTS = ("objectives",)
OPTIONAL = ("objectives_noisy", "objectives_mixed", "objectives_real")
OBJECTIVE, SOURCE, MIXING, NOISE = "objective._target_", "data._target_", "data.mixing", "data.noise"
K = 5
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
DIMENSIONS = tuple(PANELS)[:5]
ORDER = (  # contrastive ones first, floors last
    "InfoNCE", "Decoupled", "CLOOB", "TemperatureFree", "IndividualTemperature", "Uncertainty", "Sigmoid", "Spectral",
    "AlignmentUniformity", "Triplet", "VICReg", "BarlowTwins", "DCCA", "SoftDCCA", "CosineRegression", "MSE",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Data on which the objectives are compared.

    Attributes:
        label: in the legend.
        rows: the numbers of its runs, as `runs.collect` returns them.
    """

    label: str
    rows: pd.DataFrame


def worlds(runs: FinishedRuns) -> list[World]:
    """Return the worlds that have been run."""
    found = []
    for experiment in (*EXPERIMENTS, *OPTIONAL):
        if experiment not in runs:
            continue
        table = runs.tables[experiment]
        keys = [key for key in (SOURCE, MIXING, NOISE) if key in table]
        for _, rows in table.groupby(keys, dropna=False):
            found.append(World(_label(rows.iloc[0]), rows))
    return found


def _label(row: "pd.Series[str]") -> str:
    name = str(row[SOURCE]).rpartition(".")[2].removeprefix("Synthetic")
    if name == "Mixed":
        return f"{row[MIXING]} mixing"
    noise = row.get(NOISE)
    noisy = f", noise {noise:g}" if isinstance(noise, float) and noise > 0 else ""
    return f"{name.lower()}{noisy}"


def draw(runs: FinishedRuns) -> Figure:
    """Draw a panel per number: a line per objective, a marker per world."""
    shown = worlds(runs)
    figure, axes = style.panels(len(PANELS), list(PANELS), rows=2)
    present = {str(name).rpartition(".")[2] for world in shown for name in world.rows[OBJECTIVE].unique()}
    names = [name for name in ORDER if name in present] + sorted(present - set(ORDER))
    figure.set_size_inches(16.0, 3.0 + 0.36 * len(names))
    for place, (ax, title) in enumerate(zip(axes, PANELS, strict=True)):
        for index, world in enumerate(shown):
            _draw_world(ax, world, PANELS[title], names, (index, len(shown)))
        if title in DIMENSIONS:
            ax.axvline(K, color=style.TRUTH, ls="--", lw=1, label=f"k* = {K}")
        ax.set_yticks(range(len(names)), names if place % 5 == 0 else [""] * len(names))
        ax.set(
            xlabel=describe(PANELS[title][0]).axis_label, ylabel="objective", ylim=(len(names) - 0.5, -0.5)
        )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    style.foot(figure, runs)
    return figure


def _draw_world(
    ax: Axes, world: World, metrics: tuple[str, ...], names: list[str], place: tuple[int, int]
) -> None:
    rows = world.rows[world.rows["metric"].isin(metrics)].dropna(subset=["value"])
    summary = rows.groupby(rows[OBJECTIVE].str.split(".").str[-1])["value"].agg(["mean", "std"])
    summary = summary.reindex([name for name in names if name in summary.index])
    index, count = place
    at = [names.index(name) + 0.7 * ((index + 0.5) / count - 0.5) for name in summary.index]
    spread = summary["std"].fillna(0.0)
    colour, marker = style.SEQUENCE[index % len(style.SEQUENCE)], "osD^vP*X"[index % 8]
    ax.errorbar(
        summary["mean"], at, xerr=spread, ls="", color=colour, marker=marker, ms=4, lw=1, label=world.label
    )


def claims(runs: FinishedRuns) -> list[Claim]:
    """List each objective's numbers, world by world."""
    lines = []
    for world in worlds(runs):
        for name in ORDER:
            rows = world.rows[world.rows[OBJECTIVE].str.split(".").str[-1] == name]
            if len(rows):
                lines.append(Claim(f"{world.label}, {name}", _numbers(rows)))
    return lines


def _numbers(rows: pd.DataFrame) -> str:
    parts = []
    for title, metrics in PANELS.items():
        values = rows[rows["metric"].isin(metrics)]["value"].dropna()
        if len(values):
            parts.append(f"{title} {mean_sd(values)}")
        elif title == "consensus rank":
            parts.append("consensus rank: no clear gap")
    return "; ".join(parts)

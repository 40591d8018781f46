"""How all figures look, and the few kinds of panels they are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from intrinsic_clip.paper_figures.finished_runs import D, Runs, pair_similarities
from intrinsic_clip.runs.atomic import naming

# Okabe–Ito: told apart by colour-blind readers; lines differ in style and marker too, for print without colour.
X, Y, THIRD, FOURTH, TRUTH = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666"
SEQUENCE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
OUTPUT_DIM = "output dimension d"
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
SIDES = {"x": (X, "o", "f(X)"), "y": (Y, "s", "g(Y)")}


def panels(count: int, titles: Sequence[str] = (), rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels side by side, lettered, in the shared style."""
    plt.rcParams.update(RC)
    columns = -(-count // rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.1 * columns + 0.3, 2.75 * rows + 0.15), layout="constrained", squeeze=False
    )
    axes = list(grid.flat)
    for place, ax in enumerate(axes):
        title = titles[place] if place < len(titles) else ""
        ax.set_title(f"({chr(97 + place)}) {title}".rstrip(), loc="left")
        ax.set_visible(place < count)
    return figure, axes[:count]


def band(ax: Axes, curve: pd.DataFrame, at: str = "at", **line: Any) -> None:
    """The mean as a line, ± one standard deviation as a band."""
    if curve.empty:
        return
    (drawn,) = ax.plot(curve[at], curve["mean"], **line)
    spread = curve["std"].fillna(0.0)
    low, high = curve["mean"] - spread, curve["mean"] + spread
    ax.fill_between(curve[at], low, high, color=drawn.get_color(), alpha=0.18, lw=0)


def dimension(ax: Axes, runs: Runs, experiment: str, over: str = D, in_sample: bool = False) -> None:
    """ID of f(X) and g(Y) by the MLE over a setting, dotted on training rows if asked for."""
    for side, (colour, marker, name) in SIDES.items():
        curve = runs.curve(experiment, f"id/mle/{side}", over)
        band(ax, curve, color=colour, marker=marker, label=name)
        if in_sample:
            curve = runs.curve(experiment, f"in_sample/id/mle/{side}", over)
            band(ax, curve, color=colour, ls=":", label=f"{name}, in sample")
    ax.set(ylabel="intrinsic dimension")
    ax.set_ylim(bottom=0)


def matching(ax: Axes, runs: Runs, experiment: str, metric: str, over: str = D) -> None:
    """A matching accuracy over a setting, out of sample and, where it was measured, in sample; both among all rows."""
    metrics = set(runs.tables[experiment]["metric"])
    label = f"out of sample{runs.rows(experiment, 'test')}"
    band(ax, runs.curve(experiment, metric, over), color=X, marker="o", label=label)
    if f"in_sample/{metric}" in metrics:
        curve = runs.curve(experiment, f"in_sample/{metric}", over)
        label = f"in sample{runs.rows(experiment, 'train')}"
        band(ax, curve, color=Y, marker="s", ls="--", label=label)
    ax.set(ylabel="matching accuracy", ylim=(-0.02, 1.02))


def true_dim(ax: Axes, k: int) -> None:
    """A dashed line at k*."""
    ax.axhline(k, color=TRUTH, ls="--", lw=1, label=f"k* = {k}")


def histogram(ax: Axes, values: NDArray[Any], colour: str, label: str, bins: int = 60) -> None:
    """A density, filled and outlined."""
    ax.hist(values, bins=bins, density=True, histtype="stepfilled", color=colour, alpha=0.35)
    ax.hist(values, bins=bins, density=True, histtype="step", color=colour, lw=1, label=label)


def similarities(ax: Axes, embeddings: Mapping[str, NDArray[Any]]) -> None:
    """Densities of the similarities of positive pairs and of all others, as the loss sees them."""
    positive, random = pair_similarities(embeddings)
    histogram(ax, random, Y, "random pairs")
    histogram(ax, positive, X, "positive pairs")
    ax.set(xlabel="similarity", ylabel="density")
    ax.legend()


def foot(figure: Figure, runs: Runs) -> None:
    """Size, repetitions and data below the panels."""
    figure.supxlabel(runs.note, fontsize=7, color=TRUTH)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write PDF and PNG; nothing in them depends on the time."""
    paths = [folder / f"{name}.pdf", folder / f"{name}.png"]
    with naming(paths[0]):
        figure.savefig(paths[0], metadata={"CreationDate": None})
    with naming(paths[1]):
        figure.savefig(paths[1], dpi=160)
    plt.close(figure)
    return paths

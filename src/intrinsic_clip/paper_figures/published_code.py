"""Compare this pipeline with the paper's published code at the same settings.

`published_code.csv` holds what the published training gave (github.com/yugjerry/mmcl-adapt, commit 461856b):
`--dataset synthetic --d_z 5 --n_append 2000 --repN 3` at three output dimensions, its seed 2024, one CPU thread,
denormal numbers taken as zero, PyTorch 2.15.0 and scikit-dimension 0.5.0. Its data, networks, loss and order of random
draws are as published; parts that do not affect the numbers were left out. `mean_mle` is `MLE().fit_transform`, which
the published figures show: the mean of the points' estimates, where `MLE().fit` and this pipeline take the harmonic
mean.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

LOOK = {"synthetic_linear": (style.X, "o"), "synthetic_nonlinear": (style.Y, "s")}
EXPERIMENTS = tuple(LOOK)
TABLE = Path(__file__).with_suffix(".csv")
SHOWN = {
    "id/mle/x": "ID(f), harmonic mean",
    "id/mean_mle/x": "ID(f), mean of points",
    "matching/top_1/x_to_y": "matching (top 1)",
    "temperature": "temperature",
}


def published(experiment: str) -> pd.DataFrame:
    """Return the numbers of the published code: a row per repetition, columns d and our names of the metrics."""
    table = pd.read_csv(TABLE, comment="#")
    return table[table["experiment"] == experiment]


def ours(runs: FinishedRuns, experiment: str, metric: str, d: int) -> "pd.Series[float]":
    """Return a metric of finished runs, a number per repetition."""
    if "mean_mle" not in metric:
        return runs.values(experiment, metric, d=d)
    import torch  # takes seconds, and most of what a figure shows is in tables

    from intrinsic_clip.dimension import mle

    side = metric[-1]
    points = (torch.from_numpy(getattr(each, side)) for each in runs.all_embeddings(experiment, d))
    return pd.Series([float(mle(rows, combine="mean").value) for rows in points]).dropna()


def dims(runs: FinishedRuns, experiment: str) -> list[int]:
    """Return the output dimensions that both were trained at."""
    return sorted(set(published(experiment)["d"]) & set(runs.output_dims(experiment)))


def compared(
    runs: FinishedRuns,
) -> Iterator[tuple[str, int, dict[str, tuple["pd.Series[float]", "pd.Series[float]"]]]]:
    """Yield experiment, d, and by metric our numbers and theirs, wherever both were trained."""
    for experiment in EXPERIMENTS:
        theirs = published(experiment)
        for d in dims(runs, experiment):
            at = theirs[theirs["d"] == d]
            yield experiment, d, {m: (ours(runs, experiment, m, d), at[m]) for m in SHOWN}


def draw(runs: FinishedRuns) -> Figure:
    """Draw ID by either way of combining points, matching and τ: ours filled, theirs open, means ± one sd."""
    figure, axes = style.panels(len(SHOWN), list(SHOWN.values()))
    for experiment, d, pairs in compared(runs):
        colour, marker = LOOK[experiment]
        for ax, pair in zip(axes, pairs.values(), strict=True):
            for values, at, fill in zip(pair, (d - 0.6, d + 0.6), (colour, "white"), strict=True):
                spread = np.nan_to_num(values.std())
                ax.errorbar(at, values.mean(), spread, color=colour, marker=marker, mfc=fill, capsize=2)
    ticks = sorted(published(EXPERIMENTS[0])["d"].unique())
    for ax, metric in zip(axes, SHOWN, strict=True):
        style.y_axis(ax, metric)
        ax.set(xlabel=style.OUTPUT_DIM, xticks=ticks, xlim=(ticks[0] - 3, ticks[-1] + 3))
    for ax in axes[:2]:
        ax.set_ylim(0, 7)
        style.true_dim(ax, 5)
    for experiment, (colour, marker) in LOOK.items():
        name = experiment.removeprefix("synthetic_")
        axes[0].plot([], [], color=colour, marker=marker, ls="", label=f"{name}, this pipeline")
        axes[0].plot([], [], color=colour, marker=marker, mfc="white", ls="", label=f"{name}, published code")
    axes[0].legend(loc="lower right")
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that no two means are further apart than three standard errors, which take two repetitions at least."""
    lines = []
    for experiment, d, pairs in compared(runs):
        measured, alike = [], []
        for metric, (a, b) in pairs.items():
            digits = 4 if metric == "temperature" else 2
            alike.append(within_three_errors(a, b))
            differs = ": **differs**" if alike[-1] is False else ""
            measured.append(f"{SHOWN[metric]} {mean_sd(a, digits)}, theirs {mean_sd(b, digits)}{differs}")
        says = f"{experiment}, d = {d}: our numbers are those of the published code"
        lines.append(Claim(says, "; ".join(measured), None if None in alike else all(alike)))
    return lines


def within_three_errors(ours: "pd.Series[float]", theirs: "pd.Series[float]") -> bool | None:
    """Return whether two means are at most three standard errors apart; None where one has no standard error."""
    if min(len(ours), len(theirs)) < 2:
        return None
    return bool(abs(ours.mean() - theirs.mean()) <= 3 * np.hypot(ours.sem(), theirs.sem()))

"""The same settings through the paper's published code, and through this pipeline.

`published_code.csv` holds what the published training gave (github.com/yugjerry/mmcl-adapt, commit 461856b):
`--dataset synthetic --d_z 5 --n_append 2000 --repN 3` at three output dimensions, its seed 2024, one CPU thread,
denormal numbers taken as zero, PyTorch 2.15.0 and scikit-dimension 0.5.0. Its data, networks, loss and order of random
draws are as published; what does not bear on the numbers was left out. `mean_mle` is `MLE().fit_transform`, which the
published figures show: the mean of the points' estimates, where `MLE().fit` and this pipeline take the harmonic mean.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from intrinsic_clip.dimension import mle
from paper_figures import style
from paper_figures.claims import Claim, mean_sd
from paper_figures.runs import Runs

EXPERIMENTS = ("synthetic_linear", "synthetic_nonlinear")
TABLE = Path(__file__).with_suffix(".csv")
SHOWN = {
    "id/mle/x": ("ID(f), harmonic mean", "intrinsic dimension (MLE)"),
    "id/mean_mle/x": ("ID(f), mean of points", "intrinsic dimension (MLE)"),
    "matching/top_1/x_to_y": ("matching (top 1)", "matching accuracy"),
    "temperature": ("temperature", "τ"),
}


def published(experiment: str) -> pd.DataFrame:
    """What the published code gave: a row per repetition, columns d and our names of the metrics."""
    table = pd.read_csv(TABLE, comment="#")
    return table[table["experiment"] == experiment]


def ours(runs: Runs, experiment: str, metric: str, d: int) -> "pd.Series[float]":
    """The same metric of finished runs, a number per repetition."""
    if "mean_mle" not in metric:
        return runs.values(experiment, metric, d=d)
    points = torch.from_numpy(runs.all_embeddings(experiment, d)[metric[-1]])
    return pd.Series(mle(points, combine="mean").value.numpy()).dropna()


def dims(runs: Runs, experiment: str) -> list[int]:
    """The output dimensions that both were trained at."""
    return sorted(set(published(experiment)["d"]) & set(runs.output_dims(experiment)))


def draw(runs: Runs) -> Figure:
    """ID by either way of combining points, matching and τ: ours filled, theirs open, means ± one sd."""
    figure, axes = style.panels(len(SHOWN), [title for title, _ in SHOWN.values()])
    for experiment, colour, marker in zip(EXPERIMENTS, (style.X, style.Y), "os", strict=True):
        theirs = published(experiment)
        for ax, metric in zip(axes, SHOWN, strict=True):
            for d in dims(runs, experiment):
                for shift, values, fill in (
                    (-0.6, ours(runs, experiment, metric, d), colour),
                    (0.6, theirs.loc[theirs["d"] == d, metric], "white"),
                ):
                    spread = np.nan_to_num(values.std())
                    at = d + shift
                    ax.errorbar(at, values.mean(), spread, color=colour, marker=marker, mfc=fill, capsize=2)
    ticks = sorted(published(EXPERIMENTS[0])["d"].unique())
    for ax, (_, unit) in zip(axes, SHOWN.values(), strict=True):
        ax.set(xlabel=style.OUTPUT_DIM, ylabel=unit, xticks=ticks, xlim=(ticks[0] - 3, ticks[-1] + 3))
    for ax in axes[:2]:
        ax.set_ylim(0, 7)
        style.true_dim(ax, 5)
    axes[2].set_ylim(-0.02, 1.02)
    axes[3].set_yscale("log")
    for experiment, colour, marker in zip(EXPERIMENTS, (style.X, style.Y), "os", strict=True):
        name = experiment.removeprefix("synthetic_")
        axes[0].plot([], [], color=colour, marker=marker, ls="", label=f"{name}, this pipeline")
        axes[0].plot([], [], color=colour, marker=marker, mfc="white", ls="", label=f"{name}, published code")
    axes[0].legend(loc="lower right")
    style.foot(figure, runs)
    return figure


def claims(runs: Runs) -> list[Claim]:
    """That the two give the same numbers: no two means are further apart than three standard errors."""
    found = []
    for experiment in EXPERIMENTS:
        theirs = published(experiment)
        for d in dims(runs, experiment):
            measured, alike = [], []
            for metric, (name, _) in SHOWN.items():
                a, b = ours(runs, experiment, metric, d), theirs.loc[theirs["d"] == d, metric]
                digits = 4 if metric == "temperature" else 2
                apart = abs(a.mean() - b.mean()) / np.hypot(a.sem(), b.sem())
                alike.append(bool(apart <= 3))
                differs = "" if alike[-1] else ": **differs**"
                measured.append(f"{name} {mean_sd(a, digits)}, theirs {mean_sd(b, digits)}{differs}")
            says = f"{experiment}, d = {d}: our numbers are those of the published code"
            found.append(Claim(says, "; ".join(measured), all(alike)))
    return found

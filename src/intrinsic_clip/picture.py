"""The picture of a run: loss, temperature, intrinsic dimension and matching over training."""

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from intrinsic_clip.results import naming

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"  # Okabe–Ito: told apart by colour-blind readers


def draw_run(metrics: pd.DataFrame, results: dict[str, Any], path: Path) -> None:
    """Write a PNG of four panels from a run's metrics table (columns step, epoch, metric, value)."""
    curves = {str(name): rows.sort_values("step") for name, rows in metrics.groupby("metric")}
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), sharex=True, layout="constrained")
    _draw_loss(axes[0, 0], curves)
    _draw_temperature(axes[0, 1], curves)
    _draw_dimension(axes[1, 0], curves, results)
    _draw_matching(axes[1, 1], curves, results)
    for ax in axes.flat:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[1]:
        ax.set_xlabel("training step")
    config = results["config"]
    figure.suptitle(f"{config['name']}, d = {config['encoder']['output_dim']}, seed {config['seed']}")
    with naming(path):
        figure.savefig(path, dpi=120)
    plt.close(figure)


def _plot(ax: Axes, curves: dict[str, pd.DataFrame], name: str, **style: Any) -> None:
    if name in curves:
        ax.plot(curves[name]["step"], curves[name]["value"], **style)


def _draw_loss(ax: Axes, curves: dict[str, pd.DataFrame]) -> None:
    if "loss" in curves:
        loss = curves["loss"]
        ax.plot(loss["step"], loss["value"], color=BLUE, alpha=0.2, lw=0.6, label="each step")
        epochs = loss.groupby("epoch").agg(step=("step", "max"), value=("value", "mean"))
        ax.plot(epochs["step"], epochs["value"], color=BLUE, lw=1.5, label="mean of an epoch")
        ax.legend(frameon=False)
    ax.set(title="InfoNCE loss on training batches", ylabel="nats")


def _draw_temperature(ax: Axes, curves: dict[str, pd.DataFrame]) -> None:
    _plot(ax, curves, "temperature", color=BLUE, lw=1.5)
    ax.set(title="temperature τ", ylabel="τ (log scale)", yscale="log")


def _draw_dimension(ax: Axes, curves: dict[str, pd.DataFrame], results: dict[str, Any]) -> None:
    for estimator, line in (("mle", "-"), ("twonn", ":")):
        label = {"mle": "MLE", "twonn": "TwoNN"}[estimator]
        _plot(ax, curves, f"id/{estimator}/x", color=BLUE, ls=line, label=f"f(X), {label}")
        _plot(ax, curves, f"id/{estimator}/y", color=ORANGE, ls=line, label=f"g(Y), {label}")
    if results["shared_dim"]:
        ax.axhline(
            results["shared_dim"], color=GREY, ls="--", lw=1, label=f"true k* = {results['shared_dim']}"
        )
    ax.set(title="intrinsic dimension on held-out rows", ylabel="dimensions")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, ncols=2, fontsize="small")


def _draw_matching(ax: Axes, curves: dict[str, pd.DataFrame], results: dict[str, Any]) -> None:
    names = sorted(name for name in curves if name.startswith("matching/top_") and name.endswith("/x_to_y"))
    for name, line in zip(names, ("-", "--", ":", "-."), strict=False):
        label = name.split("/")[1].removeprefix("top_").replace("pct", " %")
        for direction, colour, arrow in (("x_to_y", BLUE, "x → y"), ("y_to_x", ORANGE, "y → x")):
            key = name.replace("x_to_y", direction)
            _plot(ax, curves, key, color=colour, ls=line, label=f"{arrow}, top {label}")
    ax.set(
        title=f"partner found among {results['n_test']:,} held-out rows",
        ylabel="share of pairs",
        ylim=(-0.02, 1.02),
    )
    ax.legend(frameon=False, fontsize="small")

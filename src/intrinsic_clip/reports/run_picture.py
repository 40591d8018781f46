"""The picture of a run: loss, temperature, intrinsic dimension and matching over training, or over d."""

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from intrinsic_clip.runs.atomic import naming
from intrinsic_clip.runs.replicates import Replicates

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"  # Okabe–Ito: told apart by colour-blind readers


def draw_run(metrics: pd.DataFrame, results: dict[str, Any], path: Path) -> None:
    """Write a PNG of four panels; bands are ± one standard deviation over replicates.

    Args:
        metrics: a run's metrics over time, as `results.read_metrics` gives it.
        results: what results.json holds.
        path: of the PNG.
    """
    replicates = Replicates.of(results["config"])
    over_training = replicates.output_dims is None
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), sharex=True, layout="constrained")
    curves = _over_training(metrics) if over_training else _over_output_dims(results, replicates)
    _draw_loss(axes[0, 0], curves)
    _draw_temperature(axes[0, 1], curves)
    _draw_dimension(axes[1, 0], curves, results)
    _draw_matching(axes[1, 1], curves, results)
    for ax in axes.flat:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[1]:
        ax.set_xlabel("training step" if over_training else "output dimension d")
    figure.suptitle(_title(results["config"], replicates))
    with naming(path):
        figure.savefig(path, dpi=120)
    plt.close(figure)


def _title(config: dict[str, Any], replicates: Replicates) -> str:
    d = "" if replicates.output_dims else f", d = {config['encoder']['output_dim']}"
    many = (
        ""
        if len(replicates.indices or ()) < 2
        else f", {len(replicates.indices or ())} replicates (mean ± sd)"
    )
    return f"{config['name']}{d}, seed {config['seed']}{many}"


def _over_training(metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Of each metric a table with columns at (the step), value and spread; spread is NaN without replicates."""
    grouped = (
        metrics.groupby(["metric", "epoch", "step"], dropna=False)["value"].agg(["mean", "std"]).reset_index()
    )
    grouped = grouped.rename(columns={"step": "at", "mean": "value", "std": "spread"})
    return {str(name): rows.sort_values("at") for name, rows in grouped.groupby("metric")}


def _over_output_dims(results: dict[str, Any], replicates: Replicates) -> dict[str, pd.DataFrame]:
    """The same of final numbers, at the output dimensions."""
    columns = {"mean": "value", "std": "spread"}
    return {
        name: pd.DataFrame(summary)[["mean", "std"]]
        .astype(float)
        .rename(columns=columns)
        .assign(at=list(replicates.output_dims or ()))
        for name, summary in results["metrics"].items()
    }


def _plot(ax: Axes, curves: dict[str, pd.DataFrame], name: str, **style: Any) -> None:
    if name not in curves:
        return
    curve = curves[name].sort_values("at")
    ax.plot(curve["at"], curve["value"], **style)
    if curve["spread"].notna().any():
        low, high = curve["value"] - curve["spread"], curve["value"] + curve["spread"]
        ax.fill_between(curve["at"], low, high, color=style["color"], alpha=0.15, lw=0)


def _draw_loss(ax: Axes, curves: dict[str, pd.DataFrame]) -> None:
    ax.set(title="InfoNCE loss on training batches", ylabel="nats")
    if "loss" not in curves:
        return
    if "epoch" not in curves["loss"]:
        _plot(ax, curves, "loss", color=BLUE, lw=1.5, label="mean of the last epoch")
    else:
        loss = curves["loss"]
        ax.plot(loss["at"], loss["value"], color=BLUE, alpha=0.2, lw=0.6, label="each step")
        epochs = loss.groupby("epoch").agg(at=("at", "max"), value=("value", "mean"))
        ax.plot(epochs["at"], epochs["value"], color=BLUE, lw=1.5, label="mean of an epoch")
    ax.legend(frameon=False)


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

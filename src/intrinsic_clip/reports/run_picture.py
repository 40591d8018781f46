"""Draw the picture of a run: loss, temperature, intrinsic dimension and matching over training, or over d."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from intrinsic_clip.paper_figures.style import logarithmic, mark_lone_points
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.vocabulary import (
    DIRECTIONS,
    FURTHER_DIRECTIONS,
    MODALITIES,
    describe,
    estimator_title,
)

# Okabe–Ito: distinguishable for colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")  # of modalities, and of directions
LINE_STYLES = ("-", "--", ":", "-.")
ESTIMATORS = {"mle": "-", "twonn": ":"}  # line styles; k* is dashed

# By metric: columns at, value, spread (NaN without replicates), count of numbers and size.
Curves = Mapping[str, pd.DataFrame]


def draw_run(metrics: pd.DataFrame, results: dict[str, Any], path: Path) -> None:
    """Write a PNG of four panels; bands are ± one standard deviation over replicates.

    Args:
        metrics: a run's metrics over time, as `results.read_metrics` returns them.
        results: the content of results.json.
        path: of the PNG.
    """
    figure = run_figure(metrics, results)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())


def run_figure(metrics: pd.DataFrame, results: dict[str, Any]) -> Figure:
    """Return the figure of four panels."""
    replicates = Replicates.of(results["config"])
    over_training = replicates.output_dims is None
    curves = _over_training(metrics) if over_training else _over_output_dims(results, replicates)
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    _draw_loss(axes[0, 0], curves)
    _draw_temperature(axes[0, 1], curves)
    _draw_dimension(axes[1, 0], curves, results["shared_dim"])
    _draw_matching(axes[1, 1], curves, results["n_test"])
    for ax in axes.flat:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[1]:
        ax.set_xlabel("training step" if over_training else "output dimension d")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    of_fewer = any(
        (curve["count"] < curve["size"]).any() for name, curve in curves.items() if _is_drawn(name)
    )
    figure.suptitle(_title(results["config"], replicates, of_fewer))
    return figure


def _is_drawn(name: str) -> bool:
    """Return whether a panel shows a metric."""
    drawn = ("matching/top_", "retrieval/top_", *(f"id/{estimator}/" for estimator in ESTIMATORS))
    return name in ("loss", "temperature") or name.startswith(drawn)


def _title(config: dict[str, Any], replicates: Replicates, of_fewer: bool) -> str:
    d = "" if replicates.output_dims else f", d = {config['encoder']['output_dim']}"
    count = len(replicates.indices or ())
    fewer = ", of fewer where some have no number" if of_fewer else ""
    repetitions = "" if count < 2 else f", {count} replicates (mean ± sd{fewer})"
    return f"{config['name']}{d}, seed {config['seed']}{repetitions}"


def _over_training(metrics: pd.DataFrame) -> Curves:
    """Return each metric over training steps, those at which every replicate has it."""
    steps = metrics.groupby(["metric", "epoch", "step"], dropna=False)["value"]
    grouped = steps.agg(["mean", "std", "count", "size"]).reset_index()
    grouped = grouped[grouped["size"] == grouped.groupby("metric")["size"].transform("max")]
    grouped = grouped.rename(columns={"step": "at", "mean": "value", "std": "spread"})
    return {str(name): rows.sort_values("at") for name, rows in grouped.groupby("metric")}


def _over_output_dims(results: dict[str, Any], replicates: Replicates) -> Curves:
    """Return each final number over output dimensions."""
    columns = {"mean": "value", "std": "spread"}
    return {
        name: pd.DataFrame(summary)[["mean", "std"]]
        .astype(float)
        .rename(columns=columns)
        .assign(
            at=list(replicates.output_dims or ()),
            count=[sum(value is not None for value in values) for values in summary["values"]],
            size=[len(values) for values in summary["values"]],
        )
        for name, summary in results["metrics"].items()
    }


def _plot(ax: Axes, curves: Curves, name: str, **style: Any) -> None:
    if name not in curves:
        return
    curve = curves[name].sort_values("at")
    (line,) = ax.plot(curve["at"], curve["value"], **style)
    if curve["spread"].notna().any():
        low, high = curve["value"] - curve["spread"], curve["value"] + curve["spread"]
        ax.fill_between(curve["at"], low, high, color=style["color"], alpha=0.15, lw=0)
    mark_lone_points(ax, line, curve["spread"])


def _draw_loss(ax: Axes, curves: Curves) -> None:
    metric = describe("loss")
    ax.set(title=metric.title, ylabel=metric.scale.unit)
    if "loss" not in curves:
        return
    loss = curves["loss"]
    if "epoch" not in loss:
        _plot(ax, curves, "loss", color=BLUE, lw=1.5, label="mean of the last epoch")
    else:
        ax.plot(loss["at"], loss["value"], color=BLUE, alpha=0.2, lw=0.6, label="each step")
        epochs = loss.groupby("epoch").agg(at=("at", "max"), value=("value", "mean"))
        (line,) = ax.plot(epochs["at"], epochs["value"], color=BLUE, lw=1.5, label="mean of an epoch")
        mark_lone_points(ax, line, 0.0)
    ax.legend(frameon=False)


def _draw_temperature(ax: Axes, curves: Curves) -> None:
    metric = describe("temperature")
    _plot(ax, curves, "temperature", color=BLUE, lw=1.5)
    ax.set(title=metric.title, ylabel=f"{metric.short} (log scale)")
    logarithmic(ax.yaxis)


def _draw_dimension(ax: Axes, curves: Curves, shared_dim: int | None) -> None:
    for estimator, line in ESTIMATORS.items():
        for (side, words), colour in zip(MODALITIES.items(), COLOURS, strict=True):
            label = f"{words}, {estimator_title(estimator)}"
            _plot(ax, curves, f"id/{estimator}/{side}", color=colour, ls=line, label=label)
    if shared_dim:
        ax.axhline(shared_dim, color=GREY, ls="--", lw=1, label=f"true k* = {shared_dim}")
    metric = describe("id/mle/x")
    title = f"{metric.quantity.capitalize()} on held-out rows"
    ax.set(title=title, ylabel=metric.scale.unit)
    ax.set_ylim(bottom=0)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, ncols=2, fontsize="small")


def _draw_matching(ax: Axes, curves: Curves, n_test: int) -> None:
    names = [name for name in curves if name.startswith(("matching/top_", "retrieval/top_"))]
    metrics = sorted((describe(name) for name in names), key=lambda metric: metric.order)
    charts = list(dict.fromkeys(metric.chart for metric in metrics))
    for chart, line in zip(charts, LINE_STYLES, strict=False):
        others = {way: arrow for way, arrow in FURTHER_DIRECTIONS.items() if f"{chart}/{way}" in curves}
        for (direction, arrow), colour in zip((DIRECTIONS | others).items(), COLOURS, strict=False):
            name = f"{chart}/{direction}"
            _plot(ax, curves, name, color=colour, ls=line, label=f"{arrow}, {_lowered(describe(name).short)}")
    metric = describe("matching/top_1/x_to_y")
    title = f"{metric.quantity.capitalize()} among {n_test:,} held-out rows"
    ax.set(title=title, ylabel=metric.scale.unit, ylim=(-0.02, 1.02))
    if charts:
        ax.legend(frameon=False, fontsize="small")


def _lowered(words: str) -> str:
    return words[:1].lower() + words[1:]

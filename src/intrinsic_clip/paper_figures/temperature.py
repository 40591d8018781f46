"""Learned τ beside fixed, clamped, scheduled and per-direction ones: ID, rank, gap and matching."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("temperature",)
OPTIONAL = ("temperature_fixed", "temperature_sigmoid")
KIND, SOURCE, TAU = "objective.temperature._target_", "data._target_", "objective.temperature.tau"
BIAS, LEARNS_BIAS = "objective.bias", "objective.learn_bias"
K = 5
PANELS = {
    "id/mle/x": "ID of f(X) (MLE)",
    "jacobian/rank/x": "rank of the Jacobian",
    "modality_gap": "gap of the centroids",
    "retrieval/top_1/x_to_y": "top-1 recall",
}
KINDS = {  # class of the temperature: label and marker
    "LearnedTemperature": ("learned", "*"),
    "TemperaturePerDirection": ("one per direction", "P"),
    "ClampedTemperature": ("clamped at 0.01", "^"),
    "ScheduledTemperature": ("scheduled to 0.05", "v"),
    "FixedTemperature": ("fixed", "o"),
}
BIASES = {True: "sigmoid, bias learned", False: "sigmoid, bias fixed"}


def draw(runs: FinishedRuns) -> Figure:
    """Draw each number over the final τ, a row for each data source."""
    sources = runs.settings("temperature", SOURCE)
    titles = [f"{title}, {style.source_words(source)}" for source in sources for title in PANELS.values()]
    figure, axes = style.panels(len(titles), titles, rows=len(sources))
    for place, ax in enumerate(axes):
        metric, source = list(PANELS)[place % len(PANELS)], sources[place // len(PANELS)]
        shown = series(runs, source)
        for index, (label, rows) in enumerate(shown.items()):
            _draw_series(ax, rows, metric, label, index)
        taus = pd.concat([rows[rows["metric"] == "temperature"]["value"] for rows in shown.values()])
        ax.set_xlim(taus.min() / 1.5, taus.max() * 1.5)  # a panel may hold no number, such as no clear rank
        if metric in ("id/mle/x", "jacobian/rank/x"):
            style.true_dim(ax, K)
        style.y_axis(ax, metric)
        style.logarithmic(ax.xaxis)
        ax.set_xlabel("final τ")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    style.foot(figure, runs)
    return figure


def series(runs: FinishedRuns, source: str) -> dict[str, pd.DataFrame]:
    """Return the numbers of the runs on a data source by what their temperature is."""
    parts: dict[str, pd.DataFrame] = {}
    for experiment in ("temperature", "temperature_fixed"):
        if experiment in runs:
            table = runs.tables[experiment]
            for kind, (label, _) in KINDS.items():
                rows = table[(table[SOURCE] == source) & table[KIND].str.endswith(f".{kind}")]
                if len(rows):
                    parts[label] = rows
    if "temperature_sigmoid" in runs:
        table = runs.tables["temperature_sigmoid"]
        for learns, label in BIASES.items():
            rows = table[(table[SOURCE] == source) & (table[LEARNS_BIAS] == learns)]
            if len(rows):
                parts[label] = rows
    return parts


def _draw_series(ax: Axes, rows: pd.DataFrame, metric: str, label: str, index: int) -> None:
    """Draw a marker for each run: means over replicates, ± sd."""
    markers = {label: marker for label, marker in KINDS.values()}
    for place, (_, run) in enumerate(rows.groupby("run")):
        taus, values = (run[run["metric"] == name]["value"].dropna() for name in ("temperature", metric))
        ax.errorbar(
            taus.mean(),
            values.mean(),
            yerr=values.std() if len(values) > 1 else 0.0,
            ls="",
            color=style.SEQUENCE[index % len(style.SEQUENCE)],
            marker=markers.get(label, "s"),
            label=None if place else label,
        )


def claims(runs: FinishedRuns) -> list[Claim]:
    """List the final numbers of each temperature."""
    lines = []
    for source in runs.settings("temperature", SOURCE):
        for label, rows in series(runs, source).items():
            for _, run in rows.groupby("run"):
                lines.append(Claim(f"{style.source_words(source)}, {label}{_setting(run)}", _numbers(run)))
    return lines


def _setting(run: pd.DataFrame) -> str:
    row, parts = run.iloc[0], []
    if TAU in run and pd.notna(row[TAU]):
        parts.append(f"τ = {row[TAU]:g}")
    if BIAS in run and pd.notna(row[BIAS]):
        parts.append(f"bias from {row[BIAS]:g}")
    return f" ({', '.join(parts)})" if parts else ""


def _numbers(run: pd.DataFrame) -> str:
    names = {"temperature": "τ", **PANELS}
    parts = []
    for metric, title in names.items():
        values = run[run["metric"] == metric]["value"].dropna()
        if len(values):
            parts.append(f"{title} {mean_sd(values, 3)}")
    return "; ".join(parts)

"""Learned τ beside fixed, clamped, scheduled and per-direction ones: ID, rank, gap and matching."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, setting_columns

EXPERIMENTS = ("temperature",)
OPTIONAL = ("temperature_fixed", "temperature_sigmoid")
KIND, SOURCE, TAU = "objective.temperature._target_", "data._target_", "objective.temperature.tau"
BIAS, LEARNS_BIAS = "objective.bias", "objective.learn_bias"
K = 5
RANK = "rank of one run's Jacobian"
PANELS = {  # number: what is drawn filled, and what open
    "ID (MLE)": ("id/mle/x", "id/mle/y"),
    RANK: ("jacobian/rank/x", "jacobian/rank/y"),
    "gap of the centroids": ("modality_gap",),
    "top-1 recall": ("retrieval/top_1/x_to_y", "retrieval/top_1/y_to_x"),
}
CLAIMED = {  # words of the claims: metrics, pooled
    "τ": ("temperature",),
    "ID of f(X) (MLE)": ("id/mle/x",),
    "ID of g(Y) (MLE)": ("id/mle/y",),
    "rank of the Jacobian of f": ("jacobian/rank/x",),
    "of g": ("jacobian/rank/y",),
    "gap of the centroids": ("modality_gap",),
    "top-1 recall": ("retrieval/top_1/x_to_y", "retrieval/top_1/y_to_x"),
}
KINDS = {  # class of the temperature: label and marker
    "LearnedTemperature": ("learned", "*"),
    "TemperaturePerDirection": ("one per direction", "P"),
    "ClampedTemperature": ("clamped at 0.01", "^"),
    "ScheduledTemperature": ("scheduled to 0.05", "v"),
    "FixedTemperature": ("fixed", "o"),
}
BIASES = {True: "sigmoid, bias learned", False: "sigmoid, bias fixed"}
BIAS_MARKERS = "<s>D"  # by the bias at the start, from the lowest
RING = 7.0  # size of the markers of g and y → x
SIDE_BY_SIDE = 1.18  # factor between sigmoid losses of the same τ, which would cover each other


@dataclass(frozen=True)
class Points:
    """Runs that are drawn with one marker.

    Attributes:
        label: in the legend.
        rows: their numbers.
        colour, marker: how they are drawn.
        shift: factor on τ.
    """

    label: str
    rows: pd.DataFrame
    colour: str
    marker: str
    shift: float = 1.0


def draw(runs: FinishedRuns) -> Figure:
    """Draw each number over the final τ, a column for each loss and data source, the scale of a row the same."""
    columns = _columns(runs)
    titles = [heading if row == 0 else "" for row in range(len(PANELS)) for heading in columns]
    figure, axes = style.panels(len(PANELS) * len(columns), titles, rows=len(PANELS))
    figure.set_size_inches(max(7.5, 2.4 * len(columns)), 9.6)
    for place, ax in enumerate(axes):
        row, column = divmod(place, len(columns))
        if column:
            ax.sharey(axes[row * len(columns)])
        _draw_panel(ax, list(columns.values())[column], list(PANELS)[row])
        is_spread = any(points.shift != 1 for points in list(columns.values())[column])
        label = "final τ, biases side by side" if is_spread else "final τ"
        ax.set_xlabel(label if row == len(PANELS) - 1 else "")
        ax.set_ylabel(list(PANELS)[row] if column == 0 else "")
        ax.tick_params(labelleft=column == 0)
    figure.legend(handles=_legend(columns), loc="outside upper center", ncols=3 if len(columns) < 4 else 4)
    style.foot(figure, runs)
    return figure


def _columns(runs: FinishedRuns) -> dict[str, list[Points]]:
    """Return what each column shows, by its heading: InfoNCE, then the sigmoid loss where it has been run."""
    columns: dict[str, list[Points]] = {}
    for loss in ("InfoNCE", "sigmoid"):
        for source in runs.settings("temperature", SOURCE):
            parts = series(runs, source)
            if loss == "InfoNCE":
                parts = {label: rows for label, rows in parts.items() if label not in BIASES.values()}
                points = _by_kind(parts)
            else:
                parts = {label: rows for label, rows in parts.items() if label in BIASES.values()}
                points = _by_bias(parts)
            if points:
                columns[f"{loss}, {style.source_words(source)}"] = points
    return columns


def _by_kind(parts: dict[str, pd.DataFrame]) -> list[Points]:
    labels = [label for label, _ in KINDS.values()]
    markers = dict(KINDS.values())
    return [
        Points(label, rows, style.SEQUENCE[labels.index(label)], markers[label])
        for label, rows in parts.items()
    ]


def _by_bias(parts: dict[str, pd.DataFrame]) -> list[Points]:
    biases = sorted({bias for rows in parts.values() for bias in rows[BIAS].unique()})
    points = []
    for label, rows in parts.items():
        is_fixed = label == BIASES[False]
        for bias, part in rows.groupby(BIAS):
            place = biases.index(bias)
            words = f"bias {'fixed at' if is_fixed else 'learned from'} {bias:g}".replace("-", "−")
            shift = SIDE_BY_SIDE ** (2 * place + is_fixed - len(biases) + 0.5)
            points.append(
                Points(
                    words, part, style.SEQUENCE[5 + is_fixed], BIAS_MARKERS[place % len(BIAS_MARKERS)], shift
                )
            )
    return points


def _draw_panel(ax: Axes, columns: list[Points], title: str) -> None:
    """Draw one number of each run: f, or x → y, filled, and g, or y → x, as a ring about it."""
    metrics = PANELS[title]
    for points in columns:
        for metric, is_open in zip(metrics, (False, True), strict=False):
            _draw_points(ax, points, metric, is_open)
    finals = pd.concat([each.rows[each.rows["metric"] == "temperature"]["value"] for each in columns])
    if "id/mle/x" in metrics or title == RANK:
        ax.axhline(K, color=style.TRUTH, ls="--", lw=1)
    style.logarithmic(ax.xaxis)
    if finals.notna().any():  # a training that has diverged has no final τ
        ax.set_xlim(finals.min() / 2, finals.max() * 2)
    if any(points.shift != 1 for points in columns):
        ax.set_xticks(finals.unique(), [f"{tau:g}" for tau in finals.unique()])
        ax.set_xticks([], minor=True)
    if title == "gap of the centroids":
        style.logarithmic(ax.yaxis)  # that of the sigmoid loss is a hundred times that of InfoNCE
    elif title == "top-1 recall":
        ax.set_ylim(-0.04, 1.04)
    elif title == RANK:
        style.ranks(ax.yaxis)
    else:
        ax.update_datalim([(1.0, 0.0), (1.0, K + 2.0)], updatex=False)


def _draw_points(ax: Axes, points: Points, metric: str, is_open: bool) -> None:
    """Draw a marker for each setting: means over repetitions, ± sd; at `none` where no repetition has a rank."""
    for _, run in points.rows.groupby(setting_columns(points.rows), dropna=False):
        tau = run[run["metric"] == "temperature"]["value"].mean() * points.shift
        values = run[run["metric"] == metric]["value"].dropna()
        if values.empty and not metric.startswith("jacobian/"):
            continue
        ax.errorbar(
            tau,
            style.NONE_AT if values.empty else values.mean(),
            yerr=values.std() if len(values) > 1 else 0.0,
            ls="",
            color=points.colour,
            marker=points.marker,
            ms=RING if is_open else 3.5,
            mfc="none" if is_open else points.colour,
            elinewidth=1,
        )


def _legend(columns: dict[str, list[Points]]) -> list[Line2D]:
    """Return a handle for each kind of temperature or bias, for both sides and for k*."""
    drawn = {points.label: points for column in columns.values() for points in column}
    handles = [
        Line2D([], [], ls="", color=points.colour, marker=points.marker, label=label)
        for label, points in drawn.items()
    ]
    grey: dict[str, Any] = {"ls": "", "color": style.TRUTH, "marker": "o"}
    return [
        *handles,
        Line2D([], [], label="filled: f(X), or x → y", **grey),
        Line2D([], [], label="ring: g(Y), or y → x", ms=RING, mfc="none", **grey),
        Line2D([], [], color=style.TRUTH, ls="--", lw=1, label=f"k* = {K}"),
    ]


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


def claims(runs: FinishedRuns) -> list[Claim]:
    """List the final numbers of each temperature."""
    lines = []
    for source in runs.settings("temperature", SOURCE):
        for label, rows in series(runs, source).items():
            for _, run in rows.groupby(setting_columns(rows), dropna=False):
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
    parts = []
    for words, metrics in CLAIMED.items():
        values = run[run["metric"].isin(metrics)]["value"].dropna()
        if len(values):
            parts.append(f"{words} {mean_sd(values, 3)}")
    return "; ".join(parts)

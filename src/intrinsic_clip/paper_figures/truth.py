"""Which estimators follow the true dimension of learned representations: estimated against true, by setting."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("truth", "truth_mixed")
K, SOURCE, MIXING = "data.shared_dim", "data._target_", "data.mixing"
SIDES = ("x", "y")
ORDER = ("linear", "nonlinear", "gaussian nonlinear", "rotated mixing")  # the paper's settings first


@dataclass(frozen=True)
class Shown:
    """An estimator of the figure.

    Attributes:
        label: in the legend and the table.
        metrics: whose values are pooled: of both modalities, where it has one for each.
        colour, marker, line: how it is drawn.
    """

    label: str
    metrics: tuple[str, ...]
    colour: str
    marker: str
    line: str = "-"

    @property
    def face(self) -> str:
        """Colour inside the marker: dotted lines have open markers."""
        return "white" if self.line == ":" else self.colour


def _of_both(name: str) -> tuple[str, ...]:
    return tuple(f"{name}/{side}" for side in SIDES)


ESTIMATORS = (
    Shown("MLE, harmonic mean", _of_both("id/mle"), style.SEQUENCE[0], "o"),
    Shown("MLE, mean of points", _of_both("id/mean_mle"), style.SEQUENCE[0], "o", ":"),
    Shown("TwoNN", _of_both("id/twonn"), style.SEQUENCE[1], "s"),
    Shown("GRIDE", _of_both("id/gride"), style.SEQUENCE[4], "D", ":"),
    Shown("local PCA", _of_both("id/local_pca"), style.SEQUENCE[2], "^"),
    Shown("spanning tree", _of_both("id/spanning_tree"), style.SEQUENCE[5], "v"),
    Shown("participation ratio", _of_both("id/corrected_participation_ratio"), style.SEQUENCE[3], "P"),
    Shown("Jacobian, one run", _of_both("jacobian/rank"), style.TRUTH, "X", ":"),
    Shown("consensus rank", ("consensus/rank",), style.SEQUENCE[6], "*"),
)


@dataclass(frozen=True)
class Setting:
    """Runs that differ in k* alone.

    Attributes:
        experiment: that they belong to.
        column, value: the setting that sets them apart.
        label: of its panel.
    """

    experiment: str
    column: str
    value: str
    label: str


def settings(runs: FinishedRuns) -> list[Setting]:
    """Return the settings that have been run, the paper's first."""
    found = []
    for source in runs.settings("truth", SOURCE):
        words = source.rpartition(".Synthetic")[2]
        label = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in words).strip()
        found.append(Setting("truth", SOURCE, source, label))
    for mixing in runs.settings("truth_mixed", MIXING):
        found.append(Setting("truth_mixed", MIXING, mixing, f"{mixing} mixing"))
    return sorted(found, key=lambda each: ORDER.index(each.label) if each.label in ORDER else len(ORDER))


def errors(runs: FinishedRuns, setting: Setting, shown: Shown) -> pd.DataFrame:
    """Return estimates minus k*: columns k, error (NaN where the estimator refuses), replicate, modalities pooled."""
    table = runs.tables[setting.experiment]
    rows = table[(table[setting.column] == setting.value) & table["metric"].isin(shown.metrics)]
    k = rows[K].astype(float)
    return pd.DataFrame({"k": k, "error": rows["value"] - k, "replicate": rows["replicate"]})


def draw(runs: FinishedRuns) -> Figure:
    """Draw estimated over true dimension for every setting, and the errors of each estimator over all."""
    all_settings = settings(runs)
    titles = [*(setting.label for setting in all_settings), "all settings"]
    figure, axes = style.panels(len(titles), titles, rows=2)
    for ax, setting in zip(axes, all_settings, strict=False):
        _draw_setting(ax, runs, setting)
    _draw_errors(axes[-1], runs, all_settings)
    handles, labels = axes[0].get_legend_handles_labels()
    if len(titles) % 2:  # the last place of the grid is empty
        width = 2 / (len(titles) + 1)
        figure.legend(handles, labels, loc="center", bbox_to_anchor=(1 - width, 0.05, width, 0.45))
    else:
        figure.legend(handles, labels, loc="outside right center")
    style.foot(figure, runs)
    return figure


def _draw_setting(ax: Axes, runs: FinishedRuns, setting: Setting) -> None:
    ks = np.array(sorted(runs.settings(setting.experiment, K)), dtype=float)
    for place, shown in enumerate(ESTIMATORS):
        table = errors(runs, setting, shown).dropna()
        summary = (table["error"] + table["k"]).groupby(table["k"]).agg(["mean", "std"])
        at = summary.index.to_numpy() + 0.05 * (
            place - len(ESTIMATORS) // 2
        )  # side by side, not one over the other
        ax.errorbar(
            at,
            summary["mean"],
            summary["std"].fillna(0.0),
            color=shown.colour,
            marker=shown.marker,
            ls=shown.line,
            mfc=shown.face,
            label=shown.label,
            elinewidth=0.8,
        )
    ends = (ks[0] - 0.5, ks[-1] + 0.5)
    ax.plot(ends, ends, color=style.TRUTH, ls="--", lw=1, label="equal")
    ax.set(xlabel="true k*", ylabel="estimated dimension", xticks=ks, ylim=(0, None))


def _draw_errors(ax: Axes, runs: FinishedRuns, all_settings: list[Setting]) -> None:
    """Draw each estimator's mean errors, one point for a setting and k*."""
    for place, shown in enumerate(ESTIMATORS):
        means = pd.concat([_mean_errors(runs, setting, shown) for setting in all_settings])
        at = np.full(len(means), float(place))
        ax.plot(at, means, color=shown.colour, marker=shown.marker, mfc=shown.face, ls="", alpha=0.6)
    ax.axhline(0, color=style.TRUTH, ls="--", lw=1)
    ax.set_xticks(range(len(ESTIMATORS)), [shown.label for shown in ESTIMATORS], rotation=60, ha="right")
    ax.tick_params(axis="x", labelsize=7)
    ax.set(xlabel="estimator", ylabel="estimated − true")


def _mean_errors(runs: FinishedRuns, setting: Setting, shown: Shown) -> "pd.Series[float]":
    table = errors(runs, setting, shown)
    return table.groupby("k")["error"].mean().dropna()


def claims(runs: FinishedRuns) -> list[Claim]:
    """List each estimator's error by setting; the paper's read-out, the MLE, is to lie within 1 of k* in all."""
    d = runs.output_dims("truth")[0]
    lines = []
    for shown in ESTIMATORS:
        parts, within = [], []
        for setting in settings(runs):
            table = errors(runs, setting, shown)
            refused = _refused(table)
            parts.append(f"{setting.label} {_signed(table['error'].dropna())}{refused}")
            within.append(bool((table.groupby("k")["error"].mean().abs() <= 1).all()) and not refused)
        says = f"{shown.label}, d = {d}: estimate − k*, mean ± sd over k* and repetitions"
        lines.append(Claim(says, "; ".join(parts), all(within) if shown.label.startswith("MLE") else None))
    return lines


def _signed(values: "pd.Series[float]") -> str:
    text = mean_sd(values)
    return text if text.startswith(("-", "–")) else f"+{text}"


def _refused(table: pd.DataFrame) -> str:
    """Return in how many of the k* an estimator gives no number; "" where it always does."""
    missing = int(table.groupby("k")["error"].apply(lambda errors: errors.isna().all()).sum())
    return f" (no number at {missing} of {table['k'].nunique()} k*)" if missing else ""

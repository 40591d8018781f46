"""Panels and claims of sweeps over the output dimension, which most figures share."""

import warnings
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd, near
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.runs.vocabulary import describe


def draw_synthetic(runs: FinishedRuns, experiment: str, k: int) -> Figure:
    """Draw top-1 matching in and out of sample, and ID, over d, with the ID of the shared part of X."""
    figure, (left, right) = style.panels(2, ["matching (top 1)", "intrinsic dimension (MLE)"])
    figure.set_size_inches(8.0, 2.9)
    style.matching(left, runs, experiment, "matching/top_1/x_to_y")
    style.dimension(right, runs, experiment, in_sample=True)
    style.true_dim(right, k)
    shared = shared_dimension(runs, experiment).mean()
    right.axhline(shared, color=style.THIRD, ls="-.", lw=1, label="shared h(X)")
    for ax in (left, right):
        style.x_axis_of_dims(ax)
    left.legend()
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside the panel: within it lie curves
    style.foot(figure, runs)
    return figure


def shared_dimension(runs: FinishedRuns, experiment: str) -> "pd.Series[float]":
    """Return the MLE of h(X), the part of X that Y shares, per replicate: the ideal value for f(X)."""
    import torch  # takes seconds, and most of what a figure shows is in tables

    from intrinsic_clip import data
    from intrinsic_clip.dimension import mle

    kind = getattr(data, runs.settings(experiment, "data._target_")[0].rpartition(".")[2])
    z = torch.from_numpy(runs.latent(experiment))
    h = kind().share(z.flatten(0, -2), torch.Generator()).reshape(z.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows that all of the map's pieces send to 0 are one point
        return pd.Series(mle(h).value.numpy()).dropna()


def shared_claim(runs: FinishedRuns, experiment: str, k: int) -> Claim:
    """Check that the MLE is right on the shared part of X itself."""
    values = shared_dimension(runs, experiment)
    return Claim(f"the MLE of h(X) itself, what is shared, is k* = {k}", mean_sd(values), near(values, k))


def draw_real(runs: FinishedRuns, experiment: str) -> Figure:
    """Draw top-0.5 % matching, the accuracy of each label set, and ID, over d."""
    labels = sorted(m for m in set(runs.tables[experiment]["metric"]) if m.startswith("matching/label_"))
    # The paper's: x → y for the first label set, y → x for the second.
    shown = [m for m in labels if m.endswith("x_to_y")][:1] + [m for m in labels if m.endswith("y_to_x")][1:2]
    names = [m.split("/")[1].removeprefix("label_") for m in shown]
    titles = ["matching (top 0.5 %)", *(f"accuracy ({name})" for name in names), "intrinsic dimension (MLE)"]
    figure, axes = style.panels(len(titles), titles)
    for ax, metric in zip(axes, ["matching/top_0.5pct/x_to_y", *shown], strict=False):
        style.matching(ax, runs, experiment, metric)
    style.dimension(axes[-1], runs, experiment)
    for ax in axes:
        style.x_axis_of_dims(ax)
    for ax in (axes[0], axes[-1]):
        ax.legend()
    style.foot(figure, runs)
    return figure


def draw_two(runs: FinishedRuns, names: Mapping[str, str], k: int) -> Figure:
    """Draw top-1 matching, ID of f(X) and τ over d of two experiments.

    Args:
        runs: finished runs of both.
        names: experiments and what their legends say.
        k: the true shared dimension.
    """
    metrics = ("matching/top_1/x_to_y", "id/mle/x", "temperature")
    figure, axes = style.panels(3, ["matching (top 1)", "intrinsic dimension of f(X)", "temperature"])
    for (experiment, name), (colour, marker, _) in zip(
        names.items(), style.SIDE_STYLES.values(), strict=True
    ):
        for ax, metric in zip(axes, metrics, strict=True):
            style.band(ax, runs.curve(experiment, metric), color=colour, marker=marker, label=name)
    style.true_dim(axes[1], k)
    for ax, metric in zip(axes, metrics, strict=True):
        style.y_axis(ax, metric)
        style.x_axis_of_dims(ax)
    axes[1].legend()
    style.foot(figure, runs)
    return figure


def dimension_claims(runs: FinishedRuns, experiment: str, k: int) -> list[Claim]:
    """Check that ID(f) = ID(g) = k* for d ≥ k*: at the smallest such d, a middle one and the largest."""
    dims = [d for d in runs.output_dims(experiment) if d >= k]
    if not dims:
        return [Claim(f"d ≥ {k}: ID(f) = ID(g) = k* = {k}", "no such d has been trained")]
    chosen = list(dict.fromkeys((dims[0], runs.shown_dim(experiment), dims[-1])))
    claims = []
    for d in chosen:
        f, g = (runs.values(experiment, f"id/mle/{side}", d=d) for side in "xy")
        also = ", ".join(mean_sd(runs.values(experiment, f"id/twonn/{side}", d=d)) for side in "xy")
        measured = f"f {mean_sd(f)}, g {mean_sd(g)} (TwoNN {also})"
        claims.append(
            Claim(f"d = {d}: ID(f) = ID(g) = k* = {k}", measured, judged(near(f, k) and near(g, k), f, g))
        )
    return claims


def saturation_claims(runs: FinishedRuns, experiment: str, matching: str) -> list[Claim]:
    """Check that ID and matching rise with d and then stay: the upper half of the d against the range over all.

    It takes two d in the upper half, and one below.
    """
    claims = []
    words = {
        "id/mle/x": "ID(f)",
        "id/mle/y": "ID(g)",
        matching: f"{describe(matching).short.lower()} matching",
    }
    for metric, name in words.items():
        curve = runs.curve(experiment, metric)
        if curve.empty:
            claims.append(Claim(f"{name} saturates in d", "it could not be measured"))
            continue
        late = curve[curve["at"] >= curve["at"].max() / 2]["mean"]
        drift, span = late.max() - late.min(), curve["mean"].max() - curve["mean"].min()
        first, last = curve.iloc[0], curve.iloc[-1]
        ends = f"d = {first['at']:g}: {first['mean']:.3g}, d = {last['at']:g}: {last['mean']:.3g}"
        measured = f"{ends}; within the upper half of the d it differs by {drift:.2g}"
        agrees = bool(drift <= 0.2 * span) if len(late) > 1 and len(late) < len(curve) else None
        claims.append(Claim(f"{name} saturates in d", measured, agrees))
    return claims


def matching_claim(runs: FinishedRuns, experiment: str, metric: str, k: int) -> Claim:
    """Check that matching rises until d = k* and hardly after, which takes a d below and two from k* on."""
    below = [d for d in runs.output_dims(experiment) if d < k]
    above = [d for d in runs.output_dims(experiment) if d >= k]
    chosen = [*below[-1:], *above[:1], runs.shown_dim(experiment), *above[-1:]]
    values = {d: runs.values(experiment, metric, d=d) for d in dict.fromkeys(chosen)}
    measured = ", ".join(f"d = {d}: {mean_sd(value)}" for d, value in values.items())
    says = "matching rises until d = k* and hardly after"
    if not below or len(above) < 2:
        return Claim(says, measured)
    means = [float(value.mean()) for value in values.values()]
    return Claim(says, measured, means[-1] - means[1] < means[1] - means[0])

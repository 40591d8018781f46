"""The shipped images and captions over the output dimension, as the paper's real data, and regularised."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style, sweeps
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("openclipart",)
OPTIONAL = ("openclipart_regularised",)
MATCHING = "matching/top_0.5pct/x_to_y"
NAMES = {"openclipart": "the paper's protocol", "openclipart_regularised": "regularised"}


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching, the accuracy of each label set, and ID; the regularised matching and ID of f(X) dotted."""
    figure = sweeps.draw_real(runs, *EXPERIMENTS)
    panels = [ax for ax in figure.axes if ax.get_visible()]
    for name in OPTIONAL:
        if name in runs:
            for ax, metric in ((panels[0], MATCHING), (panels[-1], "id/mle/x")):
                line = {"color": style.THIRD, "ls": ":", "marker": "^", "label": "regularised"}
                style.band(ax, runs.curve(name, metric), **line)
                ax.legend()
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that matching and ID saturate at a d far below the largest; list both trainings side by side."""
    saturation = sweeps.saturation_claims(runs, *EXPERIMENTS, MATCHING)
    if not set(OPTIONAL) <= set(runs.tables):
        return saturation
    return [*saturation, *(_side_by_side(runs, name, d) for name, d in runs.shown_dims(tuple(NAMES)))]


def _side_by_side(runs: FinishedRuns, experiment: str, d: int) -> Claim:
    """List ID of f(X), τ, and top-0.5 % matching of training rows and of held-out rows."""
    metrics = ("id/mle/x", "temperature", f"in_sample/{MATCHING}", MATCHING)
    numbers = ", ".join(mean_sd(runs.values(experiment, metric, d=d)) for metric in metrics)
    return Claim(f"d = {d}, {NAMES[experiment]}: ID(f), τ, matching in sample, held out", numbers)

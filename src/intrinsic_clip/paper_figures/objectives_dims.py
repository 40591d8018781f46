"""Objectives against the output dimension: do their ranks and IDs stay at k* as d grows?"""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import objectives, style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.paper_figures.objectives import MARKERS, NAMES, OBJECTIVE

EXPERIMENTS = ("objectives_dims",)
EXPERIMENT = EXPERIMENTS[0]
K = 5
PANELS = {
    "jacobian/rank/x": "rank of one run's Jacobian",
    "id/mle/x": "ID of f(X) (MLE)",
    "spectrum/effective_rank/x": "effective rank of f(X)",
    "retrieval/top_1/x_to_y": "top-1 recall",
}
RANK = "jacobian/rank/x"
TO_COMPARE = (RANK, "id/mle/x")  # with k*; an effective rank is not


def draw(runs: FinishedRuns) -> Figure:
    """Draw each number over d, a line for each objective."""
    figure, axes = style.panels(len(PANELS), list(PANELS.values()), rows=2)
    figure.set_size_inches(8.0, 6.2)
    for ax, metric in zip(axes, PANELS, strict=True):
        for place, (name, target) in enumerate(trained(runs).items()):
            curve = runs.curve(EXPERIMENT, metric, **{OBJECTIVE: target})
            colour, marker = style.SEQUENCE[place % len(style.SEQUENCE)], MARKERS[place % len(MARKERS)]
            style.band(ax, curve, color=colour, marker=marker, label=name)
            if metric == RANK:
                absent = [d for d in runs.output_dims(EXPERIMENT) if d not in set(curve["at"])]
                ax.plot(
                    absent, [style.NONE_AT] * len(absent), ls="", color=colour, marker=marker, mfc="white"
                )
        if metric in TO_COMPARE:
            style.true_dim(ax, K)
        style.y_axis(ax, metric)
        if metric == RANK:
            style.ranks(ax.yaxis)
            ax.set_ylabel("rank (none: no number)")
        style.x_axis_of_dims(ax)
    style.legend_above(figure, axes[0])
    style.foot(figure, runs)
    return figure


def trained(runs: FinishedRuns) -> dict[str, str]:
    """Return the objectives' classes, as a setting names them, by their names on the command line."""
    targets = {str(each).rpartition(".")[2]: str(each) for each in runs.settings(EXPERIMENT, OBJECTIVE)}
    names = objectives.trained([runs.tables[EXPERIMENT][OBJECTIVE]])
    return {NAMES.get(name, name): targets[name] for name in names}


def claims(runs: FinishedRuns) -> list[Claim]:
    """List each objective's numbers at the smallest d that is at least k*, a middle one and the largest."""
    dims = [d for d in runs.output_dims(EXPERIMENT) if d >= K]
    chosen = dict.fromkeys((dims[0], runs.shown_dim(EXPERIMENT), dims[-1])) if dims else {}
    lines = []
    for name, target in trained(runs).items():
        for d in chosen:
            parts = [
                f"{title} {mean_sd(values)}"
                for metric, title in PANELS.items()
                if len(values := runs.values(EXPERIMENT, metric, d=d, **{OBJECTIVE: target}))
            ]
            lines.append(Claim(f"{name}, d = {d}", "; ".join(parts)))
    return lines

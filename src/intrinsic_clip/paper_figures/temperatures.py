"""Appendix: convergence of the temperature, per data set."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ()
OPTIONAL = (
    "synthetic_linear",
    "synthetic_nonlinear",
    "synthetic_independent",
    "openclipart",
    "citeseq",
    "imagenetv2",
    "yfcc",
)


def draw(runs: FinishedRuns) -> Figure:
    """Draw τ over training, a line per data set, at the d nearest to 19."""
    figure, (ax,) = style.panels(1, ["temperature over training"])
    figure.set_size_inches(5.2, 3.2)
    for experiment, d in runs.shown_dims(OPTIONAL):
        tau = runs.trajectory(experiment, "temperature", d=d).groupby("epoch", as_index=False).last()
        place = OPTIONAL.index(experiment)
        line = {"color": style.SEQUENCE[place], "ls": style.DASHES[place]}
        style.band(ax, tau, "epoch", label=f"{experiment}, d = {d}", **line)
    style.y_axis(ax, "temperature")
    style.x_axis_of_dims(ax, "epoch")
    if ax.get_legend_handles_labels()[0]:  # of four steps, as at size=smoke, the file may hold none
        ax.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that τ falls towards 0 where something is shared."""
    lines = []
    for experiment, d in runs.shown_dims(OPTIONAL):
        tau = runs.values(experiment, "temperature", d=d)
        if experiment == "synthetic_independent":
            says, agrees = "τ stays large", judged(tau.mean() > 0.05, tau)
        else:
            says, agrees = "τ falls towards 0", judged(tau.mean() < 0.05, tau)
        lines.append(Claim(f"{experiment}, d = {d}: {says}", mean_sd(tau, 4), agrees))
    return lines

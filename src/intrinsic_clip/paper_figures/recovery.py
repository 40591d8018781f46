"""R² of the true latent, predicted from the representations, over d and over k*."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import D, FinishedRuns

EXPERIMENTS = ("synthetic_linear", "synthetic_nonlinear", "shared_dim")
PANELS = {
    "synthetic_linear": ("linear data", D, style.OUTPUT_DIM),
    "synthetic_nonlinear": ("nonlinear data", D, style.OUTPUT_DIM),
    "shared_dim": ("linear data, d = 20", "data.shared_dim", "true k*"),
}


def draw(runs: FinishedRuns) -> Figure:
    """Draw linear and kernel regression of Z on f(X) and on g(Y)."""
    figure, axes = style.panels(3, [title for title, _, _ in PANELS.values()])
    for ax, (experiment, (_, over, label)) in zip(axes, PANELS.items(), strict=True):
        for kind, line in (("kernel", "-"), ("linear", ":")):
            for side, (colour, marker, name) in style.SIDE_STYLES.items():
                curve = runs.curve(experiment, f"recovery/{kind}/{side}", over)
                style.band(ax, curve, color=colour, marker=marker, ls=line, label=f"{name}, {kind}")
        style.y_axis(ax, "recovery/linear/x")
        ax.set_ylim(min(-0.02, ax.get_ylim()[0]), 1.02)  # below 0 where nothing is recovered
        style.x_axis_of_dims(ax, label)
    axes[0].legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """List R² at one d."""
    lines = []
    for experiment in EXPERIMENTS[:2]:
        d = runs.shown_dim(experiment)
        parts = [
            f"{kind}: f {mean_sd(runs.values(experiment, f'recovery/{kind}/x', d=d))}, "
            f"g {mean_sd(runs.values(experiment, f'recovery/{kind}/y', d=d))}"
            for kind in ("kernel", "linear")
        ]
        lines.append(Claim(f"{experiment}, d = {d}: R² of the latent", "; ".join(parts)))
    return lines

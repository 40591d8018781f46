"""Appendix: encoders too weak to align the pairs, so that V(H) is empty."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim, judged, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("shallow", "synthetic_nonlinear")
K = 5
NAMES = {"synthetic_nonlinear": "three hidden layers", "shallow": "one ReLU layer"}


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching, ID of f(X) and τ over d, with the main encoder and the weak one."""
    return sweeps.draw_two(runs, NAMES, K)


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that alignment fails, and with it the adaptation of ID."""
    d = runs.shown_dim("shallow")
    weak, strong = (
        {m: runs.values(e, m, d=d) for m in ("matching/top_1/x_to_y", "id/mle/x")} for e in EXPERIMENTS
    )
    matching, ids = "matching/top_1/x_to_y", "id/mle/x"
    return [
        Claim(
            f"d = {d}: pairs are matched worse than by the main encoder",
            f"{mean_sd(weak[matching])} against {mean_sd(strong[matching])}",
            judged(weak[matching].mean() < strong[matching].mean(), weak[matching], strong[matching]),
        ),
        Claim(
            f"d = {d}: ID does not adapt to k* = {K}; neighbours in what is shared see 2.5, so this cannot tell",
            f"{mean_sd(weak[ids])} against {mean_sd(strong[ids])}",
        ),
    ]

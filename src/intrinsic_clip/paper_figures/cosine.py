"""Appendix: cosine similarity in place of the population norm."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("cosine", "synthetic_linear")
K = 5
NAMES = {"synthetic_linear": "population norm", "cosine": "cosine"}


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching, ID of f(X) and τ over d, with either normalisation."""
    return sweeps.draw_two(runs, NAMES, K)


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check the conclusions that hold with the population norm."""
    return sweeps.dimension_claims(runs, "cosine", K)

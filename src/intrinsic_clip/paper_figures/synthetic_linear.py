"""Figure 3: the linear synthetic data over the output dimension."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("synthetic_linear",)
K = 5


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching in and out of sample, and ID."""
    return sweeps.draw_synthetic(runs, *EXPERIMENTS, K)


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that ID equals k*, also of the shared part itself, and that matching saturates there."""
    matching = sweeps.matching_claim(runs, *EXPERIMENTS, "matching/top_1/x_to_y", K)
    shared = sweeps.shared_claim(runs, *EXPERIMENTS, K)
    return [*sweeps.dimension_claims(runs, *EXPERIMENTS, K), shared, matching]

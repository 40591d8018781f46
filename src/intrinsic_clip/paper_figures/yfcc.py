"""Figure 5: YFCC over the output dimension."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("yfcc",)


def draw(runs: FinishedRuns) -> Figure:
    """Draw matching, the accuracy of each label set, and ID."""
    return sweeps.draw_real(runs, *EXPERIMENTS)


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that matching and ID saturate at a d far below the largest."""
    return sweeps.saturation_claims(runs, *EXPERIMENTS, "matching/top_0.5pct/x_to_y")

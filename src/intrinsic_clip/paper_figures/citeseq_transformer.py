"""Appendix: CITE-seq with transformers as encoders."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("citeseq_transformer",)


def draw(runs: FinishedRuns) -> Figure:
    """Draw the panels of figure 1."""
    return sweeps.draw_real(runs, *EXPERIMENTS)


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that matching and ID saturate, as with the main encoder."""
    return sweeps.saturation_claims(runs, *EXPERIMENTS, "matching/top_0.5pct/x_to_y")

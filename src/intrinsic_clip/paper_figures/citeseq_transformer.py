"""Appendix: CITE-seq with transformers as encoders."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import sweeps
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import Runs

EXPERIMENTS = ("citeseq_transformer",)


def draw(runs: Runs) -> Figure:
    """The panels of figure 1."""
    return sweeps.draw_real(runs, *EXPERIMENTS)


def claims(runs: Runs) -> list[Claim]:
    """The same as with the main encoder."""
    return sweeps.saturation_claims(runs, *EXPERIMENTS, "matching/top_0.5pct/x_to_y")

"""Figures of the paper and beyond it: one module each, drawn from the results of finished runs alone.

A module has EXPERIMENTS, the experiments of conf/experiment/ that it shows (and OPTIONAL ones, drawn if they have
been run), `draw(runs)`, which returns the figure, and `claims(runs)`, which compares the paper with measured numbers.
Rendered figures are in docs/results/.
"""

PAPER = ("citeseq", "dynamics", "synthetic_linear", "synthetic_nonlinear", "imagenetv2", "yfcc")
APPENDIX = ("cosine", "shallow", "independent", "citeseq_transformer", "similarities", "temperatures")
BESIDE = ("published_code",)
BEYOND = (
    "openclipart",
    "fixed_temperature",
    "sample_size",
    "jacobian",
    "information",
    "information_estimates",
    "shared_dim",
    "recovery",
    "ladder",
    "truth",
    "recipes",
    "objectives",
    "objectives_dims",
    "temperature",
    "three_modalities",
)
FIGURES = (*PAPER, *APPENDIX, *BESIDE, *BEYOND)

"""The figures: one module each, drawn from the results of runs alone.

A module has EXPERIMENTS, the experiments of conf/experiment/ it shows (with OPTIONAL ones, drawn where they have
been run), `draw(runs)`, which gives the figure, and `claims(runs)`, what the paper says beside what was measured.
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
    "shared_dim",
    "recovery",
)
FIGURES = (*PAPER, *APPENDIX, *BESIDE, *BEYOND)

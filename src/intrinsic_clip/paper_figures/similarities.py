"""Appendix: norms and similarities of held-out representations, a row per data set."""

import numpy as np
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, all_similarities

EXPERIMENTS = ()
OPTIONAL = (
    "synthetic_linear",
    "synthetic_nonlinear",
    "cosine",
    "openclipart",
    "citeseq",
    "imagenetv2",
    "yfcc",
)


def draw(runs: FinishedRuns) -> Figure:
    """Draw histograms of norms and of similarities, and each pair's similarity against its strongest rival's."""
    shown = list(runs.shown_dims(OPTIONAL))
    figure, axes = style.panels(3 * len(shown), rows=len(shown))
    for row, (experiment, d) in enumerate(shown):
        embeddings = runs.embeddings(experiment, d)
        norms, similarity, scatter = axes[3 * row : 3 * row + 3]
        norms.set_title(f"{norms.get_title(loc='left')} {experiment}, d = {d}: norms", loc="left")
        for side, (colour, _, name) in style.SIDE_STYLES.items():
            style.histogram(norms, np.linalg.norm(getattr(embeddings, f"{side}_raw"), axis=1), colour, name)
        norms.set(xlabel="‖·‖ of the encoder's output", ylabel="density")
        norms.legend()
        similarity.set_title(f"{similarity.get_title(loc='left')} similarities", loc="left")
        style.similarities(similarity, embeddings)
        logits = embeddings.x @ embeddings.y.T
        positive = np.diag(logits).copy()
        np.fill_diagonal(logits, -np.inf)
        rival = logits.max(1)
        scatter.set_title(f"{scatter.get_title(loc='left')} partner against best rival", loc="left")
        scatter.scatter(positive, rival, s=3, alpha=0.4, color=style.X, lw=0, rasterized=True)
        low, high = min(positive.min(), rival.min()), max(positive.max(), rival.max())
        scatter.plot([low, high], [low, high], color=style.TRUTH, ls="--", lw=1, label="equal")
        scatter.set(xlabel="similarity to the partner", ylabel="largest to another row")
        scatter.legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Check that positive pairs stand apart from random ones, and that norms are those of the append rows."""
    lines = []
    for experiment, d in runs.shown_dims(OPTIONAL):
        embeddings = runs.embeddings(experiment, d)
        positive, random = all_similarities(embeddings)
        apart = (f"{rows.mean():.2f} ± {rows.std():.2f}" for rows in (positive, random))
        measured = "positive {}, random {}".format(*apart)
        separate = bool(positive.mean() - random.mean() > random.std())
        says = f"{experiment}, d = {d}: positive pairs stand apart from random ones"
        lines.append(Claim(says, measured, separate))
        f, g = (float(np.linalg.norm(rows, axis=1).mean()) for rows in (embeddings.x, embeddings.y))
        says = f"{experiment}, d = {d}: held-out representations have norm 1, as those the norm is taken over"
        lines.append(Claim(says, f"f {f:.2f}, g {g:.2f}", max(abs(f - 1), abs(g - 1)) < 0.2))
    return lines

"""The paper's protocol beside recipe=fast: ID, rank, matching and τ along training."""

from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

EXPERIMENTS = ("recipes",)
SOURCE, RECIPE = "data._target_", "recipe"
K = 5
PANELS = {
    "id/mle/x": "ID (MLE)",
    "jacobian/rank/x": "rank of the Jacobian",
    "retrieval/top_1/x_to_y": "top-1 recall",
    "temperature": "temperature",
}
COLOURS = {"paper": style.X, "fast": style.Y}
DASHES = {"paper": "-", "fast": "--"}


def draw(runs: FinishedRuns) -> Figure:
    """Draw each number of f(X) over the steps, a row for each data source."""
    sources = runs.settings("recipes", SOURCE)
    titles = [f"{title}, {style.source_words(source)}" for source in sources for title in PANELS.values()]
    figure, axes = style.panels(len(titles), titles, rows=len(sources))
    for place, ax in enumerate(axes):
        metric, source = list(PANELS)[place % len(PANELS)], sources[place // len(PANELS)]
        for recipe, colour in COLOURS.items():
            curve = runs.trajectory("recipes", metric, **{RECIPE: recipe, SOURCE: source})
            # On a logarithmic axis there is no step 0.
            line = {"color": colour, "ls": DASHES[recipe], "label": f"recipe={recipe}"}
            style.band(ax, curve[curve["step"] > 0], "step", **line)
        if metric in ("id/mle/x", "jacobian/rank/x"):
            style.true_dim(ax, K)
        style.y_axis(ax, metric)
        style.logarithmic(ax.xaxis)
        ax.set_xlabel("step")
    axes[0].legend()
    style.foot(figure, runs)
    return figure


def claims(runs: FinishedRuns) -> list[Claim]:
    """Lay the final numbers side by side, in as many steps as each takes."""
    return [
        Claim(f"recipe={recipe}, {style.source_words(source)}: how far it comes", _ends(runs, recipe, source))
        for source in runs.settings("recipes", SOURCE)
        for recipe in COLOURS
        if len(runs.values("recipes", "temperature", **{RECIPE: recipe, SOURCE: source}))
    ]


def _ends(runs: FinishedRuns, recipe: str, source: str) -> str:
    where = {RECIPE: recipe, SOURCE: source}
    steps = int(runs.trajectory("recipes", "id/mle/x", **where)["step"].max())
    names = {"id/mle/x": "ID(f)", "jacobian/rank/x": "rank of ∂f/∂x", "retrieval/top_1/x_to_y": "top-1"}
    parts = [
        f"{name} {mean_sd(runs.values('recipes', metric, **where), 3)}" for metric, name in names.items()
    ]
    return "; ".join(
        [*parts, f"τ {mean_sd(runs.values('recipes', 'temperature', **where), 4)}; {steps:,} steps"]
    )

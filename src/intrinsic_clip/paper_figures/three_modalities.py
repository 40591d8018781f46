"""Three modalities: each encoder's dimension beside the intersection and the union of what is shared, by objective."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.runs.vocabulary import MODALITIES, describe

EXPERIMENTS = ("three_modalities",)
NAME, OBJECTIVE = "three_modalities", "objective._target_"
BLOCKS = ("xyz", "xy", "xz", "yz")
SIDES = {"x": (style.X, "o"), "y": (style.Y, "s"), "z": (style.THIRD, "^")}  # colour, marker
OBJECTIVES = {
    "SumOverPairs": "pairs",
    "Anchor": "anchor",
    "Symile": "symile",
    "Gram": "gram",
}  # as on the command line
ENCODERS = {"x": "f", "y": "g", "z": "h"}
NUMBERS = {"id/mle": "ID (MLE)", "jacobian/rank": "rank of the Jacobian", "consensus/rank": "consensus rank"}
World = dict[str, int]  # how many latents each block has


def draw(runs: FinishedRuns) -> Figure:
    """Draw two rows for each world: dimensions of each encoder by objective, and what each recovers."""
    worlds = _worlds(runs)
    columns = [*NUMBERS.values(), "R² of each block (kernel)"]
    titles = [f"{_words(world)}: {title}" for world in worlds for title in columns]
    figure, axes = style.panels(len(titles), titles, rows=2 * len(worlds))
    figure.set_size_inches(8.0, 0.9 + 4.6 * len(worlds))
    for place, ax in enumerate(axes):
        world, column = worlds[place // len(columns)], place % len(columns)
        if column < len(NUMBERS):
            _draw_dimension(ax, runs, world, list(NUMBERS)[column])
        else:
            _draw_recovery(ax, runs, world)
    figure.legend(handles=_legend(), loc="outside upper center", ncols=2)
    note = runs.note.replace("mean ± sd over", "a point for each of")
    figure.supxlabel(f"{note}; a consensus is of all repetitions", fontsize=7, color=style.TRUTH)
    return figure


def _legend() -> list[Line2D]:
    """Return a handle for each encoder, for both lines and for a missing number."""
    points = [
        Line2D([], [], ls="", color=colour, marker=marker, label=MODALITIES[side])
        for side, (colour, marker) in SIDES.items()
    ]
    return [
        *points,
        Line2D(
            [],
            [],
            color=style.TRUTH,
            ls="--",
            lw=1,
            label="union of what an encoder shares (named at the right if they differ)",
        ),
        Line2D([], [], color="black", ls=":", lw=1, label="intersection of all three"),
        Line2D([], [], ls="", color="black", marker="o", mfc="white", label="open, at none: no number"),
    ]


def claims(runs: FinishedRuns) -> list[Claim]:
    """Put each encoder's numbers beside the intersection and the union, world by world."""
    return [
        Claim(
            f"{_words(world)}, {words}: {_bounds(world)}",
            "; ".join(_of_encoder(runs, world, objective, side) for side in SIDES),
        )
        for world in _worlds(runs)
        for objective, words in _objectives(runs, world)
    ]


def _of_encoder(runs: FinishedRuns, world: World, objective: str, side: str) -> str:
    where = _where(world, objective)
    numbers = [
        f"{words} {mean_sd(runs.values(NAME, f'{metric}/{side}', **where), 2)}"
        for metric, words in NUMBERS.items()
        if len(runs.values(NAME, f"{metric}/{side}", **where))
    ]
    recovered = [
        f"R² of {block} {mean_sd(runs.values(NAME, f'recovery/kernel/{block}/{side}', **where), 2)}"
        for block in BLOCKS
        if side in block and world[block]
    ]
    return f"{MODALITIES[side]}: {', '.join(numbers + recovered)}"


def _draw_dimension(ax: Axes, runs: FinishedRuns, world: World, metric: str) -> None:
    """Draw one number of each encoder by objective, with lines of the union it shares and of the intersection."""
    objectives = list(_objectives(runs, world))
    for shift, side in zip((-0.28, 0.0, 0.28), SIDES, strict=True):
        for place, (objective, _) in enumerate(objectives):
            _draw_points(
                ax, _all_values(runs, f"{metric}/{side}", _where(world, objective)), place + shift, side
            )
    unions: dict[int, list[str]] = {}
    for side in SIDES:
        unions.setdefault(_union(world, side), []).append(ENCODERS[side])
    for union, sides in unions.items():
        ax.axhline(union, color=style.TRUTH, ls="--", lw=1)
        if len(unions) > 1:
            ax.annotate(
                ", ".join(sides), (1.02, union), xycoords=("axes fraction", "data"), va="center", fontsize=7.5
            )
    ax.axhline(world["xyz"], color="black", ls=":", lw=1)
    ax.set_xticks(range(len(objectives)), [words for _, words in objectives])
    ax.set(xlim=(-0.5, len(objectives) - 0.5), ylabel=describe(f"{metric}/x").axis_label)
    ax.grid(axis="x", visible=False)
    for between in range(1, len(objectives)):
        ax.axvline(between - 0.5, color=style.TRUTH, alpha=0.25, lw=0.8)
    if metric == "id/mle":
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        ax.set_ylim(0, ax.get_ylim()[1] + 0.4)
    else:
        style.ranks(ax.yaxis)


def _draw_points(ax: Axes, values: "pd.Series[float]", at: float, side: str) -> None:
    """Draw a point for each repetition, side by side; one for all where it is the same by definition."""
    colour, marker = SIDES[side]
    shown = values.iloc[:1] if str(values.name).startswith("consensus/") else values
    for place, value in enumerate(shown):
        missing = np.isnan(value)
        ax.plot(
            at + 0.055 * (place - (len(shown) - 1) / 2),
            style.NONE_AT if missing else value,
            ls="",
            marker=marker,
            color=colour,
            mfc="white" if missing else colour,
            ms=3.5,
        )


def _all_values(runs: FinishedRuns, metric: str, where: dict[str, int | str]) -> "pd.Series[float]":
    """Return one number per repetition, NaN where there is none, named after the metric."""
    table = runs.tables[NAME]
    is_shown = table["metric"] == metric
    for key, value in where.items():
        is_shown &= table[key] == value
    return table.loc[is_shown, "value"].rename(metric)


def _draw_recovery(ax: Axes, runs: FinishedRuns, world: World) -> None:
    """Draw how much of each block each encoder that holds it recovers, as a table of shades."""
    objectives = list(_objectives(runs, world))
    rows = [(block, side) for block in BLOCKS if world[block] for side in block]
    shares = np.array(
        [
            [
                runs.values(NAME, f"recovery/kernel/{block}/{side}", **_where(world, objective)).mean()
                for objective, _ in objectives
            ]
            for block, side in rows
        ]
    )
    ax.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else "black"
        ax.text(
            column,
            row,
            f"{share:.2f}".replace("-", "−"),
            ha="center",
            va="center",
            color=colour,
            fontsize=7.5,
        )
    ax.set_xticks(range(len(objectives)), [words for _, words in objectives])
    ax.set_yticks(range(len(rows)), [f"{block} in {MODALITIES[side]}" for block, side in rows], fontsize=7.5)
    ax.grid(False)


def _worlds(runs: FinishedRuns) -> list[World]:
    """Return the worlds that have been run: those with an intersection first, those with few blocks first."""
    columns = [f"data.shared_{block}" for block in BLOCKS]
    sizes = runs.tables[NAME][columns].drop_duplicates().astype(int)
    worlds = [dict(zip(BLOCKS, row, strict=True)) for row in sizes.itertuples(index=False)]
    return sorted(worlds, key=_place)


def _place(world: World) -> tuple[bool, int, list[int]]:
    return world["xyz"] == 0, sum(size > 0 for size in world.values()), list(world.values())


def _objectives(runs: FinishedRuns, world: World) -> Iterator[tuple[str, str]]:
    """Yield the objectives that a world was run with, as the settings name them and in words."""
    names = runs.settings(NAME, OBJECTIVE)
    for short, words in OBJECTIVES.items():
        for name in names:
            has_run = len(runs.values(NAME, "id/mle/x", **_where(world, name))) > 0
            if name.rpartition(".")[2] == short and has_run:
                yield name, words


def _where(world: World, objective: str) -> dict[str, int | str]:
    return {OBJECTIVE: objective, **{f"data.shared_{block}": size for block, size in world.items()}}


def _union(world: World, side: str) -> int:
    """Return how many latents an encoder's modality shares with any other."""
    return sum(size for block, size in world.items() if side in block)


def _bounds(world: World) -> str:
    unions = ", ".join(f"{MODALITIES[side]} {_union(world, side)}" for side in SIDES)
    return f"intersection {world['xyz']}, unions {unions}"


def _words(world: World) -> str:
    return "/".join(str(world[block]) for block in BLOCKS)

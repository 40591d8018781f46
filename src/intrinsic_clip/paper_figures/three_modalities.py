"""Three modalities: each encoder's dimension beside the intersection and the union of what is shared, by objective."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim, mean_sd
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns
from intrinsic_clip.runs.vocabulary import MODALITIES, describe

EXPERIMENTS = ("three_modalities",)
NAME, OBJECTIVE = "three_modalities", "objective._target_"
BLOCKS = ("xyz", "xy", "xz", "yz")
SIDES = {"x": (style.X, "o"), "y": (style.Y, "s"), "z": (style.THIRD, "^")}  # colour, marker
OBJECTIVES = {"SumOverPairs": "pairs", "Anchor": "anchor x", "Symile": "Symile", "Gram": "GRAM"}
NUMBERS = {"id/mle": "ID (MLE)", "jacobian/rank": "rank of the Jacobian", "consensus/rank": "consensus rank"}
World = dict[str, int]  # how many latents each block has


def draw(runs: FinishedRuns) -> Figure:
    """Draw a row for each world: dimensions of each encoder by objective, and what each recovers."""
    worlds = _worlds(runs)
    columns = [*NUMBERS.values(), "R² of each block (kernel)"]
    titles = [f"{title}, {_words(world)}" for world in worlds for title in columns]
    figure, axes = style.panels(len(titles), titles, rows=len(worlds))
    for place, ax in enumerate(axes):
        world, column = worlds[place // len(columns)], place % len(columns)
        if column < len(NUMBERS):
            _draw_dimension(ax, runs, world, list(NUMBERS)[column])
        else:
            _draw_recovery(ax, runs, world)
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=len(unique))
    style.foot(figure, runs)
    return figure


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
    """Draw one number of each encoder by objective, with a line of the union it shares, and of the intersection."""
    objectives = list(_objectives(runs, world))
    for shift, (side, (colour, marker)) in zip((-0.2, 0.0, 0.2), SIDES.items(), strict=True):
        for place, (objective, _) in enumerate(objectives):
            values = runs.values(NAME, f"{metric}/{side}", **_where(world, objective))
            ax.plot(
                np.full(len(values), place + shift),
                values,
                ls="",
                marker=marker,
                color=colour,
                alpha=0.7,
                label=MODALITIES[side],
            )
    for side, (colour, _) in SIDES.items():
        union = _union(world, side)
        others = sum(_union(world, other) == union for other in SIDES)
        ax.axhline(
            union,
            color=style.TRUTH if others == len(SIDES) else colour,
            ls="--",
            lw=1,
            label="union of what an encoder shares",
        )
    ax.axhline(world["xyz"], color="black", ls=":", lw=1, label="intersection of all three")
    ax.set_xticks(range(len(objectives)), [words for _, words in objectives])
    ax.set(xlim=(-0.5, len(objectives) - 0.5), xlabel="objective", ylabel=describe(f"{metric}/x").axis_label)
    ax.set_ylim(-0.5, None)


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
        ax.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=6.5)
    ax.set_xticks(range(len(objectives)), [words for _, words in objectives])
    ax.set_yticks(range(len(rows)), [f"{block} in {MODALITIES[side]}" for block, side in rows], fontsize=6.5)
    ax.set(xlabel="objective", ylabel="block, encoder")
    ax.grid(False)


def _worlds(runs: FinishedRuns) -> list[World]:
    """Return the worlds that have been run: those with most of what all share, and of what pairs share, last."""
    columns = [f"data.shared_{block}" for block in BLOCKS]
    sizes = runs.tables[NAME][columns].drop_duplicates().astype(int)
    worlds = [dict(zip(BLOCKS, row, strict=True)) for row in sizes.itertuples(index=False)]
    return sorted(worlds, key=lambda world: (len(set(world.values())), list(world.values())))


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

"""The entry point for the paper's figures: drawn from the results that are there, nothing is trained."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from intrinsic_clip.config.messages import PROGRAM
from intrinsic_clip.runs import atomic

if TYPE_CHECKING:
    from intrinsic_clip.paper_figures.claims import Claim
    from intrinsic_clip.paper_figures.finished_runs import Runs


CLAIMS = "RESULTS.md"


def draw_figures(names: Sequence[str], output_dir: Path, to: Path, size: str = "") -> None:
    """Draw the named figures, or all, and print which are missing with the command that makes their runs.

    Args:
        names: figures to draw; empty: all of them, and RESULTS.md.
        output_dir: the folder of the runs.
        to: the folder of the figures, made if need be.
        size: `smoke`, `laptop` or `paper`; empty: the largest that most of a figure has been run at.
    """
    from intrinsic_clip.paper_figures import FIGURES, style
    from intrinsic_clip.paper_figures.finished_runs import SIZES

    modules = {
        name: importlib.import_module(f"intrinsic_clip.paper_figures.{name}") for name in names or FIGURES
    }
    by_size = _read(output_dir, list(modules.values()))
    sizes = [size] if size else list(SIZES)
    drawn: list[tuple[ModuleType, Runs]] = []
    missing: dict[str, str] = {}
    for name, module in modules.items():
        found = [by_size[size].of(module.EXPERIMENTS, _optional(module)) for size in sizes]
        # The most of its experiments, and of sizes that have as many the largest, which is the first.
        runs = max((one for one in found if one is not None), key=lambda one: len(one.tables), default=None)
        if runs is None:
            missing[name] = _command(module, by_size, sizes)
            print(f"  missing  {name:<19}  {missing[name]}", flush=True)
        else:
            to.mkdir(parents=True, exist_ok=True)
            _, png = style.save(module.draw(runs), to, name)
            drawn.append((module, runs))
            print(f"  drawn    {name:<19}  {png} ({runs.size})", flush=True)
    if drawn and not names:  # of all figures, or the page would lose what it held
        atomic.write_atomically(to / CLAIMS, _page(drawn, missing))
        print(f"  written  {'claims':<19}  {to / CLAIMS}", flush=True)


def _optional(module: ModuleType) -> tuple[str, ...]:
    """Experiments that a figure shows where they have been run."""
    return getattr(module, "OPTIONAL", ())


def _read(folder: Path, modules: Sequence[ModuleType]) -> "dict[str, Runs]":
    """What has been run, by size; what is unfinished or damaged is named."""
    from intrinsic_clip.paper_figures.finished_runs import read

    experiments = {
        experiment for module in modules for experiment in (*module.EXPERIMENTS, *_optional(module))
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(folder, sorted(experiments))
    for warning in caught:
        print(f"  {warning.message}", flush=True)
    return found


def _command(module: ModuleType, by_size: "dict[str, Runs]", sizes: Sequence[str]) -> str:
    """What is to be run for a figure, at the size that most of it has been run at, or the laptop's."""
    needed = module.EXPERIMENTS or _optional(module)[:1]
    begun = [size for size in sizes if any(experiment in by_size[size] for experiment in needed)]
    size = begun[0] if begun else sizes[0] if len(sizes) == 1 else "laptop"
    lacking = [experiment for experiment in needed if experiment not in by_size[size]]
    several = "--multirun " if len(lacking) > 1 else ""
    return f"{PROGRAM} train {several}experiment={','.join(lacking)} size={size}"


def _page(drawn: "Sequence[tuple[ModuleType, Runs]]", missing: Mapping[str, str]) -> str:
    """RESULTS.md: a table of claims per figure, and what has not been run."""
    parts = [
        "# What the paper says, and what was measured\n\n"
        f"Written by `{PROGRAM} figures` from finished runs. Numbers are mean ± standard deviation over repetitions. "
        "An ID agrees with k\\* where it lies within 1 of it; every other rule stands beside its claim in "
        "`intrinsic_clip/paper_figures/`. A dash: there is nothing to agree with, the question is ours.\n"
    ]
    for module, runs in drawn:
        name = module.__name__.rpartition(".")[2]
        title = (module.__doc__ or "").strip().splitlines()[0]
        parts.append(f"## {name}\n\n{title} {runs.note}; {runs.provenance}.\n\n![{name}]({name}.png)\n")
        parts.append(_table(module.claims(runs)))
    if missing:
        commands = [f"- {name}: `{command}`" for name, command in missing.items()]
        parts.append("\n".join(["## Not run\n", *commands]) + "\n")
    return "\n".join(parts)


def _table(claims: "Sequence[Claim]") -> str:
    rows = [f"| {claim.says} | {claim.measured} | {claim.verdict} |" for claim in claims]
    lines = ["| claim | measured | |", "|---|---|---|", *rows]
    return "\n".join(lines).replace("k*", "k\\*") + "\n"

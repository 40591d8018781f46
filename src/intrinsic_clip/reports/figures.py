"""Draw the paper's figures from finished runs; nothing is trained."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from intrinsic_clip.config.messages import PROGRAM
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import atomic

if TYPE_CHECKING:
    from intrinsic_clip.paper_figures.claims import Claim
    from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

    Drawn = tuple[ModuleType, FinishedRuns, list[Claim]]

CLAIMS = "RESULTS.md"


def draw_figures(names: Sequence[str], output_dir: Path, to: Path, size: str = "") -> None:
    """Draw the named figures, or all, and print which runs are missing with the command that makes them.

    Args:
        names: figures to draw; empty: all of them, and RESULTS.md.
        output_dir: the folder of the runs.
        to: the folder of the figures, created if it does not exist.
        size: `smoke`, `laptop` or `paper`; empty: the one at which most of a figure's experiments have been run.

    Raises:
        ConfigError: files of some runs are missing or damaged; the figures of other runs are drawn before.
    """
    from intrinsic_clip.paper_figures import FIGURES
    from intrinsic_clip.paper_figures.finished_runs import SIZES

    modules = {
        name: importlib.import_module(f"intrinsic_clip.paper_figures.{name}") for name in names or FIGURES
    }
    by_size = _read(output_dir, list(modules.values()))
    sizes = [size] if size else list(SIZES)
    drawn: list[Drawn] = []
    missing: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for name, module in modules.items():
        runs = _most([by_size[size].select(module.EXPERIMENTS, _optional(module)) for size in sizes])
        try:
            if runs is not None:
                drawn.append(_draw(module, runs, to, name))
        except ConfigError as error:
            damaged[name] = str(error)
            print(f"  damaged  {name:<19}  {error}", flush=True)
            continue
        if runs is None or runs.partial:
            missing[name] = (
                _command(module, by_size, sizes) if runs is None else _training(list(runs.partial), runs.size)
            )
            print(f"  missing  {name:<19}  {missing[name]}", flush=True)
    if drawn and not names:  # a page of some figures would lose the claims of the others
        atomic.write_atomically(to / CLAIMS, _page(drawn, missing, damaged))
        print(f"  written  {'claims':<19}  {to / CLAIMS}", flush=True)
    if damaged:
        raise ConfigError(
            f"not drawn, since files of their runs are missing or damaged: {', '.join(damaged)}"
        )


def _draw(module: ModuleType, runs: "FinishedRuns", to: Path, name: str) -> "Drawn":
    """Draw a figure, and return it with its claims."""
    from intrinsic_clip.paper_figures import style

    claims = module.claims(runs)
    to.mkdir(parents=True, exist_ok=True)
    with style.in_style():
        _, png = style.save(module.draw(runs), to, name)
    print(f"  drawn    {name:<19}  {png} ({runs.trained}{runs.settings_made})", flush=True)
    return module, runs, claims


def _most(choices: "Sequence[FinishedRuns | None]") -> "FinishedRuns | None":
    """Return the runs at the size that covers the most experiments, the largest of equally good sizes.

    Of sizes that cover as many, one is better whose runs are finished and trained as their experiments say.
    """
    complete = [runs for runs in choices if runs is not None]
    return max(complete, key=lambda runs: (len(runs.tables), -runs.reservations), default=None)


def _optional(module: ModuleType) -> tuple[str, ...]:
    """Return the experiments that a figure shows if they have been run."""
    return getattr(module, "OPTIONAL", ())


def _read(folder: Path, modules: Sequence[ModuleType]) -> "dict[str, FinishedRuns]":
    """Return finished runs by size; print which are unfinished or damaged."""
    from intrinsic_clip.paper_figures.finished_runs import read_runs

    experiments = {
        experiment for module in modules for experiment in (*module.EXPERIMENTS, *_optional(module))
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        by_size = read_runs(folder, sorted(experiments))
    for warning in caught:
        print(f"  {warning.message}", flush=True)
    return by_size


def _command(module: ModuleType, by_size: "dict[str, FinishedRuns]", sizes: Sequence[str]) -> str:
    """Return the command that makes a figure's missing runs, at the largest size begun, or the laptop's."""
    needed = module.EXPERIMENTS or _optional(module)[:1]
    begun = [size for size in sizes if any(experiment in by_size[size] for experiment in needed)]
    size = begun[0] if begun else sizes[0] if len(sizes) == 1 else "laptop"
    lacking = [experiment for experiment in needed if experiment not in by_size[size]]
    return _training(lacking, size)


def _training(experiments: Sequence[str], size: str) -> str:
    """Return the command that makes the runs of experiments, but for those that are finished."""
    several = "--multirun " if len(experiments) > 1 else ""
    return f"{PROGRAM} train {several}experiment={','.join(experiments)} size={size}"


def _page(drawn: "Sequence[Drawn]", missing: Mapping[str, str], damaged: Mapping[str, str]) -> str:
    """Return the text of RESULTS.md: a table of claims per figure, commands of missing runs, and what is damaged."""
    parts = [
        "# Claims of the paper, and measured numbers\n\n"
        f"Written by `{PROGRAM} figures` from finished runs. Numbers are mean ± standard deviation over repetitions. "
        "An ID agrees with k\\* if it lies within 1 of it; every other rule stands beside its claim in "
        "`src/intrinsic_clip/paper_figures/`. A dash: a question of ours, to which the paper has no answer.\n"
    ]
    for module, runs, claims in drawn:
        parts.append(section(module, runs, claims))
    if missing:
        commands = [f"- {name}: `{command}`" for name, command in missing.items()]
        parts.append("\n".join(["## Not run\n", *commands]) + "\n")
    if damaged:
        reasons = [f"- {name}: {reason}" for name, reason in damaged.items()]
        parts.append("\n".join(["## Not drawn\n", *reasons]) + "\n")
    return "\n".join(parts)


def section(module: ModuleType, runs: "FinishedRuns", claims: "Sequence[Claim]") -> str:
    """Return what RESULTS.md says of a figure: what it is drawn from, the picture, and its claims."""
    name = module.__name__.rpartition(".")[2]
    title = (module.__doc__ or "").strip().splitlines()[0]
    untrained = runs.size == "smoke"
    caveat = " So few steps test no claim." if untrained else ""
    head = f"## {name}\n\n{title} {runs.note}; {runs.provenance}.{caveat}\n\n![{name}]({name}.png)\n"
    return f"{head}\n{_table([replace(claim, agrees=None) for claim in claims] if untrained else claims)}"


def _table(claims: "Sequence[Claim]") -> str:
    rows = [f"| {claim.says} | {claim.measured} | {claim.verdict} |" for claim in claims]
    lines = ["| claim | measured | |", "|---|---|---|", *rows]
    return "\n".join(lines).replace("k*", "k\\*") + "\n"

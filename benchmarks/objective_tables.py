"""Print the tables of docs/results/objectives.md and temperature.md from finished runs, as Markdown.

    python benchmarks/objective_tables.py [--folder outputs] [--size laptop]

A table for each world of the experiments `objectives…`, a row for each objective; and one for `temperature…`, a row for
each run. Numbers are means ± sd over trainings, and without ± where they do not vary; – where no training has one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from intrinsic_clip.paper_figures import objectives, temperature
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, read_runs
from intrinsic_clip.paper_figures.style import source_words

RANK = "jacobian/rank"
COLUMNS: dict[str, tuple[tuple[str, ...], int]] = {  # metrics, pooled, and decimals
    "MLE (harmonic)": (objectives.PANELS["MLE, harmonic mean"], 1),
    "MLE (mean)": (objectives.PANELS["MLE, mean of points"], 1),
    "effective rank": (objectives.PANELS["effective rank"], 1),
    "top-1": (objectives.PANELS["top-1 recall"], 3),
    "R²": (objectives.PANELS["recovery of the latent"], 2),
    "modality gap": (objectives.PANELS["gap of the centroids"], 3),
    "distribution gap": (objectives.PANELS["gap of the distributions"], 3),
    "uniformity": (objectives.PANELS["uniformity"], 2),
}


def main() -> None:
    """Print all tables whose runs are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("outputs"))
    parser.add_argument("--size", default="laptop", choices=("smoke", "laptop", "paper"))
    arguments = parser.parse_args()
    compared = (*objectives.EXPERIMENTS, *objectives.OPTIONAL)
    varied = (*temperature.EXPERIMENTS, *temperature.OPTIONAL)
    runs = read_runs(arguments.folder, (*compared, *varied))[arguments.size]
    for world in objectives.worlds(runs):
        print(f"\n## {world.label}\n\n{world_table(world.rows)}")
    if any(name in runs for name in varied):
        print(f"\n## temperatures\n\n{temperature_table(runs)}")


def world_table(rows: pd.DataFrame) -> str:
    """Return a row for each objective trained in one world."""
    lines = []
    classes = rows[objectives.OBJECTIVE].str.split(".").str[-1]
    for name in objectives.trained([rows[objectives.OBJECTIVE]]):
        own = rows[classes == name]
        ranks = ", ".join(cell(own, (f"{RANK}/{side}",), 1) for side in objectives.SIDES)
        numbers = [cell(own, metrics, decimals) for metrics, decimals in COLUMNS.values()]
        consensus = cell(own, objectives.PANELS["consensus rank"], 0)
        lines.append([f"`{objectives.NAMES.get(name, name)}`", consensus, ranks, *numbers])
    return markdown(["`objective=`", "consensus rank", "Jacobian rank, f, g", *COLUMNS], lines)


def temperature_table(runs: FinishedRuns) -> str:
    """Return a row for each run of the experiments `temperature…`."""
    lines = []
    sources = {
        s for table in runs.tables.values() if temperature.KIND in table for s in table[temperature.SOURCE]
    }
    for source in sorted(sources):
        for label, rows in temperature.series(runs, source).items():
            keys = [key for key in (temperature.TAU, temperature.BIAS) if key in rows]
            for _, run in rows.sort_values(keys).groupby("run", sort=False):
                words = [f"{v:g}" for v in run.iloc[0][keys] if pd.notna(v)]
                numbers = [
                    cell(run, ("temperature",), 4),
                    cell(run, ("id/mle/x",), 1),
                    ", ".join(cell(run, (f"{RANK}/{side}",), 1) for side in objectives.SIDES),
                    cell(run, ("consensus/rank",), 0),
                    cell(run, objectives.PANELS["top-1 recall"], 3),
                    cell(run, ("modality_gap",), 4),
                ]
                lines.append([source_words(source), label, ", ".join(words), *numbers])
    headings = ["data", "τ", "fixed τ, bias", "final τ", "MLE of f", "Jacobian rank, f, g"]
    return markdown([*headings, "consensus rank", "top-1", "modality gap"], lines)


def cell(rows: pd.DataFrame, metrics: Sequence[str], decimals: int) -> str:
    """Return mean ± sd of the values of some metrics, pooled; without the sd where it rounds to 0."""
    values = rows[rows["metric"].isin(metrics)]["value"].dropna()
    if values.empty:
        return "–"
    spread = f"{values.std():.{decimals}f}" if len(values) > 1 else ""
    mean = f"{values.mean():.{decimals}f}".replace("-", "−")
    return f"{mean} ± {spread}" if spread.strip("0.") else mean


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    ruler = ["---"] + ["--:"] * (len(headings) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ruler, *lines))


if __name__ == "__main__":
    main()

"""Keep the numbers of figures 3 and 4 at `size=paper`, a row per training, and draw the figures from them.

The 1,500 trainings take days of two cores. The tables, `results/<experiment>.csv`, gather what several machines have
finished:

python docs/paper_size.py outputs   # add the finished trainings below outputs to the tables, then draw
python docs/paper_size.py           # draw
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from numpy.typing import NDArray

from intrinsic_clip import data
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.paper_figures import style
from intrinsic_clip.paper_figures.claims import Claim
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns, read_runs
from intrinsic_clip.reports.figures import section
from intrinsic_clip.runs.run import Run

RESULTS = Path(__file__).parent / "results"
DATA = {"synthetic_linear": "SyntheticLinear", "synthetic_nonlinear": "SyntheticNonlinear"}
KEYS = ["replicate", "encoder.output_dim"]
VERSIONS = ["commit", "torch"]
ROWS = ["data.n_train", "data.n_append", "data.n_test"]
OF_RUN = [*ROWS, *VERSIONS]
NOTHING = pd.DataFrame(columns=[*KEYS, *OF_RUN])
SEEDS = {"seed": 0, "data.seed": 0}  # of all trainings in the tables
REPETITIONS = 50  # in the paper


class RecordedRuns(FinishedRuns):
    """Trainings of one experiment as its table has them, without their run folders."""

    @property
    def provenance(self) -> str:
        """Commits and PyTorch versions of the trainings."""
        (table,) = self.tables.values()
        return ", ".join(f"{key} {', '.join(dict.fromkeys(table[key].astype(str)))}" for key in VERSIONS)

    def latent(self, experiment: str) -> NDArray[Any]:
        """Return the true latent Z of the held-out rows of each replicate, `(R, n, k)`, generated anew."""
        replicates = sorted(int(index) for index in self.tables[experiment]["replicate"].unique())
        rows = {key.removeprefix("data."): int(self.tables[experiment][key].iloc[0]) for key in ROWS}
        generated = getattr(data, DATA[experiment])(replicates=replicates, **rows)
        pairs = generated.load(torch.device("cpu"))["test"]
        assert pairs.z is not None
        return pairs.z.numpy()

    def _unfinished(self) -> str:
        (count,) = (self.repetitions(experiment) for experiment in self.tables)
        return f" so far, of {REPETITIONS}" if count < REPETITIONS else ""


def recorded(table: pd.DataFrame, experiment: str, size: str = "paper") -> RecordedRuns:
    """Return what a table holds in the form that figures are drawn from.

    Args:
        table: of one experiment, as `finished` returns it.
        experiment: synthetic_linear or synthetic_nonlinear.
        size: of the trainings.
    """
    long = table.melt([*KEYS, *OF_RUN], var_name="metric", value_name="value")
    target = f"intrinsic_clip.data.{DATA[experiment]}"
    return RecordedRuns(size, {experiment: long.assign(**{"run": "", "data._target_": target})})


def finished(runs: Path, experiment: str, size: str = "paper") -> pd.DataFrame:
    """Return the trainings of an experiment that are finished below a folder: a row each, a column per metric.

    Those of other seeds than SEEDS are left out, and a line names them.

    Raises:
        ConfigError: their settings are not those of the experiment's file.
    """
    chosen = read_runs(runs, [experiment])[size]
    if experiment in chosen.departures:
        raise ConfigError(f"{runs}: {experiment} was trained with {chosen.departures[experiment]}")
    if experiment not in chosen:
        return NOTHING
    rows = _of_the_seeds(chosen.tables[experiment])
    if rows.empty:
        return NOTHING
    versions = {run: Run.load(run).results["versions"] for run in rows["run"].unique()}
    rows = rows.assign(**{key: [str(versions[run][key])[:8] for run in rows["run"]] for key in VERSIONS})
    return rows.pivot(index=[*KEYS, *OF_RUN], columns="metric", values="value").reset_index()


def _of_the_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of SEEDS; print the runs of others, which a table could not tell apart."""
    own = (rows[list(SEEDS)] == pd.Series(SEEDS)).all(axis=1)
    others = rows[~own].drop_duplicates("run")
    if len(others):
        named = [
            f"{row['run']} ({', '.join(f'{key}={row[key]}' for key in SEEDS)})"
            for _, row in others.iterrows()
        ]
        seeds = " and ".join(f"{key}={seed}" for key, seed in SEEDS.items())
        print(f"{', '.join(named)} left out: the tables hold trainings of {seeds} alone", file=sys.stderr)
    return rows[own]


def read(path: Path) -> pd.DataFrame:
    """Return a table that `write` wrote; an empty one if there is none."""
    if not path.exists():
        return NOTHING
    return pd.read_csv(path, dtype=dict.fromkeys(VERSIONS, str))


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table with six digits, more than repetitions agree in."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def merged(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return the trainings of two tables, each once, by replicate and output dimension; `more` comes first."""
    both = pd.concat([part for part in (more, table) if len(part)] or [table])
    return both.drop_duplicates(KEYS).sort_values(KEYS, ignore_index=True)


def draw(experiment: str, table: pd.DataFrame, to: Path, size: str = "paper") -> list[Claim]:
    """Draw the figure of an experiment, print its section of RESULTS.md, and return its claims."""
    module = importlib.import_module(f"intrinsic_clip.paper_figures.{experiment}")
    runs = recorded(table, experiment, size)
    with style.in_style():
        style.save(module.draw(runs), to, experiment)
    claims: list[Claim] = module.claims(runs)
    print(section(module, runs, claims))
    return claims


def main(runs: str | None = None) -> None:
    """Add what is finished below a folder, if one is given, to the tables; draw what they hold."""
    for experiment in DATA:
        path = RESULTS / f"{experiment}.csv"
        table = read(path)
        if runs is not None:
            table = merged(table, finished(Path(runs), experiment))
            write(table, path)
        if len(table):
            draw(experiment, table, RESULTS)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Print what `experiment=objective_search` found: the settings of each objective, the best first.

for name in infonce sigmoid …; do intrinsic-clip train --multirun experiment=objective_search search=$name; done
python benchmarks/objective_search.py [outputs/objective_search]
"""

import argparse

import pandas as pd

from intrinsic_clip.runs.tidy_table import collect

RECALL = ("retrieval/top_1/x_to_y", "retrieval/top_1/y_to_x")
LEFT_OUT = ("objective.chunk", "objective.local_block")  # change no number


def main() -> None:
    """Print a line for each setting that was tried."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="outputs/objective_search")
    table = collect(parser.parse_args().folder)
    for name, runs in table.groupby("objective._target_"):
        print(f"\n{name.rpartition('.')[2]}")
        for recall, spread, setting in ranked(runs):
            print(f"  {recall:.3f} ± {spread:.3f}  {setting}")


def ranked(runs: pd.DataFrame) -> list[tuple[float, float, str]]:
    """Return recall, its standard deviation over replicates, and what sets it apart, of each run of an objective."""
    varied = [
        column
        for column in runs
        if column.startswith(("objective.", "optimizer."))
        and column not in LEFT_OUT
        and runs[column].nunique(False) > 1
    ]
    lines = []
    for _, rows in runs.groupby("run"):
        recalls = rows[rows["metric"].isin(RECALL)].groupby("replicate")["value"].mean()
        setting = " ".join(f"{column}={rows[column].iloc[0]}" for column in varied)
        lines.append((float(recalls.mean()), float(recalls.std()), setting))
    return sorted(lines, reverse=True)


if __name__ == "__main__":
    main()

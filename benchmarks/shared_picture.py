"""Draw what each method says against the known shared dimension, a panel each.

python benchmarks/shared_picture.py outputs/benchmarks/shared_report.jsonl [--output shared_worlds.png]
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from shared_tables import OWN, TITLES, answers, known

COLUMNS = 4
MOST = 24  # larger answers are drawn at this height


def drawn(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return a figure of all methods that answered for a world; crosses below the axis are worlds without an answer."""
    methods = {name: pairs for name, pairs in answers(rows).items() if pairs}
    lines = math.ceil(len(methods) / COLUMNS)
    figure, axes = plt.subplots(
        lines,
        COLUMNS,
        figsize=(2.6 * COLUMNS, 2.6 * lines),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat[len(methods) :]:
        ax.set_visible(False)
    for ax, (name, pairs) in zip(axes.flat, methods.items(), strict=False):
        ax.plot([0, 13], [0, 13], color="0.7", linewidth=1)
        ax.scatter([k for _, k in pairs], [min(value, MOST) for value, _ in pairs], s=14, alpha=0.6)
        if name == TITLES[OWN]:
            refused = [known(row) for row in rows if row["dimension"] is None]
            style = {"marker": "x", "s": 16, "color": "tab:red", "label": "no clear gap"}
            ax.scatter(refused, [-1.5] * len(refused), **style)
            ax.legend(loc="upper left", frameon=False, fontsize=8)
        ax.set_title(f"{name} ({len(pairs)} worlds)", fontsize=9)
    figure.supxlabel("shared dimensions k*")
    figure.supylabel("answer (dimensions)")
    return figure


def main() -> None:
    """Draw the worlds of a file that benchmarks/shared.py wrote."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--output", type=Path, default=Path("shared_worlds.png"))
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.store.read_text().splitlines()]
    drawn(rows).savefig(arguments.output, dpi=150)


if __name__ == "__main__":
    main()

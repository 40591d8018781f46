"""Run the long campaign, a part at a time, and print its figures: `make soak`, or `python tests/soak --help`.

Figures are added up in a file, so that a campaign that was interrupted continues with other draws.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from soak import command_lines, concurrent_writers, crash_points, damaged_files, kills
from soak.warm_children import warm_up

CAMPAIGNS: dict[str, tuple[Callable[[int, int], Counter[str]], int, str, int]] = {
    # by name: the campaign, how much of it is a part, the figure that is counted, and how much is wanted of it
    "crash_points": (crash_points.campaign, 3, "crash points", 1200),
    "kills": (kills.campaign, 10, "kills", 1000),
    "damaged_files": (damaged_files.campaign, 25, "damaged files", 1000),
    "command_lines": (command_lines.campaign, 50, "command lines", 1000),
    "concurrent_writers": (concurrent_writers.campaign, 800, "concurrent writes", 8000),
}


def main() -> int:
    """Run what is asked for; return 1 if there was a fault."""
    parser = argparse.ArgumentParser(
        description="Kills, crash points, damaged files, malformed command lines and concurrent writers."
    )
    parser.add_argument("campaigns", nargs="*", help=f"of {', '.join(CAMPAIGNS)}; by default all")
    parser.add_argument(
        "--figures", type=Path, default=Path("outputs/soak.json"), help="file of the figures so far"
    )
    parser.add_argument(
        "--minutes", type=float, default=600, help="begin no further part after so many minutes"
    )
    asked = parser.parse_args()
    unknown = set(asked.campaigns) - set(CAMPAIGNS)
    if unknown:
        parser.error(f"no campaign {', '.join(sorted(unknown))}; choose from {', '.join(CAMPAIGNS)}")
    figures = json.loads(asked.figures.read_text()) if asked.figures.exists() else {}
    warm_up()
    deadline = time.monotonic() + 60 * asked.minutes
    for name in asked.campaigns or CAMPAIGNS:
        campaign, part, counted, wanted = CAMPAIGNS[name]
        sums = Counter(figures.get(name, {}))
        while sums[counted] < wanted and time.monotonic() < deadline:
            sums += campaign(part, sums["parts"]) + Counter(parts=1)
            figures[name] = dict(sums)
            asked.figures.parent.mkdir(parents=True, exist_ok=True)
            asked.figures.write_text(json.dumps(figures, indent=2) + "\n")
            print(f"{name}: {_words(sums)}", flush=True)
    print("\n".join(["", *(f"{name}: {_words(Counter(figures[name]))}" for name in figures)]))
    return int(any(sums.get("faults") for sums in figures.values()))


def _words(sums: Counter[str]) -> str:
    shown = {name: count for name, count in sums.items() if name not in ("parts", "faults")}
    return ", ".join([*(f"{count:,} {name}" for name, count in shown.items()), f"{sums['faults']} faults"])


if __name__ == "__main__":
    sys.exit(main())

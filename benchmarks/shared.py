"""Validate `intrinsic_clip.shared` as a measuring instrument: a zoo of worlds with known shared dimension.

    python benchmarks/shared.py [--set report] [--worlds 40] [--minutes 60] [--output outputs/benchmarks]

Sets of worlds (shared_worlds.py says what they hold): `tune` is for choosing constants; `report` has other mixings and
seeds; `again` is the worlds of `report` with another seed of the estimate; `independent` shares nothing;
`half_shuffled` has half of its pairs shuffled; `large` has 50,000 pairs; `early` is the first set that was reported.
Finished worlds are kept in <output>/shared_<set>.jsonl and not computed again; the tables are written beside it as CSV
and Markdown after every world.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from intrinsic_clip.shared_dimension import gaps
from intrinsic_clip.shared_dimension.alternatives import alternatives
from intrinsic_clip.shared_dimension.consensus import metrics, ratios, spectra
from intrinsic_clip.shared_dimension.estimate import SharedDimension, shared
from intrinsic_clip.shared_dimension.training import Recipe, train
from intrinsic_clip.shared_dimension.views import WIDEST, prepared
from shared_tables import write
from shared_worlds import SEED_OF_SET, World, views, world

QUICK = (3, 400)  # replicates and steps for many worlds of which only the p-value matters
TRAINED = 0.8  # of the pairs, which the lone run learns from
POINTS = 200  # where its Jacobian is taken
RANK_LEVEL = 1e-3  # of the largest singular value: those above it count for the rank


def measured(of: World, seed: int, quick: bool = False) -> dict[str, Any]:
    """Return the estimate for one world, with all that a rule of decision could want, and what others say.

    Args:
        of: the world.
        seed: of the estimate.
        quick: whether three replicates of at most 400 steps do, and others are not asked.
    """
    x, y = views(of)
    begun = time.monotonic()
    estimate = (
        shared(x, y, seed=seed, replicates=QUICK[0], steps=QUICK[1]) if quick else shared(x, y, seed=seed)
    )
    seconds = time.monotonic() - begun
    begun = time.monotonic()
    others = {} if quick else asked(x, y, estimate, seed)
    return {
        **asdict(of),
        "truth": of.truth,
        "estimate_seed": seed,
        **_numbers(estimate),
        "others": others,
        "seconds": seconds,
        "seconds_of_others": time.monotonic() - begun,
    }


def asked(x: Tensor, y: Tensor, estimate: SharedDimension, seed: int) -> dict[str, float | None]:
    """Return what other methods say, by name."""
    answers = {answer["name"]: answer["value"] for answer in alternatives(x, y, estimate, seed)}
    return {**answers, **lone_run(x, y, seed)}


def _numbers(estimate: SharedDimension) -> dict[str, Any]:
    """Return the numbers of an estimate as they are kept."""
    numbers = estimate.as_dict()
    unwanted = ("n", "seconds")  # the world's own names
    return {key: value for key, value in numbers.items() if key not in unwanted}


def lone_run(x: Tensor, y: Tensor, seed: int) -> dict[str, float | None]:
    """Return what the Jacobian of one training shows: its rank, and the place of the last gap, without a consensus."""
    left, right = (prepared(side, Recipe().output_dim, WIDEST, seed).rows for side in (x, y))
    count = round(TRAINED * len(left))
    recipe = Recipe(replicates=1, steps=600)
    run = train(left[:count], right[:count], recipe, seed)
    points = [side[count:][:POINTS] for side in (left, right)]
    spectrum = [spectra(metrics(f, side)).mean(0) for f, side in zip((run.f, run.g), points, strict=True)]
    steps = gaps.combined(*(ratios(values, recipe.output_dim) for values in spectrum))
    gap = gaps.last_gap(steps, gaps.thresholds(1.0))
    rank = [int((values > RANK_LEVEL * values[0]).sum()) for values in spectrum]
    return {"jacobian_rank": sum(rank) / 2, "jacobian_gap": gap.dimension}


def main() -> None:
    """Measure the worlds that are not measured yet, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SEED_OF_SET, default="report")
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no world after this time")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    arguments = parser.parse_args()
    begun = time.monotonic()
    arguments.output.mkdir(parents=True, exist_ok=True)
    store = arguments.output / f"shared_{arguments.set}.jsonl"
    rows = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    finished = {row["seed"] for row in rows}
    for index in range(arguments.worlds):
        of = world(arguments.set, index)
        if of.seed in finished:
            continue
        if time.monotonic() - begun > 60 * arguments.minutes:
            break
        rows.append(measured(of, of.seed + (arguments.set == "again"), arguments.set == "independent"))
        with store.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(f"{of}: {rows[-1]['text']} ({rows[-1]['seconds']:.0f} s)", flush=True)
    print(write(rows, store))


if __name__ == "__main__":
    main()

"""Validate `intrinsic_clip.shared` as a measuring instrument: a zoo of worlds with known shared dimension.

    python benchmarks/shared.py [--set tune|report] [--worlds 40] [--output outputs/benchmarks]

A world has k* shared and some private latents, each view a random network of one of several mixings applied to its
latents. Worlds of the set `tune`, whose mixings and seeds the set `report` does not have, are for choosing thresholds.
Finished worlds are kept in <output>/shared_<set>.jsonl and not computed again; the tables are written beside it as CSV
and Markdown after every world.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.shared_dimension.estimate import shared

MIXINGS: dict[str, tuple[str, ...]] = {
    "tune": ("linear", "tanh", "relu"),
    "report": ("rotated", "sine", "polynomial", "deep"),
}
FIRST_SEED = {"tune": 0, "report": 10_000}
PAIRS = (2000, 5000, 8000)
MOST_SHARED = 8
HIDDEN = 64


@dataclass(frozen=True)
class World:
    """Settings of one world.

    Attributes:
        seed: of all that is drawn.
        mixing: kind of the networks that mix latents into a view.
        k: shared latents.
        private: latents of x and of y alone.
        widths: columns of x and y.
        n: pairs.
        noise: added to the views, whose standard deviation is 1.
        heavy: whether latents have a t distribution with 3 degrees of freedom in place of a normal one.
    """

    seed: int
    mixing: str
    k: int
    private: tuple[int, int]
    widths: tuple[int, int]
    n: int
    noise: float
    heavy: bool


def world(group: str, index: int) -> World:
    """Return a world of a set; the same index always gives the same."""
    seed = FIRST_SEED[group] + index
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    return World(
        seed=seed,
        mixing=MIXINGS[group][index % len(MIXINGS[group])],
        k=draw(0, MOST_SHARED),
        private=(draw(0, 12), draw(0, 12)),
        widths=(draw(24, 60), draw(24, 60)),
        n=PAIRS[draw(0, len(PAIRS) - 1)],
        noise=10 ** (-2 + 1.5 * draw(0, 100) / 100),
        heavy=draw(0, 3) == 0,
    )


def views(of: World) -> tuple[Tensor, Tensor]:
    """Return both views of a world, `(n, width)` each."""
    generator = torch.Generator().manual_seed(of.seed)
    z = _latents(of, of.k, generator)
    sides = []
    for private, width in zip(of.private, of.widths, strict=True):
        latents = torch.cat([z, _latents(of, max(private, int(of.k == 0)), generator)], 1)
        view = _mixed(latents, width, of.mixing, generator)
        view = view / view.std()
        sides.append(view + of.noise * torch.randn(view.shape, generator=generator))
    return sides[0], sides[1]


def _latents(of: World, count: int, generator: torch.Generator) -> Tensor:
    normal = torch.randn(of.n, count, generator=generator)
    if not of.heavy:
        return normal
    chi_squared = torch.randn(of.n, count, 3, generator=generator).square().sum(-1)
    return normal / chi_squared.div(3).sqrt() / math.sqrt(3)


def _mixed(latents: Tensor, width: int, mixing: str, generator: torch.Generator) -> Tensor:
    def random_map(rows: Tensor, outputs: int) -> Tensor:
        return rows @ torch.randn(rows.shape[1], outputs, generator=generator) / math.sqrt(rows.shape[1])

    if mixing == "linear":
        return random_map(latents, width)
    if mixing == "rotated":
        rotation = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
        return latents @ rotation[: latents.shape[1]]
    curves: dict[str, Callable[[Tensor], Tensor]] = {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "sine": torch.sin,
        "polynomial": lambda h: h + 0.5 * h.square() + 0.1 * h**3,
        "deep": torch.tanh,
    }
    hidden = curves[mixing](random_map(latents, HIDDEN))
    if mixing == "deep":
        hidden = torch.tanh(1.5 * random_map(hidden, HIDDEN))
    return random_map(hidden, width)


def measured(of: World) -> dict[str, Any]:
    """Return the estimate for one world, with all that a rule of decision could want."""
    x, y = views(of)
    begun = time.monotonic()
    estimate = shared(x, y, seed=of.seed)
    return {
        **asdict(of),
        "dimension": estimate.dimension,
        "interval": estimate.interval,
        "agreement": estimate.agreement,
        "effective": estimate.effective,
        "gap": estimate.gap,
        "null_gap": estimate.null_gap,
        "sides": estimate.sides,
        "ratios": estimate.ratios,
        "matching": asdict(estimate.matching),
        "text": estimate.text,
        "seconds": time.monotonic() - begun,
    }


SUMMARY = ("worlds", "named", "exact of named", "within 1 of named", "refused", "exact of all", "covered")


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the numbers of SUMMARY for some worlds; a refusal is no clear gap."""
    named = [row for row in rows if row["dimension"] is not None]
    errors = [abs(row["dimension"] - row["k"]) for row in named]
    covered = [row["interval"][0] <= row["k"] <= row["interval"][1] for row in named]
    exact = sum(error == 0 for error in errors)

    def share(count: int, of: int) -> str:
        return f"{count}/{of}"

    return [
        str(len(rows)),
        str(len(named)),
        share(exact, len(named)),
        share(sum(error <= 1 for error in errors), len(named)),
        str(len(rows) - len(named)),
        share(exact, len(rows)),
        share(sum(covered), len(named)),
    ]


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return Markdown: a summary by kind of world, then every world."""
    kinds: dict[str, list[dict[str, Any]]] = {"all": list(rows)}
    kinds["n ≥ 5,000"] = [row for row in rows if row["n"] >= 5000]
    kinds["nothing shared"] = [row for row in rows if row["k"] == 0]
    for mixing in sorted({row["mixing"] for row in rows}):
        kinds[mixing] = [row for row in rows if row["mixing"] == mixing]
    kinds["heavy tails"] = [row for row in rows if row["heavy"]]
    lines = [f"| | {' | '.join(SUMMARY)} |", "|---" * (1 + len(SUMMARY)) + "|"]
    lines += [f"| {kind} | {' | '.join(summary(chosen))} |" for kind, chosen in kinds.items() if chosen]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in sorted(rows, key=lambda row: row["seed"])]
    return "\n".join(lines) + "\n"


COLUMNS = (
    "seed",
    "mixing",
    "k*",
    "private",
    "n",
    "noise",
    "heavy",
    "verdict",
    "interval",
    "top 1",
    "seconds",
)


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        str(row["seed"]),
        row["mixing"],
        str(row["k"]),
        "+".join(map(str, row["private"])),
        f"{row['n']:,}",
        f"{row['noise']:.2f}",
        "yes" if row["heavy"] else "",
        row["text"],
        "–".join(map(str, row["interval"])),
        f"{row['matching']['top_1']:.3f}",
        f"{row['seconds']:.0f}",
    ]


def main() -> None:
    """Measure the worlds that are not measured yet, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=MIXINGS, default="report")
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    store = arguments.output / f"shared_{arguments.set}.jsonl"
    rows = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    finished = {row["seed"] for row in rows}
    for index in range(arguments.worlds):
        of = world(arguments.set, index)
        if of.seed in finished:
            continue
        rows.append(measured(of))
        with store.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(f"{of}: {rows[-1]['text']} ({rows[-1]['seconds']:.0f} s)", flush=True)
        _write(rows, store)
    print(tables(rows))


def _write(rows: Sequence[dict[str, Any]], store: Path) -> None:
    store.with_suffix(".md").write_text(tables(rows))
    with store.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(row) for row in rows)


if __name__ == "__main__":
    main()

"""Ask how often the dimension that `measure` believes is the true one, and whether its text says so where it is not.

    python benchmarks/believed_coverage.py [--rows 1000 5000] [--seeds 3] [--samples FILE]

Samples are of clouds of known dimension in 32 columns: clean ones, heavy tails, isotropic noise (its standard
deviation in each column as a share of that of the cloud's own coordinates), and mixtures of two dimensions. No constant
of the package was chosen on these clouds or seeds. With --samples, what is done is kept in a file of JSON lines, and
the same command does the rest. Noise and mixture are found by their sentences.

held      samples whose interval holds the true dimension, or for a mixture both
off       samples whose value is more than a tenth off; of mixtures, from either dimension
told      of those, how many say that noise may make the value too high, or of a mixture that there is one
few       the others of those that say that rows are too few, or barely enough
alarms    samples said to have noise or a mixture where there is none
"""

import argparse
import json
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from intrinsic_clip.measurement import measure_embeddings

COLUMNS = 32
Draw = Callable[[np.random.Generator, int], np.ndarray]


def turned(rows: np.ndarray, source: np.random.Generator) -> np.ndarray:
    """Return rows in COLUMNS columns, with a root mean square of 1 in the directions of their own."""
    basis = np.linalg.qr(source.standard_normal((COLUMNS, COLUMNS)))[0]
    return (rows - rows.mean(0)) / rows.std() @ basis[: rows.shape[1]]


def gauss(m: int) -> Draw:
    """Return a Gaussian cloud."""
    return lambda source, n: turned(source.standard_normal((n, m)), source)


def cube(m: int) -> Draw:
    """Return a cube."""
    return lambda source, n: turned(source.random((n, m)), source)


def sphere(m: int) -> Draw:
    """Return a sphere of m dimensions."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        rows = source.standard_normal((n, m + 1))
        return turned(rows / np.linalg.norm(rows, axis=1, keepdims=True), source)

    return draw


def torus(m: int) -> Draw:
    """Return m circles."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        angles = source.uniform(0, 2 * np.pi, (n, m))
        return turned(np.concatenate([np.cos(angles), np.sin(angles)], 1), source)

    return draw


def roll(source: np.random.Generator, n: int) -> np.ndarray:
    """Return a Swiss roll."""
    angle = 1.5 * np.pi * (1 + 2 * source.random(n))
    return turned(np.stack([angle * np.cos(angle), angle * np.sin(angle), 21 * source.random(n)], 1), source)


def network(m: int, slope: float = 1.0, unit: bool = False) -> Draw:
    """Return what a random network makes of a Gaussian, of unit length if so asked."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        inner = slope * source.standard_normal((m, 64)) / np.sqrt(m)
        hidden = np.tanh(source.standard_normal((n, m)) @ inner + source.standard_normal(64) / 2)
        rows = hidden @ source.standard_normal((64, COLUMNS))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows.std()
        return rows / rows.std()

    return draw


def tails(m: int, freedom: float) -> Draw:
    """Return independent Student coordinates."""
    return lambda source, n: turned(source.standard_t(freedom, (n, m)), source)


def clusters(m: int) -> Draw:
    """Return twelve Gaussian clusters in different places."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        rows = gauss(m)(source, n)
        return rows + 6 * source.standard_normal((12, COLUMNS))[source.integers(12, size=n)]

    return draw


def noisy(cloud: Draw, noise: float) -> Draw:
    """Return a cloud with noise in all columns."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        return cloud(source, n) + noise * source.standard_normal((n, COLUMNS))

    return draw


def mixed(first: Draw, second: Draw, share: float) -> Draw:
    """Return rows of two clouds in different places."""

    def draw(source: np.random.Generator, n: int) -> np.ndarray:
        a, b = first(source, round(share * n)), second(source, n - round(share * n))
        return np.concatenate([a, b + source.standard_normal(COLUMNS)])

    return draw


CLEAN: dict[str, tuple[Draw, int]] = {
    "Gaussian 4": (gauss(4), 4),
    "Gaussian 7": (gauss(7), 7),
    "cube 4": (cube(4), 4),
    "sphere 3": (sphere(3), 3),
    "sphere 6": (sphere(6), 6),
    "torus 3": (torus(3), 3),
    "Swiss roll": (roll, 2),
    "network 3": (network(3), 3),
    "steep network 3": (network(3, 2.0), 3),
    "unit network 5": (network(5, unit=True), 5),
    "clusters 4": (clusters(4), 4),
}
TAILS = {"t3 in 4": (tails(4, 3), 4), "t2 in 6": (tails(6, 2), 6), "t3 in 3": (tails(3, 3), 3)}
NOISY = ("Gaussian 4", "sphere 3", "Swiss roll", "network 3")
MIXED: dict[str, tuple[Draw, tuple[int, int]]] = {
    "2 and 6": (mixed(gauss(2), gauss(6), 0.5), (2, 6)),
    "3 and 9, 30 % of 3": (mixed(sphere(3), gauss(9), 0.3), (3, 9)),
    "1 and 3, 70 % of 1": (mixed(gauss(1), cube(3), 0.7), (1, 3)),
    "2 and 5": (mixed(roll, network(5), 0.5), (2, 5)),
    "5 and 7": (mixed(network(5), network(7), 0.5), (5, 7)),
}


def clouds() -> dict[tuple[str, str], tuple[Draw, tuple[int, ...]]]:
    """Return each cloud and its dimensions by kind and name."""
    found: dict[tuple[str, str], tuple[Draw, tuple[int, ...]]] = {}
    found |= {("clean", name): (draw, (m,)) for name, (draw, m) in CLEAN.items()}
    found |= {("heavy tails", name): (draw, (m,)) for name, (draw, m) in TAILS.items()}
    for noise in (0.01, 0.03, 0.1, 0.3):
        kind = f"noise {noise:g}"
        found |= {(kind, name): (noisy(CLEAN[name][0], noise), (CLEAN[name][1],)) for name in NOISY}
    found |= {("two dimensions", name): (draw, both) for name, (draw, both) in MIXED.items()}
    return found


def sample(kind: str, name: str, n: int, seed: int) -> dict[str, object]:
    """Return what `measure` believes of one sample."""
    draw, dimensions = clouds()[kind, name]
    source = np.random.default_rng([seed, n, zlib.crc32(f"{kind} {name}".encode())])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = torch.from_numpy(draw(source, n)).float()
        believed = measure_embeddings(rows, estimators=["mle", "twonn"])["believed"]["x"]
    headline, text = believed["headline"] or {}, believed["text"]
    value, low, high = (headline.get(key, float("nan")) for key in ("value", "low", "high"))
    return {
        "held": all(low <= m <= high for m in dimensions),
        "off": not all(abs(value / m - 1) <= 0.1 for m in dimensions),
        "value": value,
        "noise": "from noise of short range" in text,
        "mixture": "rows of different dimensions are mixed" in text.lower(),
        "few": "are too few" in text or "barely enough" in text,
    }


def main() -> None:
    """Draw what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=Path, help="file of JSON lines that keeps what is done")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = arguments.samples.read_text() if arguments.samples and arguments.samples.exists() else ""
    done = {tuple(key): found for key, found in map(json.loads, lines.splitlines())}
    for seed in range(1000, 1000 + arguments.seeds):  # the constants were chosen on smaller ones
        for n in arguments.rows:
            for kind, name in clouds():
                if (kind, name, n, seed) in done:
                    continue
                found = done[kind, name, n, seed] = sample(kind, name, n, seed)
                if arguments.samples:
                    with arguments.samples.open("a") as file:
                        file.write(json.dumps([(kind, name, n, seed), found]) + "\n")
    print_table(done)


def print_table(done: dict[tuple[str, ...], dict[str, object]]) -> None:
    """Print a row for each kind of clouds and number of rows."""
    print("| clouds | rows | samples | held | off | told | few | alarms |\n|---|--:|--:|--:|--:|--:|--:|--:|")
    for kind, n in dict.fromkeys((key[0], key[2]) for key in done):
        found = [each for key, each in done.items() if (key[0], key[2]) == (kind, n)]
        right = {"mixture"} if kind == "two dimensions" else {"noise"} if kind.startswith("noise") else set()
        off = [each for each in found if each["off"]]
        told = sum(any(each[name] for name in right) for each in off)
        few = sum(bool(each["few"]) and not any(each[name] for name in right) for each in off)
        alarms = sum(any(each[name] for name in {"noise", "mixture"} - right) for each in found)
        held = sum(bool(each["held"]) for each in found)
        print(f"| {kind} | {n:,} | {len(found)} | {held} | {len(off)} | {told} | {few} | {alarms} |")


if __name__ == "__main__":
    main()

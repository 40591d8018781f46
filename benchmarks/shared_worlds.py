"""Worlds with a known shared dimension: what both views hold in common is drawn, mixed and disturbed in known ways.

A view of a world is a random map, its mixing, of the shared latents, of some private ones, and of noise. The number of
shared dimensions of a view is the number that its prediction of the other view depends on: the rank of the derivative
of x ↦ p(y | x), or of y ↦ p(x | y). A shared class counts with the dimensions that its points span: the views have
noise, and between two of the points the odds of the classes change. k* is the larger of both views' numbers.

Kinds of worlds, by how the shared latents z reach the views:
- plain: both views mix z;
- noisy: y mixes z with noise of its own in place of z;
- folded: y mixes |z| in place of half of the latents, so that x knows more of them than it shares;
- reduced: x mixes two latents where y mixes their radius, for half of the shared numbers;
- level: x alone also mixes a latent that sets the noise of what y mixes: one more dimension of x tells about y;
- discrete: both views mix a class of several, coded as a point of three dimensions, beside z.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.data.mixed import CURVES, HIDDEN

MIXINGS: dict[str, tuple[str, ...]] = {
    "tune": ("linear", "tanh", "relu"),
    "report": ("rotated", "sine", "polynomial", "deep"),
    "early": ("rotated", "sine", "polynomial", "deep"),
    "independent": ("linear", "rotated", "tanh", "relu", "sine", "polynomial", "deep"),
    "half_shuffled": ("rotated", "sine", "polynomial", "deep"),
    "again": ("rotated", "sine", "polynomial", "deep"),
    "large": ("rotated", "sine", "polynomial", "deep"),
}
SEED_OF_SET = {
    "early": 10_000,
    "tune": 20_000,
    "report": 30_000,
    "again": 30_000,
    "independent": 40_000,
    "half_shuffled": 50_000,
    "large": 60_000,
}
KINDS = ("plain", "noisy", "plain", "folded", "discrete", "plain", "level", "reduced")
PAIRS = (500, 2000, 2000, 5000, 5000, 5000, 8000, 8000)
INDEPENDENT_PAIRS = (500, 1000, 2000, 5000)
LARGE = 50_000
MOST_SHARED, MOST_PRIVATE = 12, 20
WIDE = 8  # one view in so many has more columns than are taken as they are
CODE = 3  # dimensions of the points that stand for classes


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
        kind: how the shared latents reach the views.
        shared_noise: standard deviation of the noise in the shared latents of y, whose own is 1.
        classes: number of values of the shared class; 0 where there is none.
        shuffled: share of the pairs that are shuffled against each other.
    """

    seed: int
    mixing: str
    k: int
    private: tuple[int, int]
    widths: tuple[int, int]
    n: int
    noise: float
    heavy: bool
    kind: str = "plain"
    shared_noise: float = 0.0
    classes: int = 0
    shuffled: float = 0.0

    @property
    def truth(self) -> tuple[int, int]:
        """Number of shared dimensions of x and of y."""
        both = self.k + (min(self.classes - 1, CODE) if self.classes else 0)
        return both + (self.kind == "level"), both


def world(group: str, index: int) -> World:
    """Return a world of a set; the same index always gives the same."""
    seed = SEED_OF_SET[group] + index
    generator = torch.Generator().manual_seed(seed)
    mixing = MIXINGS[group][index % len(MIXINGS[group])]
    if group == "early":
        return _early(seed, mixing, generator)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    def columns() -> int:
        return draw(150, 400) if draw(1, WIDE) == 1 else draw(44, 80)

    pairs = {"independent": INDEPENDENT_PAIRS, "large": (LARGE,), "half_shuffled": PAIRS[3:]}.get(
        group, PAIRS
    )
    kind = KINDS[(index // len(MIXINGS[group])) % len(KINDS)]
    if group in ("independent", "half_shuffled"):
        kind = "plain"
    least = {"independent": 0, "half_shuffled": 1, "large": 1}.get(group, int(kind in ("folded", "reduced")))
    return World(
        seed=seed,
        mixing=mixing,
        k=draw(least, 0 if group == "independent" else MOST_SHARED),
        private=(draw(0, MOST_PRIVATE), draw(0, MOST_PRIVATE)),
        widths=(columns(), columns()),
        n=pairs[draw(0, len(pairs) - 1)],
        noise=10 ** (-2 + 1.5 * draw(0, 100) / 100),
        heavy=draw(0, 1 if group == "independent" else 3) == 0,
        kind=kind,
        shared_noise=draw(10, 50) / 100 if kind in ("noisy", "level") else 0.0,
        classes=draw(2, 6) if kind == "discrete" else 0,
        shuffled=0.5 if group == "half_shuffled" else 0.0,
    )


def _early(seed: int, mixing: str, generator: torch.Generator) -> World:
    """Return a world of the first set that was reported: plain ones with at most 8 shared and 12 private latents."""

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    return World(
        seed=seed,
        mixing=mixing,
        k=draw(0, 8),
        private=(draw(0, 12), draw(0, 12)),
        widths=(draw(24, 60), draw(24, 60)),
        n=(2000, 5000, 8000)[draw(0, 2)],
        noise=10 ** (-2 + 1.5 * draw(0, 100) / 100),
        heavy=draw(0, 3) == 0,
    )


def views(of: World) -> tuple[Tensor, Tensor]:
    """Return both views of a world, `(n, width)` each."""
    generator = torch.Generator().manual_seed(of.seed)
    sides = []
    for place, shared in enumerate(_shared_latents(of, generator)):
        lone = of.k == 0 and of.classes == 0  # a view must hold something
        private = _latents(of, max(of.private[place], int(lone)), generator)
        view = _mixed(torch.cat([shared, private], 1), of.widths[place], of.mixing, generator)
        view = view / view.std()
        sides.append(view + of.noise * torch.randn(view.shape, generator=generator))
    x, y = sides
    return x, _part_shuffled(y, of.shuffled, generator)


def _shared_latents(of: World, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return what x and y mix of the shared latents, `(n, …)` each."""
    z = _latents(of, of.k, generator)
    if of.kind == "plain":
        return z, z
    half = (of.k + 1) // 2
    if of.kind == "noisy":
        return z, z + of.shared_noise * torch.randn(z.shape, generator=generator)
    if of.kind == "level":
        level = _latents(of, 1, generator)
        spread = of.shared_noise * level.clamp(-3, 1.5).exp()
        return torch.cat([z, level], 1), z + spread * torch.randn(z.shape, generator=generator)
    if of.kind == "folded":
        return z, torch.cat([_standardised(z[:, :half].abs()), z[:, half:]], 1)
    if of.kind == "reduced":
        second = _latents(of, half, generator)
        radius = _standardised(torch.hypot(z[:, :half], second))
        return torch.cat([z, second], 1), torch.cat([radius, z[:, half:]], 1)
    if of.kind == "discrete":
        codes = 1.5 * torch.randn(of.classes, CODE, generator=generator)
        code = codes[torch.randint(of.classes, (of.n,), generator=generator)]
        return torch.cat([z, code], 1), torch.cat([z, code], 1)
    raise ValueError(f"no kind of world is called {of.kind!r}")


def _standardised(rows: Tensor) -> Tensor:
    return (rows - rows.mean(0)) / rows.std(0)


def _part_shuffled(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return the rows, this share of them in another order among themselves."""
    if share == 0:
        return rows
    chosen = torch.randperm(len(rows), generator=generator)[: round(share * len(rows))]
    shuffled = rows.clone()
    shuffled[chosen] = rows[chosen.roll(1)]
    return shuffled


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
    hidden = CURVES[mixing](random_map(latents, HIDDEN))
    if mixing == "deep":
        hidden = torch.tanh(1.5 * random_map(hidden, HIDDEN))
    return random_map(hidden, width)

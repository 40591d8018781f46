"""Generate synthetic pairs whose shared and private latents random networks mix into views of any width."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor

from intrinsic_clip.data.paired import Pairs
from intrinsic_clip.data.synthetic import SyntheticData
from intrinsic_clip.runs.replicates import stream_seed
from intrinsic_clip.seeding import seeded
from intrinsic_clip.typed_values import checked

Mixing = Literal["linear", "rotated", "tanh", "relu", "sine", "polynomial", "deep"]
CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sine": torch.sin,
    "polynomial": lambda h: h + 0.5 * h.square() + 0.1 * h**3,
    "deep": torch.tanh,
}
HIDDEN = 64  # units of a mixing network's layers
SCALED_BY = 4096  # rows, whose standard deviation a view is divided by


class SyntheticMixed(SyntheticData):
    """Each view is a random network of one kind applied to k* shared and some private Gaussian latents.

    The networks depend on the seed alone, so that all replicates see one world, from which each draws its own rows.

    Args:
        mixing: "linear" (a random matrix), "rotated" (orthonormal directions), a network with one hidden layer of
            64 units, "tanh", "relu", "sine" or "polynomial", or "deep", with two of tanh.
        private_x, private_y: latents of one view alone.
        noise: standard deviation of noise that is added to the views, whose own is 1.
        d_x, d_y, sizes: as for `SyntheticData`.

    Raises:
        ValueError: k* exceeds d_x or d_y, or rotated latents are more than the columns.
    """

    @checked("data")
    def __init__(
        self,
        mixing: Mixing = "tanh",
        private_x: NonNegativeInt = 6,
        private_y: NonNegativeInt = 9,
        noise: NonNegativeFloat = 0.02,
        **sizes: Any,
    ) -> None:
        super().__init__(**{"d_x": 40, "d_y": 30, **sizes})
        self.mixing, self.private, self.noise = mixing, (private_x, private_y), noise
        for name, private, width in zip("xy", self.private, (self.d_x, self.d_y), strict=True):
            if mixing == "rotated" and self.shared_dim + private > width:
                raise ValueError(
                    f"data.d_{name}={width} columns cannot hold {self.shared_dim} shared and {private} private "
                    "latents under a rotation"
                )

    def generate(self, generator: torch.Generator, n: int) -> Pairs:
        """Draw latents, and apply both views' networks to them."""
        device = generator.device
        z = torch.randn(n, self.shared_dim, generator=generator, device=device)
        world = seeded(stream_seed(self.seed, 0, "world"))
        views = []
        for private, width in zip(self.private, (self.d_x, self.d_y), strict=True):
            own = torch.randn(n, private, generator=generator, device=device)
            view = draw_view(self.mixing, self.shared_dim + private, width, world, device)(
                torch.cat([z, own], 1)
            )
            views.append(view + self.noise * torch.randn(view.shape, generator=generator, device=device))
        return Pairs(views[0], views[1], z)

    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return the latent itself, of which each view has its own mixture."""
        return z


def draw_view(
    mixing: str, latents: int, width: int, world: torch.Generator, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Draw a view's network, scaled to standard deviation 1: `(n, latents) → (n, width)`."""
    weights = _weights(mixing, latents, width, world)
    sample = _mixed(torch.randn(SCALED_BY, latents, generator=world), mixing, weights)
    weights = [weight.to(device) for weight in weights]
    scale = float(sample.std())
    return lambda rows: _mixed(rows, mixing, weights) / scale


def _weights(mixing: str, latents: int, width: int, world: torch.Generator) -> list[Tensor]:
    if mixing == "rotated":
        return [torch.linalg.qr(torch.randn(width, width, generator=world)).Q[:latents]]
    widths = {"linear": [latents, width], "deep": [latents, HIDDEN, HIDDEN, width]}
    layers = widths.get(mixing, [latents, HIDDEN, width])
    return [torch.randn(a, b, generator=world) / math.sqrt(a) for a, b in pairwise(layers)]


def _mixed(rows: Tensor, mixing: str, weights: list[Tensor]) -> Tensor:
    if mixing not in CURVES:
        return rows @ weights[0]
    hidden = CURVES[mixing](rows @ weights[0])
    for weight in weights[1:-1]:
        hidden = CURVES[mixing](1.5 * hidden @ weight)
    return hidden @ weights[-1]

"""Generate synthetic pairs with a known shared latent (paper, section 4.1) from a seed.

Y ~ N(0, I). X starts as independent N(0, I); its first k* coordinates are then replaced by a function of the
latent Z = Y[:, :k*]. Each class below is one such function.
"""

import math
from abc import abstractmethod
from typing import Any

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.runs.replicates import stream_seed
from intrinsic_clip.typed_values import checked


class SyntheticData(PairedData):
    """Gaussian pairs that share a latent Z of dimension k*.

    Args:
        n_train, n_append, n_test: rows to train on, for the population norm, and held out.
        d_x, d_y: input dimensions.
        shared_dim: k*.
        batch_size: pairs per step.
        seed: determines the data, together with the replicate's index.
        replicates: number of replicates or list of their indices; each has data of its own, `(replicates, n, d)`. None:
            the data of index 0 without that axis.

    Raises:
        ValueError: k* exceeds d_x or d_y.
    """

    d_x: int
    d_y: int
    shared_dim: int

    @checked("data")
    def __init__(
        self,
        n_train: PositiveInt = 10_000,
        n_append: NonNegativeInt = 2_000,
        n_test: PositiveInt = 2_000,
        d_x: PositiveInt = 20,
        d_y: PositiveInt = 20,
        shared_dim: NonNegativeInt = 5,
        batch_size: PositiveInt = 256,
        seed: NonNegativeInt = 0,
        replicates: PositiveInt | list[NonNegativeInt] | None = None,
    ) -> None:
        if shared_dim > min(d_x, d_y):
            raise ValueError(f"data.shared_dim={shared_dim} must not exceed min(d_x, d_y) = {min(d_x, d_y)}")
        super().__init__(batch_size)
        self.sizes = {"train": n_train, "append": n_append, "test": n_test}
        self.d_x, self.d_y, self.shared_dim, self.seed = d_x, d_y, shared_dim, seed
        self.replicates = range(replicates) if isinstance(replicates, int) else replicates

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Generate all splits of a replicate from one random stream, cut in the order train, append, test."""
        each = [self._generate(replicate, device) for replicate in self.replicates or [0]]
        columns = (torch.stack(c) if self.replicates else c[0] for c in zip(*each, strict=True))
        cuts = zip(*(c.split(list(self.sizes.values()), dim=-2) for c in columns), strict=True)
        return {split: Pairs(*cut) for split, cut in zip(self.sizes, cuts, strict=True)}

    def _generate(self, replicate: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator(device).manual_seed(stream_seed(self.seed, replicate, "data"))
        pairs = self.generate(generator, sum(self.sizes.values()))
        assert pairs.z is not None
        return pairs.x, pairs.y, pairs.z

    def generate(self, generator: torch.Generator, n: int) -> Pairs:
        """Return n pairs: x `(n, d_x)`, y `(n, d_y)` and the latent z `(n, k*)` that they share."""
        y = torch.randn(n, self.d_y, generator=generator, device=generator.device)
        x = torch.randn(n, self.d_x, generator=generator, device=generator.device)
        z = y[:, : self.shared_dim]
        x[:, : self.shared_dim] = self.share(z, generator)
        return Pairs(x, y, z.clone())

    @abstractmethod
    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return the coordinates of X that depend on the latent, `(n, k*) → (n, k*)`."""


class SyntheticLinear(SyntheticData):
    """X_j = (Z_j + ν ε_j) / √(1+ν²) for j ≤ k*; without noise (ν = 0) the shared part is equal in both.

    Args:
        noise: ν; with ν > 0 the mutual information is known, see `mutual_information`.
    """

    @checked("data")
    def __init__(self, noise: NonNegativeFloat = 0.0, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.noise = noise

    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return Z plus Gaussian noise, scaled back to unit variance."""
        if self.noise == 0:
            return z
        epsilon = torch.randn(z.shape, generator=generator, device=z.device)
        return (z + self.noise * epsilon) / math.sqrt(1 + self.noise**2)

    @property
    def mutual_information(self) -> float:
        """I(X; Y) in nats: −(k*/2) ln(1 − ρ²) with ρ² = 1/(1+ν²); infinite for ν = 0."""
        if self.noise == 0:
            return math.inf
        return self.shared_dim * math.log1p(1 / self.noise**2) / 2


class SyntheticNonlinear(SyntheticData):
    """X_1 = Z_1·1{Z_1<0}, X_2 = Z_2·1{Z_1+Z_2>0.5}, X_j = max(Z_j, 0) for 3 ≤ j ≤ k*."""

    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Apply the paper's piecewise maps to the latent."""
        x = z.clamp_min(0)
        z_1, z_2 = z[:, :1], z[:, 1:2]
        x[:, :1] = z_1 * (z_1 < 0)
        x[:, 1:2] = z_2 * (z_1 + z_2 > 0.5)
        return x


class SyntheticGaussianNonlinear(SyntheticData):
    """X_j = swirl(Z)_j: a smooth nonlinear one-to-one map of the latent whose outcome is N(0, I) again.

    Args:
        turn: radians by which the plane of two coordinates turns per unit of radius in it.
    """

    @checked("data")
    def __init__(self, turn: float = 1.0, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.turn = turn

    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Turn each plane (j, j+1) by an angle proportional to the radius in it.

        A rotation by an angle that depends on the radius alone keeps a rotation-invariant law, so every
        marginal, and Z as a whole, stays Gaussian; it is one to one, so nothing shared is lost.
        """
        x = z.clone()
        for j in range(self.shared_dim - 1):
            plane = x[:, j : j + 2]
            angle = self.turn * torch.linalg.vector_norm(plane, dim=-1)
            cos, sin = angle.cos(), angle.sin()
            x[:, j : j + 2] = torch.stack(
                [cos * plane[:, 0] - sin * plane[:, 1], sin * plane[:, 0] + cos * plane[:, 1]], dim=-1
            )
        return x


class SyntheticRotated(SyntheticLinear):
    """`SyntheticLinear` with shared and private coordinates mixed by a random rotation of each modality."""

    def generate(self, generator: torch.Generator, n: int) -> Pairs:
        """Draw the two rotations first, so they do not depend on n."""
        rotation_x, rotation_y = (_random_rotation(d, generator) for d in (self.d_x, self.d_y))
        pairs = super().generate(generator, n)
        return Pairs(pairs.x @ rotation_x, pairs.y @ rotation_y, pairs.z)


class SyntheticIndependent(SyntheticData):
    """X and Y independent: k* = 0, and no encoder can match pairs above chance.

    Raises:
        ValueError: a shared dimension other than 0.
    """

    @checked("data")
    def __init__(self, **sizes: Any) -> None:
        if sizes.setdefault("shared_dim", 0):
            raise ValueError("data.shared_dim must be 0: independent modalities share nothing")
        super().__init__(**sizes)

    def share(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return the empty latent."""
        return z


def _random_rotation(d: int, generator: torch.Generator) -> Tensor:
    """Draw a Haar-distributed orthogonal matrix `(d, d)`: QR of a Gaussian one, signs fixed by diag(R)."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, device=generator.device))
    return q * torch.sign(torch.diagonal(r))

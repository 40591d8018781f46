"""Generate three synthetic modalities with latents that all share, that each pair shares, and that are private."""

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from intrinsic_clip.data.mixed import Mixing, draw_view
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.runs.replicates import stream_seed
from intrinsic_clip.seeding import seeded
from intrinsic_clip.typed_values import checked

MODALITIES = ("x", "y", "z")


class SyntheticThree(PairedData):
    """Views x, y and z, each a random network of one kind applied to the Gaussian latents that it holds.

    x holds the latents `xyz`, `xy`, `xz` and its private ones, and so on. The union of what x shares with another has
    shared_xyz + shared_xy + shared_xz dimensions, the intersection of all three shared_xyz. The networks depend on the
    seed alone, so that all replicates see one world, from which each draws its own rows.

    Args:
        n_train, n_append, n_test: rows to train on, for the population norm, and held out.
        d_x, d_y, d_z: input dimensions.
        shared_xyz: latents that all three share.
        shared_xy, shared_xz, shared_yz: latents that two of them share, and not the third.
        private_x, private_y, private_z: latents of one view alone.
        mixing: as for `SyntheticMixed`, "linear" or "tanh" for example.
        noise: standard deviation of noise that is added to the views, whose own is 1.
        batch_size: triples per step.
        seed: determines the data, together with the replicate's index.
        replicates: number of replicates or list of their indices; each has rows of its own, `(replicates, n, d)`. None:
            those of index 0 without that axis.

    Raises:
        ValueError: a view without a latent, or rotated latents that are more than the columns.
    """

    d_x: int
    d_y: int

    @checked("data")
    def __init__(
        self,
        n_train: PositiveInt = 10_000,
        n_append: NonNegativeInt = 2_000,
        n_test: PositiveInt = 2_000,
        d_x: PositiveInt = 20,
        d_y: PositiveInt = 20,
        d_z: PositiveInt = 20,
        shared_xyz: NonNegativeInt = 3,
        shared_xy: NonNegativeInt = 2,
        shared_xz: NonNegativeInt = 2,
        shared_yz: NonNegativeInt = 2,
        private_x: NonNegativeInt = 5,
        private_y: NonNegativeInt = 5,
        private_z: NonNegativeInt = 5,
        mixing: Mixing = "linear",
        noise: NonNegativeFloat = 0.02,
        batch_size: PositiveInt = 256,
        seed: NonNegativeInt = 0,
        replicates: PositiveInt | list[NonNegativeInt] | None = None,
    ) -> None:
        super().__init__(batch_size)
        self.sizes = {"train": n_train, "append": n_append, "test": n_test}
        self.d_x, self.d_y, self.further_dims = d_x, d_y, {"z": d_z}
        self.shared = {"xyz": shared_xyz, "xy": shared_xy, "xz": shared_xz, "yz": shared_yz}
        self.private = {"x": private_x, "y": private_y, "z": private_z}
        self.mixing, self.noise, self.seed = mixing, noise, seed
        self.replicates = range(replicates) if isinstance(replicates, int) else replicates
        for name, width in self.widths.items():
            held = self.latents_of(name)
            if held == 0:
                raise ValueError(f"data.private_{name}=0: {name} shares nothing, and needs a private latent")
            if mixing == "rotated" and held > width:
                raise ValueError(f"data.d_{name}={width} columns cannot hold {held} latents under a rotation")

    @property
    def widths(self) -> dict[str, int]:
        """Input dimension of each view."""
        return {"x": self.d_x, "y": self.d_y, "z": int(self.further_dims["z"])}  # type: ignore[arg-type]

    def latents_of(self, name: str) -> int:
        """Return how many latents a view holds, shared and private."""
        return sum(size for block, size in self.shared.items() if name in block) + self.private[name]

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Generate all splits of a replicate from one random stream, cut in the order train, append, test."""
        each = [self._generate(replicate, device) for replicate in self.replicates or [0]]
        sizes = list(self.sizes.values())
        parts = {}
        for name in each[0]:
            rows = torch.stack([one[name] for one in each]) if self.replicates else each[0][name]
            parts[name] = rows.split(sizes, dim=-2)
        return {
            split: Pairs(
                parts["x"][place],
                parts["y"][place],
                further={"z": parts["z"][place]},
                latents={block: parts[block][place] for block in self.shared if self.shared[block]},
            )
            for place, split in enumerate(self.sizes)
        }

    def _generate(self, replicate: int, device: torch.device) -> dict[str, Tensor]:
        generator = torch.Generator(device).manual_seed(stream_seed(self.seed, replicate, "data"))
        return self.generate(generator, sum(self.sizes.values()))

    def generate(self, generator: torch.Generator, n: int) -> dict[str, Tensor]:
        """Return n rows of x, y and z, `(n, d)`, and of the shared latents by the modalities that share them."""
        device = generator.device
        latents = {
            block: torch.randn(n, size, generator=generator, device=device)
            for block, size in self.shared.items()
        }
        world = seeded(stream_seed(self.seed, 0, "world"))
        views = {}
        for name, width in self.widths.items():
            own = torch.randn(n, self.private[name], generator=generator, device=device)
            held = torch.cat([*(rows for block, rows in latents.items() if name in block), own], 1)
            view = draw_view(self.mixing, held.shape[1], width, world, device)(held)
            views[name] = view + self.noise * torch.randn(view.shape, generator=generator, device=device)
        return views | latents

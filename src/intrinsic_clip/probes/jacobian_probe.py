"""Measure the rank of the encoders' Jacobians during training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from intrinsic_clip.data.paired import Split
from intrinsic_clip.dimension import jacobian_spectrum, latent_directions
from intrinsic_clip.encoders.preprocessing import in_unit_range
from intrinsic_clip.probes.collection import Collector, shared_collector
from intrinsic_clip.probes.embeddings import Side, encoders_of, evaluating, sample
from intrinsic_clip.probes.loaders import Stage
from intrinsic_clip.probes.probe import Measured, Probe
from intrinsic_clip.probes.sources import Embed, by_function
from intrinsic_clip.typed_values import checked


@dataclass
class Map:
    """An encoder and the rows at which it is differentiated.

    Attributes:
        rows: `(*R, n, *input)`.
        z: the true latent of the rows, `(*R, n, k*)`, where it is known.
        input_dims: how many axes one row has.
    """

    encoder: Callable[[Tensor], Tensor]
    rows: Tensor
    z: Tensor | None = None
    input_dims: int = 1


@dataclass
class Maps:
    """One map per modality of a module."""

    module: nn.Module
    maps: dict[Side, Map]

    def sides(self) -> dict[Side, Tensor]:
        """Return the rows by modality."""
        return {side: encoder_map.rows for side, encoder_map in self.maps.items()}


class FirstBatch(Collector):
    """Keeps the maps that a function gives for the first batch of a pass, on rank 0.

    Args:
        maps: `(module, batch)` → (encoder, rows), or a dict of such pairs with the keys x and y.
        max_points: as in JacobianProbe.
    """

    def __init__(self, maps: Embed, max_points: int) -> None:
        self.maps, self.max_points = maps, max_points
        self._kept: Maps | str | None = None
        self._is_collected = False

    def listen(self) -> None:
        """Begin a new pass, if the maps of the last one have been collected."""
        if self._is_collected:
            self._kept, self._is_collected = None, False

    @torch.no_grad()
    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Call the function in evaluation mode, if this is the first batch."""
        if self._kept is None and trainer.is_global_zero:
            try:
                with evaluating(module):
                    self._kept = self._of_batch(module, batch)
            except Exception as error:  # of the user's function: it must not cost the training
                self._kept = f"{type(error).__name__}: {error}"

    def collected(self, trainer: Trainer, module: LightningModule) -> Maps | None:
        """Return the maps on rank 0, and None elsewhere.

        Raises:
            ValueError: on rank 0, where there was no batch, or the function failed.
        """
        self._is_collected = True
        if isinstance(self._kept, str):
            raise ValueError(self._kept)
        if self._kept is None and trainer.is_global_zero:
            raise ValueError("no batch came")
        return self._kept

    def _of_batch(self, module: LightningModule, batch: Any) -> Maps:
        pairs = self.maps(module, batch)
        sides: Mapping[Side, Any] = pairs if isinstance(pairs, Mapping) else {"x": pairs}
        maps: dict[Side, Map] = {}
        for side, (encoder, rows) in sides.items():
            n = _points(self.max_points, rows.ndim - 1)
            copy = rows[:n].detach().clone()  # a loader may write its next batch to the same memory
            maps[side] = Map(encoder, copy, None, rows.ndim - 1)
        return Maps(module, maps)


class LatestBatch(FirstBatch):
    """Keeps the latest training batch, and takes its maps when a measurement is due.

    Args:
        maps, max_points: as in FirstBatch.
    """

    _latest: Any = None

    def add(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, place: tuple[int, ...]
    ) -> None:
        """Keep the batch in place of the one before."""
        self._latest = batch

    def collected(self, trainer: Trainer, module: LightningModule) -> Maps | None:
        """Return the maps of the latest batch on rank 0, and None elsewhere."""
        if self._latest is not None:
            super().add(trainer, module, None, self._latest, ())
            self._latest = None
        return super().collected(trainer, module)


class JacobianProbe(Probe):
    """Log the rank of the encoders' Jacobians.

    The names are `jacobian/rank/x`, `jacobian/gap/x`, `jacobian/participation/x`, and the same for y;
    `jacobian_spectrum` explains the numbers. Where the true latent is known, `jacobian/overlap/x` is the share of the
    leading right-singular space within the input directions that carry it. An encoder of token ids has no
    Jacobian and is left out.

    Args:
        maps: for a module other than ContrastiveModule, a function `(module, batch)` → (encoder, rows), or a dict of
            such pairs with the keys x and y. It is called in evaluation mode without gradient, with the first batch
            of a validation run that is due, or with the latest training batch.
        max_points: rows at which the Jacobian is taken; a sixteenth of that where rows are no vectors, since their
            Jacobians are large.
        directions: random directions that the Jacobian is applied to, for large encoders; None: the whole Jacobian.
        kwargs: the other arguments of `Probe`, such as `every_n_epochs`.
    """

    @checked(besides=("maps",))
    def __init__(
        self,
        maps: Callable[[LightningModule, Any], Any] | None = None,
        max_points: PositiveInt = 256,
        directions: PositiveInt | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(maps, **kwargs)
        if self.source is not None and not isinstance(self.source, by_function):
            raise ValueError(f"maps must be a function of (module, batch), got {type(self.source).__name__}")
        self.max_points, self.directions = max_points, directions

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of rank, gap and participation ratio for each side."""
        return [f"jacobian/{name}/{side}" for side in sides for name in ("rank", "gap", "participation")]

    def measure(self, embeddings: Any) -> dict[str, Tensor | Measured]:
        """Measure the Jacobians of `Maps`."""
        metrics: dict[str, Tensor | Measured] = {}
        with evaluating(embeddings.module):
            for side, encoder_map in embeddings.maps.items():
                try:
                    metrics |= self._spectrum(side, encoder_map)
                except Exception as error:  # the other side is still worth having
                    metrics |= self.failed(self.names([side]), error)
        return metrics

    def of_split(self, trainer: Trainer, module: Any, split: Split) -> Maps:
        """Return the encoders of a ContrastiveModule with a sample of the split's rows."""
        pairs = trainer.datamodule.pairs(split)  # type: ignore[attr-defined]
        n = _points(self.max_points, _input_dims(pairs.x, pairs.row_axis))
        pairs = sample(pairs, n, self.seed)
        sides = pairs.modalities()
        if pairs.x.dtype == torch.uint8:
            sides["x"] = in_unit_range(pairs.x)
        encoders = encoders_of(module)
        maps = {
            side: Map(encoders[side], rows, pairs.z, _input_dims(rows, pairs.row_axis))
            for side, rows in sides.items()
            if rows.is_floating_point()
        }
        return Maps(module, maps)

    def collector(self, module: LightningModule, stage: Stage) -> Collector:
        """Return what keeps the maps of one batch: a validation's first, or a training's latest."""
        assert isinstance(self.source, by_function)
        maps, max_points = self.source.embed, self.max_points
        kept = LatestBatch if stage == "train" else FirstBatch
        key = (kept, self.source, stage, max_points, self.every_n_steps)
        return shared_collector(module, key, lambda: kept(maps, max_points))

    def _spectrum(self, side: Side, encoder_map: Map) -> dict[str, Tensor | Measured]:
        rows, z, input_dims = encoder_map.rows, encoder_map.z, encoder_map.input_dims
        if z is not None and (z.shape[-1] == 0 or input_dims != 1):
            z = None  # independent data have a latent without coordinates
        elif z is not None and self.directions is not None and self.directions < z.shape[-1]:
            z = None  # the rank is still worth having
        spectrum = jacobian_spectrum(
            encoder_map.encoder,
            rows,
            input_dims=input_dims,
            latent=None if z is None else latent_directions(rows, z),
            directions=self.directions,
            seed=self.seed,
        )
        metrics: dict[str, Tensor | Measured] = {
            f"jacobian/rank/{side}": Measured(spectrum.rank, spectrum.reason),
            f"jacobian/gap/{side}": Measured(spectrum.gap, spectrum.reason),
            f"jacobian/participation/{side}": Measured(spectrum.participation, spectrum.reason),
        }
        if spectrum.overlap is not None:
            metrics[f"jacobian/overlap/{side}"] = spectrum.overlap
        return metrics


def _points(max_points: int, input_dims: int) -> int:
    """Return how many rows to differentiate at: few where rows are no vectors, since their Jacobians are large."""
    return max_points if input_dims == 1 else max(1, max_points // 16)


def _input_dims(rows: Tensor, row_axis: int) -> int:
    """Return how many axes one row has."""
    return rows.ndim - row_axis % rows.ndim - 1

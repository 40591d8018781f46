"""The rank of the encoders' Jacobians during training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from intrinsic_clip.data.paired import Split
from intrinsic_clip.dimension import jacobian_spectrum, latent_directions
from intrinsic_clip.encoders.preprocessing import in_unit_range
from intrinsic_clip.probes.embeddings import Side, evaluating, sample
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.probes.schedule import Take
from intrinsic_clip.probes.sources import by_function


@dataclass
class Map:
    """An encoder and the rows at which it is differentiated, `(*R, n, *input)`, with their latent where it is known."""

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
        """The rows by modality."""
        return {side: one.rows for side, one in self.maps.items()}


class JacobianProbe(Probe):
    """Logs `jacobian/rank/x`, `jacobian/gap/x`, `jacobian/participation/x`, and of y; see `jacobian_spectrum`.

    Where the true latent is known, `jacobian/overlap/x` is the share of the leading right-singular space that lies in
    the input directions that carry it. An encoder of token ids has no Jacobian and is left out.

    Args:
        maps: first; for a module other than ContrastiveModule, a function `(module, batch)` → (encoder, rows), or a
            dict of such pairs with the keys x and y. It is called with the first batch of a validation run that is due,
            or of the last training batches.
        max_points: rows at which the Jacobian is taken; of rows that are no vectors, whose Jacobians are large, a
            sixteenth of that.
        directions: random directions that it is applied to, for large encoders; None: all of it.
        kwargs: `every_n_epochs` and so on, as of `Probe`.
    """

    def __init__(
        self,
        maps: Callable[[LightningModule, Any], Any] | None = None,
        max_points: PositiveInt = 256,
        directions: PositiveInt | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(maps, **kwargs)
        self.max_points, self.directions = max_points, directions
        self._maps: Maps | str | None = None

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Rank, gap and soft rank."""
        return [f"jacobian/{what}/{side}" for side in sides for what in ("rank", "gap", "participation")]

    def measure(self, embeddings: Any) -> dict[str, Tensor]:
        """Of the maps, per replicate."""
        metrics: dict[str, Tensor] = {}
        with evaluating(embeddings.module):
            for side, one in embeddings.maps.items():
                metrics |= self.attempt(self.names([side]), partial(self._spectrum, side, one))
        return metrics

    def _spectrum(self, side: Side, one: Map) -> dict[str, Tensor]:
        latent = None if one.z is None or one.input_dims != 1 else latent_directions(one.rows, one.z)
        found = jacobian_spectrum(
            one.encoder,
            one.rows,
            input_dims=one.input_dims,
            latent=latent,
            directions=self.directions,
            seed=self.seed,
        )
        metrics = {
            f"jacobian/rank/{side}": found.rank,
            f"jacobian/gap/{side}": found.gap,
            f"jacobian/participation/{side}": found.participation,
        }
        for name in metrics:
            self.note(name, found.reason)
        return metrics | ({} if found.overlap is None else {f"jacobian/overlap/{side}": found.overlap})

    def _split(self, trainer: Trainer, module: Any, split: Split) -> Take:
        def take() -> Maps | None:
            if not trainer.is_global_zero:
                return None
            pairs = trainer.datamodule.pairs(split)  # type: ignore[attr-defined]
            pairs = sample(pairs, self._points(_input_dims(pairs.x, pairs.row_axis)), self.seed)
            x = in_unit_range(pairs.x) if pairs.x.dtype == torch.uint8 else pairs.x
            sides: dict[Side, tuple[nn.Module, Tensor]] = {"x": (module.f, x), "y": (module.g, pairs.y)}
            return Maps(
                module,
                {
                    side: Map(encoder, rows, pairs.z, _input_dims(rows, pairs.row_axis))
                    for side, (encoder, rows) in sides.items()
                    if rows.is_floating_point()
                },
            )

        return take

    def _add(
        self,
        trainer: Trainer,
        module: LightningModule,
        stage: str,
        outputs: Any,
        batch: Any,
        place: tuple[int, ...],
    ) -> None:
        if self._maps is None and trainer.is_global_zero:
            try:
                self._maps = self._of_batch(module, batch)
            except Exception as error:  # of the user's function: it must not cost the training
                self._maps = f"{type(error).__name__}: {error}"

    def _points(self, input_dims: int) -> int:
        return self.max_points if input_dims == 1 else max(1, self.max_points // 16)

    def _of_batch(self, module: LightningModule, batch: Any) -> Maps:
        assert isinstance(self.source, by_function)
        found = self.source.embed(module, batch)
        sides: Mapping[Side, Any] = found if isinstance(found, Mapping) else {"x": found}
        return Maps(
            module,
            {
                side: Map(encoder, rows[: self._points(rows.ndim - 1)].detach(), None, rows.ndim - 1)
                for side, (encoder, rows) in sides.items()
            },
        )

    def _collected(self, trainer: Trainer, module: LightningModule, stage: str) -> Take:
        def take() -> Maps | None:
            found, self._maps = self._maps, None
            if isinstance(found, str):
                raise ValueError(found)
            if found is None and trainer.is_global_zero:
                raise ValueError("no batch came")
            return found

        return take


def _input_dims(rows: Tensor, row_axis: int) -> int:
    """How many axes one row has."""
    return rows.ndim - row_axis % rows.ndim - 1

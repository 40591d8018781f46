"""Regularise a training: noise on the inputs, seeded dropout, and the weights with the lowest held-out loss."""

import math
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import Batches
from intrinsic_clip.loggers.replicated import log_replicates
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.embeddings import evaluating
from intrinsic_clip.probes.schedule import is_last_epoch
from intrinsic_clip.seeding import generator


class InputNoise:
    """Gaussian noise on the batches of a training step, the same for every replicate.

    It depends on seed, step and place in the batch alone: a resumed training, a replicate alone and several processes
    get what an uninterrupted one, all replicates and one process get.

    Args:
        deviation: its standard deviation.
        seed: of the draws.
    """

    def __init__(self, deviation: float, seed: int) -> None:
        self.deviation, self.seed = deviation, seed

    def add(
        self, step: int, x: Tensor, y: Tensor, rank: int = 0, processes: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return this process's share of the batch of a step, `(*R, n, d)` each, with noise."""
        drawn = generator(self.seed, step)
        return self._noisy(x, drawn, rank, processes), self._noisy(y, drawn, rank, processes)

    def _noisy(self, rows: Tensor, drawn: torch.Generator, rank: int, processes: int) -> Tensor:
        n, d = rows.shape[-2:]
        noise = torch.randn(n * processes, d, generator=drawn)[rank * n : (rank + 1) * n]
        if rows.is_cuda:
            noise = noise.pin_memory()  # so that the step does not wait until the device has taken it
        return rows + self.deviation * noise.to(rows, non_blocking=True)


class SeededDraws(Callback):
    """Let what an encoder draws in training, as for dropout, depend on seed, step and process alone.

    Otherwise the same command would give other numbers each time, and a resumed training others than an uninterrupted
    one. Replicates draw together, so that each draws something else alone than beside others.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed PyTorch's own generator, once per epoch of data in memory."""
        in_memory = isinstance(trainer.train_dataloader, Batches)
        if batch_idx and in_memory and getattr(trainer.datamodule, "draws_by_epoch", False):  # type: ignore[attr-defined]
            return  # batches come one by one for the sake of a probe, which must change no number
        place = trainer.global_step, 1 + trainer.global_rank
        torch.manual_seed(generator(self.seed, *place).initial_seed())


class BestWeights(AnyProbe):
    """Keep the weights with the lowest loss over the append rows, each replicate its own, and test with them.

    All epochs are trained; stopping each replicate at its best would give the same weights. The append rows must take
    no part in training. Numbers of the last epoch that were logged during training are those of the last weights.

    Args:
        every_n_epochs: how often the loss is taken; after the last epoch it always is.
    """

    def __init__(self, every_n_epochs: int) -> None:
        super().__init__()
        self.every_n_epochs = every_n_epochs
        self._kept: dict[str, Tensor] = {}

    def own_names(self) -> set[str]:
        """Return the names of the lowest loss and of its epoch."""
        return {"validation/loss", "validation/epoch"}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the loss if it is due, and keep the weights of the replicates for which it is the lowest."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0 or is_last_epoch(trainer):
            loss = self._loss(trainer, pl_module)
            log_replicates(trainer, pl_module, {"validation/loss": loss}, trainer.global_step)
            self._compare(pl_module, loss, epoch)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give each replicate the weights that were kept."""
        pl_module.load_state_dict(self._kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest losses, their epochs and the weights."""
        return {"latest": dict(self.latest), "kept": dict(self._kept)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the lowest losses, their epochs and the weights."""
        self.latest, self._kept = dict(state_dict["latest"]), dict(state_dict["kept"])

    @staticmethod
    @torch.no_grad()
    def _loss(trainer: Trainer, module: Any) -> Tensor:
        append = trainer.datamodule.pairs("append")  # type: ignore[attr-defined]
        with evaluating(module):
            raw = module.encode(*append.modalities().values())
            return module.losses_of(raw, module.normalise(*raw)).detach().cpu()

    def _compare(self, module: Any, loss: Tensor, epoch: int) -> None:
        weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        if not self._kept:
            self.latest = {"validation/loss": loss, "validation/epoch": torch.full_like(loss, epoch)}
            self._kept = weights
            return
        lowest, at = self.latest["validation/loss"].cpu(), self.latest["validation/epoch"].cpu()
        better = (loss < lowest) | (lowest.isnan() & ~loss.isnan())  # no number is lower than NaN
        self.latest = {
            "validation/loss": loss.where(better, lowest),
            "validation/epoch": at.masked_fill(better, epoch),
        }
        for name, value in weights.items():
            self._kept[name] = chosen(value, self._kept[name].cpu(), better)


def chosen(value: Tensor, otherwise: Tensor, where: Tensor) -> Tensor:
    """Return a tensor of weights of replicates, with those of the others where `where`, `(*R,)`, is false.

    Replicates lie on its leading axes, `(*R, …)` or flattened to one. What all replicates share, such as a count of
    steps, has no such axes and is returned as it is.
    """
    count = math.prod(where.shape)
    if value.shape[: where.ndim] != where.shape and value.shape[:1] != (count,):
        return value
    return torch.where(where.reshape(-1, 1), value.reshape(count, -1), otherwise.reshape(count, -1)).reshape(
        value.shape
    )

"""ContrastiveModule: two encoders trained with symmetric InfoNCE and a learned temperature."""

from collections.abc import Callable, Iterable, Sequence

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic_clip.data.paired import Batches
from intrinsic_clip.loss import info_nce


class ContrastiveModule(LightningModule):
    """Paired encoders f and g, a similarity and a temperature, trained together.

    Args:
        f, g: encoders of x and of y, `(*R, n, d_in) → (*R, n, d)`.
        similarity: normalises encoder outputs (`PopulationSimilarity` or `CosineSimilarity`).
        temperature: a module that returns τ, `(*R,)`.
        optimizer: called with the parameters, returns the optimizer (Adam over all of them in the paper).
    """

    x_append: Tensor
    y_append: Tensor

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module,
        similarity: nn.Module,
        temperature: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.f, self.g = f, g
        self.similarity, self.temperature = similarity, temperature
        self._optimizer = optimizer
        self.register_buffer("x_append", torch.empty(0), persistent=False)
        self.register_buffer("y_append", torch.empty(0), persistent=False)

    def setup(self, stage: str | None = None) -> None:
        """Take the append rows, over which the population norm is a mean, from the data module."""
        if not self.similarity.needs_population:
            return
        data = getattr(self.trainer, "datamodule", None)
        append = data.pairs("append") if data is not None else None
        if append is None or len(append) == 0:
            raise MisconfigurationException(
                "the population norm is a mean over append rows, and the data has none: "
                "set data.n_append to at least 1 or choose loss/similarity=cosine"
            )
        self.x_append, self.y_append = append.x, append.y

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised representations of paired rows, `(*R, n, d)` each."""
        return self._represent(self.f, x, self.x_append), self._represent(self.g, y, self.y_append)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The encoders' own outputs, `(*R, n, d)` each."""
        return self.f(x), self.g(y)

    def normalise(self, x_raw: Tensor, y_raw: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss sees of encoder outputs."""
        if not self.similarity.needs_population:
            return self.similarity(x_raw), self.similarity(y_raw)
        return self.similarity(x_raw, self.f(self.x_append)), self.similarity(y_raw, self.g(self.y_append))

    def _represent(self, encoder: nn.Module, rows: Tensor, append: Tensor) -> Tensor:
        if not self.similarity.needs_population:
            return self.similarity(encoder(rows))
        outputs = encoder(torch.cat([rows, append], dim=-2))  # one pass is faster than two
        n = rows.shape[-2]
        return self.similarity(outputs[..., :n, :], outputs[..., n:, :])

    def training_step(self, batch: Batches | Sequence[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """One step on a batch `(x, y, …)`, or one on each of several.

        In-memory data come as a whole epoch of batches: Lightning's loop costs about a millisecond, a fifth of a
        step of the paper's encoders, and is so paid once per epoch. The losses of replicates are summed, so that
        each gets its own gradient.

        Returns:
            `losses` and `temperature` of each step, `(steps, *R)`.
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        steps = []
        for x, y in batch if isinstance(batch, Batches) else [batch[:2]]:
            tau = self.temperature()
            losses = info_nce(*self._gather(*self(x, y)), tau)
            optimizer.zero_grad()
            self._backward(losses.sum())
            optimizer.step()
            steps.append((losses.detach(), tau.detach()))
        losses, temperatures = (torch.stack(column) for column in zip(*steps, strict=True))
        return {"losses": losses, "temperature": temperatures}

    def _backward(self, loss: Tensor) -> None:
        """Through Lightning where processes must agree on gradients; its hooks cost a tenth of a small step."""
        if self.trainer.world_size > 1:
            self.manual_backward(loss)
        else:
            loss.backward()

    def _gather(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of all processes in rank order, with gradient: negatives come from the whole batch."""
        if self.trainer.world_size == 1:
            return x, y
        gathered = (self.all_gather(rows, sync_grads=True) for rows in (x, y))
        x, y = (rows.movedim(0, -3).flatten(-3, -2) for rows in gathered if isinstance(rows, Tensor))
        return x, y

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Nothing per batch: the probes measure the whole test set at once."""

    def configure_optimizers(self) -> Optimizer:
        """The optimizer over the encoders and the temperature."""
        return self._optimizer(self.parameters())

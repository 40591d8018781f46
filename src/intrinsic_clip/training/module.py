"""Train two encoders with symmetric InfoNCE and a learned temperature."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic_clip.data.paired import Batches
from intrinsic_clip.loss.distributed import gather, shared_info_nce
from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.loss.precision import widened, without_autocast
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.training.graphed import GraphedStep
from intrinsic_clip.training.kernel_step import Step, kernel_step, warn_unserved, without_graph_checks
from intrinsic_clip.training.regularisation import InputNoise
from intrinsic_clip.training.schedule import Schedule, steps_of


class ContrastiveModule(LightningModule):
    """Paired encoders f and g, a similarity and a temperature, trained together.

    Args:
        f, g: encoders of x and of y, `(*R, n, d_in) → (*R, n, d)`.
        similarity: normalises encoder outputs, as a class of `loss.similarity` does.
        temperature: a module that returns τ, `(*R,)`.
        optimizer: called with the parameters, returns the optimizer (Adam over all of them in the paper).
        replicates: the trainings on the leading axes R, by which numbers are logged.
        compiled: fuse the step with torch.compile, which takes some seconds and a C++ compiler, and saves a third.
        kernel: compute the step in C++ where that serves, instead of `compiled`; `cpp`: and say if it does not;
            `triton`: with Triton, on a GPU.
        chunk: rows of logits in memory at a time, for large batches; None: all.
        local_block: with several processes, each computes the logits of its own rows only; see `loss.distributed`.
        noise: added to the batches of training steps; None: none.
        schedule: makes the scheduler of the learning rate, which moves at every step; None: constant.
        graphed: replay the step as a CUDA graph, where it runs on a GPU; see `training.graphed`.

    Attributes:
        row_axis: row axis of the inputs, as in `Pairs`; representations are always `(*R, n, d)`.
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
        replicates: Replicates = Replicates(),  # noqa: B008 - immutable
        compiled: bool = False,
        kernel: Literal["auto", "cpp", "triton", "none"] = "none",
        chunk: int | None = None,
        local_block: bool = False,
        noise: InputNoise | None = None,
        schedule: Schedule | None = None,
        graphed: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.replicates = replicates
        self.row_axis = -2
        self.chunk, self.local_block, self.noise = chunk, local_block, noise
        self._kernel = kernel
        self._shares_batches = self._scales_gradients = False
        # torch.compile mistakes the gradient of a step that also moves a buffer it divides by.
        moves = getattr(similarity, "per_encoder", False)
        self._step = compile_step(self._losses) if compiled and not moves else self._losses
        if kernel == "triton":
            from intrinsic_clip.training.triton_step import triton_step  # imports Triton

            self._step = triton_step(self, self._step)
        elif kernel != "none":
            self._step = kernel_step(self, self._step, explained=kernel == "cpp")
        self.f, self.g = f, g
        self.similarity, self.temperature = similarity, temperature
        self._optimizer, self._schedule = optimizer, schedule
        # Rows whose norm divides in a training step; None: each row is divided by its own.
        self._over = getattr(similarity, "over", "append" if similarity.needs_population else None)
        self._renewed: tuple[int, Tensor, Tensor] | None = None
        self._graph = GraphedStep(lambda *rows: self._step(*rows), self) if graphed else None
        self.register_buffer("x_append", torch.empty(0), persistent=False)
        self.register_buffer("y_append", torch.empty(0), persistent=False)

    def setup(self, stage: str | None = None) -> None:
        """Take the append rows, over which the population norm is a mean, from the data module.

        Raises:
            MisconfigurationException: the population norm has no append rows.
        """
        if self.trainer.world_size > 1:
            self._shares_batches, self._step = True, self._losses
            if self._kernel == "cpp":
                warn_unserved("several processes share a batch")
        self._scales_gradients = self.trainer.precision == "16-mixed"
        if not self.similarity.needs_population:
            return
        data = getattr(self.trainer, "datamodule", None)
        append = data.pairs("append") if data is not None else None
        if append is None or len(append) == 0:
            raise MisconfigurationException(
                "the population norm is a mean over append rows, and the data has none: "
                "set data.n_append to at least 1 or choose loss/similarity=cosine"
            )
        self.x_append, self.y_append, self.row_axis = append.x, append.y, append.row_axis

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised representations of paired rows, `(*R, n, d)` each."""
        if self._over == "batch":  # of a training step alone
            return self.normalise(*self.encode(x, y))
        return self._represent(x, y, self.x_append, self.y_append)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoders' own outputs, `(*R, n, d)` each."""
        return self.f(x), self.g(y)

    def normalise(self, x_raw: Tensor, y_raw: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise encoder outputs as for the loss, `(*R, n, d)` each."""
        if not self.similarity.needs_population:
            return self._by_side("x", x_raw), self._by_side("y", y_raw)
        return self.similarity(x_raw, self.f(self.x_append)), self.similarity(y_raw, self.g(self.y_append))

    @property
    def takes_population(self) -> bool:
        """Return whether a training step encodes rows for the population norm beside its batch."""
        return bool(self.similarity.needs_population) and self._over != "batch"

    def _represent(self, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> tuple[Tensor, Tensor]:
        if not self.takes_population:
            return self._alone("x", self.f(x)), self._alone("y", self.g(y))
        return self._with_population(self.f, x, x_append), self._with_population(self.g, y, y_append)

    def _with_population(self, encoder: nn.Module, rows: Tensor, append: Tensor) -> Tensor:
        outputs = encoder(torch.cat([rows, append], dim=self.row_axis))  # one pass is faster than two
        n = rows.shape[self.row_axis]
        return self.similarity(outputs[..., :n, :], outputs[..., n:, :])

    def _alone(self, side: Literal["x", "y"], outputs: Tensor) -> Tensor:
        """Normalise a batch's outputs without any other rows."""
        return self._by_batch(side, outputs) if self._over == "batch" else self.similarity(outputs)

    def _by_batch(self, side: Literal["x", "y"], outputs: Tensor) -> Tensor:
        """Normalise a batch's outputs by those of the whole batch, which several processes may share."""
        return self._by_side(side, outputs, gather(widened(outputs)) if self._shares_batches else outputs)

    def _by_side(self, side: Literal["x", "y"], *outputs: Tensor) -> Tensor:
        """Call the similarity, and say which encoder's outputs they are if it keeps something of each encoder."""
        if getattr(self.similarity, "per_encoder", False):
            return self.similarity(*outputs, side=side)
        return self.similarity(*outputs)

    def _losses(self, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses `(*R,)` and τ `(*R,)` of a batch: the part of a step that is differentiated."""
        tau = self.temperature()
        x, y = self._represent(x, y, x_append, y_append)
        if self._shares_batches:
            return shared_info_nce(x, y, tau, self.chunk, self.local_block), tau
        return info_nce(x, y, tau, self.chunk), tau

    def _population(self) -> tuple[Tensor, Tensor]:
        """Return the rows from which training steps of this epoch take the population norm, beside the batch."""
        if self._over != "renewed":
            return self.x_append, self.y_append
        epoch = self.current_epoch
        if self._renewed is None or self._renewed[0] != epoch:
            train = self.trainer.datamodule.pairs("train")  # type: ignore[attr-defined]
            number = self.x_append.shape[self.row_axis]
            drawn = self.similarity.draw(epoch, len(train), number).to(train.x.device)  # type: ignore[operator]
            x, y = (rows.index_select(self.row_axis, drawn) for rows in (train.x, train.y))
            self._renewed = epoch, x, y
        return self._renewed[1:]

    def _append_rows(self, append: Tensor, step: int) -> Tensor:
        """Return the append rows of a training step: all, or the next ones in cyclic order.

        Rows are in random order already, and a step that needs no random stream can be resumed and replicated.
        """
        rows, axis = getattr(self.similarity, "rows", None), self.row_axis
        if not rows or not self.similarity.needs_population or rows >= append.shape[axis]:
            return append
        n = append.shape[axis]
        start = step * rows % n
        if start + rows <= n:
            return append.narrow(axis, start, rows)
        return torch.cat(
            [append.narrow(axis, start, n - start), append.narrow(axis, 0, start + rows - n)], axis
        )

    def training_step(self, batch: Batches | Sequence[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Take one step on a batch `(x, y, …)`, or one on each of several.

        In-memory data come as a whole epoch of batches: Lightning's loop costs about a millisecond, a fifth of a
        step of the paper's encoders, and is thus paid once per epoch. The losses of replicates are summed, so that
        each gets its own gradient.

        Returns:
            `losses` and `temperature` of each step, `(steps, *R)`.
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        schedule = self.lr_schedulers()
        assert not isinstance(schedule, list)
        steps = []
        first, population = self.trainer.global_step, self._population()
        for step, (x, y) in enumerate(batch if isinstance(batch, Batches) else [batch[:2]], start=first):
            if self.noise is not None:
                x, y = self.noise.add(step, x, y, self.trainer.global_rank, self.trainer.world_size)
            append = (self._append_rows(rows, step) for rows in population)
            losses, tau = self.differentiated(optimizer, x, y, *append)
            optimizer.step()
            if schedule is not None:
                schedule.step()
            steps.append((losses.detach(), tau.detach()))
        losses, temperatures = (torch.stack(column) for column in zip(*steps, strict=True))
        return {"losses": losses, "temperature": temperatures}

    def differentiated(self, optimizer: Any, *rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and τ of a batch, `(*R,)` each, with the gradients in the parameters."""
        if self._graph is not None and not (self._shares_batches or self._scales_gradients):
            replayed = self._graph(*rows)
            if replayed is not None:
                return replayed
        losses, tau = self._step(*rows)
        optimizer.zero_grad()
        self._backward(losses.sum())
        return losses, tau

    def _backward(self, loss: Tensor) -> None:
        """Call Lightning's backward only if it has a part in gradients: its hooks cost a tenth of a small step.

        Under autocast, gradients of float32 computations would be rounded to half precision.
        """
        with without_autocast(loss.device):
            if self._shares_batches or self._scales_gradients:
                self.manual_backward(loss)
            else:
                loss.backward()

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Do nothing per batch: the probes measure the whole test set at once."""

    def configure_optimizers(self) -> Any:
        """Return the optimizer over the encoders and the temperature, and the schedule of its learning rate, if any."""
        optimizer = without_graph_checks(self._optimizer(self.parameters()))
        if self._schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer, steps_of(self.trainer))}


def compile_step(step: Step) -> Step:
    """Fuse a step with torch.compile; warn and run it uncompiled if that fails."""
    compiled: Step | None = None  # until the first step, since importing the compiler takes a second
    works = True

    def run(x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal compiled, works
        if works:
            try:
                compiled = compiled or torch.compile(step, dynamic=False)
                return compiled(x, y, x_append, y_append)
            except Exception as error:  # of many kinds: no compiler, an encoder it cannot trace, …
                works = False
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"torch.compile failed, so the step runs uncompiled: {reason}", stacklevel=2)
        return step(x, y, x_append, y_append)

    return run

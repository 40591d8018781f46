"""Train two encoders with a contrastive objective, the paper's InfoNCE with a learned temperature or another."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic_clip.data.paired import Batches
from intrinsic_clip.kernels.adam import by_kernel
from intrinsic_clip.loss.distributed import gather, shared_info_nce
from intrinsic_clip.loss.info_nce import InfoNCE
from intrinsic_clip.loss.precision import widened, without_autocast
from intrinsic_clip.loss.temperature import ScheduledTemperature
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.training.backward import hear_backward
from intrinsic_clip.training.compiled import compile_step
from intrinsic_clip.training.graphed import GraphedStep
from intrinsic_clip.training.kernel_step import (
    KernelName,
    KernelStep,
    LossesAndTau,
    warn_unserved,
    without_graph_checks,
)
from intrinsic_clip.training.regularisation import InputNoise
from intrinsic_clip.training.schedule import Schedule, steps_of


class ContrastiveModule(LightningModule):
    """Paired encoders f and g, a similarity and a temperature, trained together.

    Args:
        f, g: encoders of x and of y, `(*R, n, d_in) → (*R, n, d)`.
        similarity: normalises encoder outputs, as a class of `loss.similarity` does.
        temperature: a module that returns τ, `(*R,)`; None: the objective has none.
        optimizer: called with the parameters, returns the optimizer (Adam over all of them in the paper).
        replicates: the trainings on the leading axes R, by which numbers are logged.
        compiled: fuse the step with torch.compile, which takes some seconds and a C++ compiler, and saves a third.
        kernel: compute the step in C++ where that serves, instead of `compiled`; `cpp`: and say if it does not;
            `triton`: with Triton, on a GPU.
        noise: added to the batches of training steps; None: none.
        schedule: makes the scheduler of the learning rate, which moves at every step; None: constant.
        graphed: replay the step as a CUDA graph, where it runs on a GPU; see `training.graphed`.
        objective: computes the losses of normalised representations; None: `InfoNCE`, with the next two.
        chunk: rows of logits in memory at a time, for large batches; None: all.
        local_block: with several processes, each computes the logits of its own rows only; see `loss.distributed`.

    Attributes:
        row_axis: row axis of the inputs, as in `Pairs`; representations are always `(*R, n, d)`.
        modalities: how many tensors of a batch are inputs.
    """

    modalities = 2

    x_append: Tensor
    y_append: Tensor

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module,
        similarity: nn.Module,
        temperature: nn.Module | None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        replicates: Replicates = Replicates(),  # noqa: B008 - immutable
        compiled: bool = False,
        kernel: KernelName = "none",
        noise: InputNoise | None = None,
        schedule: Schedule | None = None,
        graphed: bool = False,
        objective: nn.Module | None = None,
        chunk: int | None = None,
        local_block: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.replicates = replicates
        self.row_axis = -2
        self.noise = noise
        self.objective = InfoNCE(chunk=chunk, local_block=local_block) if objective is None else objective
        self.takes_raw = bool(getattr(self.objective, "takes_raw", False))
        self._shares_batches = self._calls_lightning = False
        self.f, self.g = f, g
        self.similarity, self.temperature = similarity, temperature
        self._optimizer, self._schedule = optimizer, schedule
        # Rows whose norm divides in a training step; None: each row is divided by its own.
        self._over = getattr(similarity, "over", "append" if similarity.needs_population else None)
        self._renewed: tuple[int, Tensor, Tensor] | None = None
        self._steps: int | None = None  # of the training, for a scheduled temperature
        self.register_buffer("x_append", torch.empty(0), persistent=False)
        self.register_buffer("y_append", torch.empty(0), persistent=False)
        self.choose_step(compiled, kernel, graphed)

    def choose_step(self, compiled: bool, kernel: KernelName, graphed: bool) -> None:
        """Choose how steps are taken, by the arguments of the class."""
        self._kernel = kernel
        self._kernel_step: KernelStep | None = None
        # torch.compile mistakes the gradient of a step that also moves a buffer it divides by.
        moves = getattr(self.similarity, "per_encoder", False)
        self._step = compile_step(self._losses) if compiled and not moves else self._losses
        if kernel == "triton":
            from intrinsic_clip.training.triton_step import triton_step  # imports Triton

            self._step = triton_step(self, self._step)
        elif kernel != "none":
            self._step = self._kernel_step = KernelStep(self, self._step, explained=kernel == "cpp")
        self._graph = GraphedStep(lambda *rows: self._step(*rows), self) if graphed else None

    def setup(self, stage: str | None = None) -> None:
        """Take the append rows, over which the population norm is a mean, from the data module.

        Raises:
            MisconfigurationException: the population norm has no append rows.
        """
        if self.trainer.world_size > 1:
            self._shares_batches, self._step = True, self._losses
            if self._kernel == "cpp":
                warn_unserved("several processes share a batch")
        self._calls_lightning = self.trainer.precision == "16-mixed" or hear_backward(self.trainer.callbacks)  # type: ignore[attr-defined]
        if not self.similarity.needs_population:
            return
        data = getattr(self.trainer, "datamodule", None)
        append = data.pairs("append") if data is not None else None
        if append is None or len(append) == 0:
            raise MisconfigurationException(
                "the population norm is a mean over append rows, and the data has none: "
                "set data.n_append to at least 1 or choose objective/similarity=cosine"
            )
        self.x_append, self.y_append, self.row_axis = append.x, append.y, append.row_axis

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised representations of paired rows, `(*R, n, d)` each."""
        if self._over == "batch" or self.takes_raw:  # in a training step alone
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
        needed = bool(self.similarity.needs_population) and not self.takes_raw
        return needed and self._over != "batch"

    def tau_of_objective(self) -> Tensor | None:
        """Return the temperature as the objective takes it, `(*R,)` or `(2, *R)` by direction; None without one."""
        return None if self.temperature is None else self.temperature()

    def tau(self) -> Tensor | None:
        """Return the temperature, `(*R,)`, of two directions the geometric mean; None without one."""
        tau = self.tau_of_objective()
        return None if tau is None else self.temperatures(tau)["temperature"]

    def temperatures(self, tau: Tensor, axis: int = 0) -> dict[str, Tensor]:
        """Return τ by the names it is logged under: of two directions, on `axis`, their geometric mean too."""
        if not self._by_direction:
            return {"temperature": tau}
        one_way, back = tau.unbind(axis)
        mean = (one_way.log() + back.log()).div(2).exp()
        return {"temperature": mean, "temperature/x_to_y": one_way, "temperature/y_to_x": back}

    @property
    def _by_direction(self) -> bool:
        return bool(getattr(self.temperature, "by_direction", False))

    def _represent(self, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> tuple[Tensor, Tensor]:
        if self.takes_raw:
            return self.encode(x, y)
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

    def _losses(self, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> LossesAndTau:
        """Return losses `(*R,)` and τ `(*R,)` of a batch: the part of a step that is differentiated."""
        tau = self.tau_of_objective()
        x, y = self._represent(x, y, x_append, y_append)
        if not self._shares_batches:
            return self.objective(x, y, tau), tau
        plain = self.plain_info_nce
        if plain is not None and tau is not None:
            return shared_info_nce(x, y, tau, plain.chunk, plain.local_block), tau
        return self.objective(gather(widened(x)), gather(widened(y)), tau), tau

    @property
    def plain_info_nce(self) -> InfoNCE | None:
        """Return the objective if it is InfoNCE with one temperature and without options, which kernels compute."""
        objective = self.objective
        if type(objective) is not InfoNCE or objective.label_smoothing or self._by_direction:
            return None
        return objective

    def losses_of(self, raw: tuple[Tensor, Tensor], normalised: tuple[Tensor, Tensor]) -> Tensor:
        """Return the losses of paired rows, `(*R,)`, given both forms of their representations."""
        x, y = raw if self.takes_raw else normalised
        losses: Tensor = self.objective(x, y, self.tau_of_objective())
        return losses

    def _population(self) -> tuple[Tensor, Tensor]:
        """Return the rows from which training steps of this epoch take the population norm, beside the batch."""
        if self._over != "renewed":
            return self.x_append, self.y_append
        epoch = self.current_epoch
        if self._renewed is None or self._renewed[0] != epoch:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            train, number = data.pairs("train"), self.x_append.shape[self.row_axis]
            shuffled = getattr(data, "shuffle_seed", None) is not None
            drawn = self.similarity.draw(epoch, len(train), number, shuffled).to(train.x.device)  # type: ignore[operator]
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
            `losses` of each step, `(steps, *R)`, and likewise `temperature` where there is one.
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        schedule = self.lr_schedulers()
        assert not isinstance(schedule, list)
        steps = []
        first, population = self.trainer.global_step, self._population()
        differentiated = self.differentiation(optimizer)
        batches = batch if isinstance(batch, Batches) else [tuple(batch[: self.modalities])]
        for step, inputs in enumerate(batches, start=first):
            if self.noise is not None:
                x, y = inputs
                inputs = self.noise.add(step, x, y, self.trainer.global_rank, self.trainer.world_size)
            self._move_temperature(step)
            append = (self._append_rows(rows, step) for rows in population)
            losses, tau = differentiated(*inputs, *append)
            optimizer.step()
            if schedule is not None:
                schedule.step()
            steps.append((losses.detach(), None if tau is None else tau.detach()))
        return self._outputs(steps)

    def _outputs(self, steps: list[LossesAndTau]) -> dict[str, Tensor]:
        """Return what steps leave to log."""
        outputs = {"losses": torch.stack([losses for losses, _ in steps])}
        taus = [tau for _, tau in steps if tau is not None]
        if not taus:
            return outputs
        return outputs | self.temperatures(torch.stack(taus), axis=1)

    def _move_temperature(self, step: int) -> None:
        """Set a scheduled temperature to its value at a step."""
        if not isinstance(self.temperature, ScheduledTemperature):
            return
        self._steps = self._steps or steps_of(self.trainer)
        self.temperature.move_to(step / max(1, self._steps - 1))

    def differentiation(self, optimizer: Any) -> Callable[..., LossesAndTau]:
        """Return what takes a batch and append rows and puts the gradients into the parameters.

        It returns the losses and τ, `(*R,)` each, and serves for steps between which nothing but numbers change.
        """
        apart = self._shares_batches or self._calls_lightning
        ways = (self._graph, self._kernel_step and self._kernel_step.whole())
        wholes = [way for way in ways if way is not None and not apart]

        def differentiated(*rows: Tensor) -> LossesAndTau:
            for whole in wholes:
                result = whole(*rows)
                if result is not None:
                    return result
            losses, tau = self._step(*rows)
            optimizer.zero_grad()
            self._backward(losses.sum())
            return losses, tau

        return differentiated

    def _backward(self, loss: Tensor) -> None:
        """Call Lightning's backward only if it has a part in gradients: its hooks cost a tenth of a small step.

        Under autocast, gradients of float32 computations would be rounded to half precision.
        """
        with without_autocast(loss.device):
            if self._shares_batches or self._calls_lightning:
                self.manual_backward(loss)
            else:
                loss.backward()

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Do nothing per batch: the probes measure the whole test set at once."""

    def configure_optimizers(self) -> Any:
        """Return the optimizer over the encoders and the temperature, and the schedule of its learning rate, if any."""
        optimizer = self._optimizer(self.parameters())
        if self._kernel_step is not None:
            optimizer = by_kernel(optimizer)
        without_graph_checks(optimizer)
        if self._schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer, steps_of(self.trainer))}

"""A callback of Hugging Face's Trainer that measures what a module inside the model returns."""

import warnings
from typing import Any, Self

from accelerate.state import GradientState
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from intrinsic_clip.integrations import Measure
from intrinsic_clip.integrations.doubts_once import DoubtsOnce, told_later
from intrinsic_clip.integrations.evaluations import Evaluations
from intrinsic_clip.measurement.module_outputs import ModuleOutputs

END = "_runtime"  # a number of every evaluation, behind the prefix of its numbers
OF_TRAINING = {"loss", "total_flos"}  # one of them is in each log of a training, which may have train_runtime


class _Outputs(ModuleOutputs):
    """Outputs of modules, with messages that name the callback."""

    door = "DimensionCallback"

    def instead(self, name: str) -> str:
        """Return another way to measure, since the callback takes no function."""
        return (
            "have the model return the outputs of two views, and name them in "
            'Trainer(compute_metrics=DimensionMetrics("…", "…", model=model))'
        )


class DimensionCallback(TrainerCallback):
    """Measure what modules inside the model return at every evaluation, for outputs that predictions lack.

    The numbers join the metrics of the evaluation (`eval_id/mle/x`), so that `metric_for_best_model` can name them.
    `DimensionCallback(…).attach(trainer)` comes before the Trainer's loggers, which then show them; in
    `Trainer(callbacks=[…])` it comes after them.

    Args:
        x, y: names of modules, as in `model.named_modules()`, that return `(n, d)` or a tuple that starts with it.
        views: how many views of a batch a step gives them, as in a siamese model: the first is x, the second y,
            in two calls, of the module or of the whole model, or one behind the other in one.
        options: for `intrinsic_clip.Measure`: which numbers (`only`), how many rows (`max_rows`), ….

    Attributes:
        reasons: after an evaluation, why numbers are NaN, by name.
        notes: after an evaluation, what is doubtful or NaN; a warning tells of each once.

    Example:
        >>> DimensionCallback("visual_projection", "text_projection").attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, x: str, y: str | None = None, *, views: int = 1, **options: Any) -> None:
        self.source = _Outputs(x, y, views=views)
        self.measure = Measure(**options)
        self.measure.check_only(y is not None or views > 1)
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self._warn_once = DoubtsOnce()
        self._evaluations = Evaluations()
        self._model: nn.Module | None = None
        self._handle: Any = None
        self._batch: list[Tensor] = []
        self._listening = self._has_rows = self._first = self._has_eval_set = False
        self._numbers: dict[str, float] = {}

    def attach(self, trainer: Trainer) -> Self:
        """Place the callback before the trainer's loggers, and the hooks on its model; return the callback."""
        callbacks = trainer.callback_handler.callbacks
        callbacks[:] = [self, *(callback for callback in callbacks if callback is not self)]
        self._first, self._has_eval_set = True, trainer.eval_dataset is not None
        self._hook(trainer.model)
        return self

    def remove(self) -> None:
        """Remove the hooks from the model."""
        if self._handle is not None:
            self._handle.remove()
        self.source.detach()
        self._model = self._handle = None

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Place the hooks on the model."""
        self._hook(kwargs.get("model"))
        if args.report_to and not self._first:
            warnings.warn(
                f"DimensionCallback comes behind {', '.join(args.report_to)}, which will not show its numbers; use "
                "DimensionCallback(…).attach(trainer) in place of callbacks=[…]",
                stacklevel=2,
            )

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Place the hooks on a model that `model_init` made anew, and forget an evaluation that was interrupted."""
        self._hook(kwargs.get("model"))
        self._forget()
        if args.eval_strategy == "no" and not self._has_eval_set:
            warnings.warn(
                "DimensionCallback measures at evaluations, and this training has none (eval_strategy is 'no'): pass "
                "eval_dataset=… to the Trainer and eval_strategy='epoch' to its arguments",
                stacklevel=2,
            )

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the rows of an evaluation's batch, and forget those of another that was interrupted."""
        if self._evaluations.begins(kwargs.get("eval_dataloader")):
            self._forget()
        if not self._listening:
            return
        rows = self.source.rows(self._batch)
        self._batch, self._listening = [], False
        loop = GradientState()
        if loop.end_of_dataloader and loop.remainder > 0 and args.world_size > 1:
            own = without_repeated(len(rows["x"]), loop.remainder, args.process_index)
            rows = {side: values[:own] for side, values in rows.items()}
        if len(rows["x"]):
            self.measure.update(**rows)
        self._has_rows = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Add the numbers to those of an evaluation before loggers further behind see them."""
        if self._has_rows and logs is not None and _prefix(logs) is not None:
            self._compute()
            self._add(logs)
            if state.log_history:
                self._add(state.log_history[-1])

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Add the numbers to those that choose the best model, if `on_log` got others."""
        if metrics is not None:
            self._compute()
            self._add(metrics)
        self._numbers = {}

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Add the numbers to those of `trainer.predict`."""
        self.on_evaluate(args, state, control, metrics)

    def _hook(self, model: nn.Module | None) -> None:
        if model is None or model is self._model:
            return
        self.remove()
        self.source.attach(model)
        self._handle = model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
        self._model = model

    def _before_forward(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Keep what modules return from now on, if the model is being evaluated."""
        if not module.training:
            if not (self._evaluations.goes_on() and self._listening):
                self.source.listen()
                self._batch = []
            # A step may call the model once for each view, as a `compute_loss` of one's own does.
            self._batch += [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            self._listening = True
        elif self._listening:  # a forward pass outside of an evaluation came before
            self.source.detach()
            self.source.attach(module)
            self._batch, self._listening = [], False

    def _compute(self) -> None:
        if self._has_rows:
            with told_later():
                numbers = self.measure.compute(gather=True)
            self._forget()
            self._evaluations.end()
            self._numbers, self.reasons, self.notes = dict(numbers), numbers.reasons, numbers.notes
            self._warn_once(numbers.notes)

    def _forget(self) -> None:
        """Forget the rows and numbers of an evaluation."""
        self.measure.reset()
        self._has_rows, self._numbers = False, {}

    def _add(self, metrics: dict[str, Any]) -> None:
        prefix = _prefix(metrics) or "eval"
        for name, number in self._numbers.items():
            metrics.setdefault(f"{prefix}_{name}", number)


def without_repeated(rows: int, remainder: int, process: int) -> int:
    """Return how many of a process's rows in the last batch are no repetitions that fill it up.

    Args:
        rows: of each process.
        remainder: rows of all processes that are none.
        process: its number.
    """
    return min(rows, max(0, remainder - process * rows))


def _prefix(metrics: dict[str, Any]) -> str | None:
    """Return the prefix that the Trainer gave to the metrics of an evaluation, such as `eval`; None for others."""
    if OF_TRAINING & metrics.keys():
        return None
    return next((name.removesuffix(END) for name in metrics if name.endswith(END)), None)

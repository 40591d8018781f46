"""Numbers for the Trainer of Hugging Face: metrics of its predictions, and a callback for other outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations import Measure
from intrinsic_clip.integrations.doubts_once import DoubtsOnce, told_later

try:
    import accelerate  # noqa: F401
    from transformers.utils import ModelOutput
except ImportError as missing:
    raise ImportError(
        "intrinsic_clip.integrations.hugging_face needs the Trainer's libraries: pip install transformers accelerate"
    ) from missing

from accelerate.state import GradientState

from intrinsic_clip.integrations.evaluations import Evaluations
from intrinsic_clip.integrations.trainer_callback import DimensionCallback

__all__ = ["DimensionCallback", "DimensionMetrics"]


class DimensionMetrics:
    """Measure outputs of the model at every evaluation: `Trainer(compute_metrics=DimensionMetrics(…))`.

    The Trainer hands over outputs without their names, as a tuple in the order of the model's output, without the
    loss and the keys it ignores. Names are found by `model`, whose last output is looked at; without it, by the output
    classes of transformers that have fields of these names.

    With `batch_eval_metrics=True` rows of an evaluation that was interrupted are forgotten when another one begins,
    which is known by the loader that accelerate iterates over; a loop without accelerate calls `reset()`.

    Args:
        x, y: names of outputs `(n, d)` of the model, or their places in `predictions`; row i of x and of y are a pair.
        model: the model that is trained, by which names are found reliably; needed where it returns a dict.
        ignore_keys: the keys passed to `trainer.evaluate(ignore_keys=…)` or `trainer.train(ignore_keys_for_eval=…)`.
        options: for `intrinsic_clip.Measure`: which numbers (`only`), how many rows (`max_rows`), ….

    Attributes:
        reasons: after an evaluation, why numbers are NaN, by name.
        notes: after an evaluation, what is doubtful or NaN. A warning tells of each once, since the Trainer takes a
            NaN in silence and then keeps no best model.

    Example:
        >>> metrics = DimensionMetrics("image_embeds", "text_embeds", only=["id", "matching"])
        >>> trainer = Trainer(model, args, compute_metrics=metrics, ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        x: str | int,
        y: str | int | None = None,
        *,
        model: nn.Module | None = None,
        ignore_keys: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        self.names = {"x": x} if y is None else {"x": x, "y": y}
        self.ignore_keys = ignore_keys
        self.measure = Measure(**options)
        self.measure.check_only(y is not None)
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self._warn_once = DoubtsOnce()
        self._evaluations = Evaluations()
        self._outputs: list[str] | None = None  # names of the model's last output
        self._nameless = ""  # its type where it has no names
        self._ignored_by_model: Sequence[str] = ()
        if model is not None:
            model.register_forward_hook(self._note_names)

    def __call__(self, prediction: Any, compute_result: bool = True) -> dict[str, float]:
        """Return the numbers of an evaluation, or, with `batch_eval_metrics=True`, of the batches so far.

        Args:
            prediction: the Trainer's `EvalPrediction`.
            compute_result: whether this is the last batch; before it nothing is returned.

        Raises:
            ConfigError: an output is not there, or not `(n, d)`.
        """
        if self._evaluations.begins(GradientState().active_dataloader):
            self.measure.reset()
        batches = prediction.predictions  # a list with eval_do_concat_batches=False
        try:
            for predictions in batches if isinstance(batches, list) else [batches]:
                self.measure.update(**self._chosen(predictions))
            if not compute_result:
                return {}
            with told_later():
                numbers = self.measure.compute()
        except BaseException:  # which end the evaluation
            self.reset()
            raise
        self.reset()
        self.reasons, self.notes = numbers.reasons, numbers.notes
        self._warn_once(numbers.notes)
        return dict(numbers)

    def reset(self) -> None:
        """Forget the rows of an evaluation that was interrupted."""
        self.measure.reset()
        self._evaluations.end()

    def _note_names(self, module: nn.Module, args: Any, output: Any) -> None:
        """Note the names of the model's output, as a forward hook."""
        self._outputs = list(output) if isinstance(output, Mapping) else None
        self._nameless = "" if isinstance(output, Mapping) else type(output).__name__
        config = getattr(module, "config", None)
        self._ignored_by_model = getattr(config, "keys_to_ignore_at_inference", None) or ()

    def _chosen(self, predictions: Any) -> dict[str, Tensor]:
        """Return x, and y, of predictions."""
        parts = predictions if isinstance(predictions, tuple) else (predictions,)
        chosen = {}
        for side, name in self.names.items():
            place = name if isinstance(name, int) else self._place(name, len(parts))
            if not -len(parts) <= place < len(parts):
                raise ConfigError(f"{side}={name}: predictions has {len(parts)} outputs, numbered from 0")
            chosen[side] = _rows(name, parts[place])
        return chosen

    def _place(self, name: str, count: int) -> int:
        """Return the place of an output among so many."""
        if self._nameless:
            raise ConfigError(
                f"the model returns a {self._nameless} without names; give the place of {name!r}, from 0"
            )
        if self._outputs is not None:
            left_out = {
                "loss",
                *(self.ignore_keys if self.ignore_keys is not None else self._ignored_by_model),
            }
            names = [key for key in self._outputs if key not in left_out]
            if name not in names:
                raise ConfigError(
                    f"the model returns no {name!r} for evaluation; it returns {', '.join(names)}"
                )
            if len(names) != count:
                raise ConfigError(
                    f"the model returns {', '.join(names)}, but predictions has {count} outputs; pass the same "
                    "ignore_keys=[…] as to the Trainer, or give places in place of names"
                )
            return names.index(name)
        return self._place_by_class(name, count)

    def _place_by_class(self, name: str, count: int) -> int:
        """Return the place of an output by the output classes that are loaded and have fields of all the names.

        Raises:
            ConfigError: there is none, they disagree, or the number of outputs is another.
        """
        wanted = {key for key in self.names.values() if isinstance(key, str)}
        left_out = {"loss", *(self.ignore_keys or ())}
        orders = [
            [field.name for field in dataclasses.fields(kind) if field.name not in left_out]
            for kind in _subclasses(ModelOutput)
            if dataclasses.is_dataclass(kind) and wanted <= {field.name for field in dataclasses.fields(kind)}
        ]
        places = {order.index(name) for order in orders if len(order) == count}
        if len(places) == 1:
            return places.pop()
        known = "; ".join(sorted({", ".join(order) for order in orders})) or "none"
        raise ConfigError(
            f"cannot tell which of {count} outputs is {name!r} (output classes with it have {known}): pass "
            f"model=…, as DimensionMetrics({name!r}, model=model)"
        )


def _subclasses(kind: type) -> list[type]:
    """Return all classes derived from one, without itself."""
    direct: list[type] = kind.__subclasses__()
    return [*direct, *(below for child in direct for below in _subclasses(child))]


def _rows(name: str | int, output: Any) -> Tensor:
    """Return an output as a tensor of rows.

    Raises:
        ConfigError: it is none.
    """
    rows = torch.from_numpy(output) if isinstance(output, np.ndarray) else output
    if not isinstance(rows, Tensor):
        raise ConfigError(f"the output {name!r} is no tensor but a {type(output).__name__}")
    if rows.ndim != 2 or not rows.is_floating_point():
        raise ConfigError(
            f"the output {name!r} has shape {tuple(rows.shape)} and type {rows.dtype}, not (n, d) floating point"
            + (": take an output that is pooled over tokens" if rows.ndim == 3 else "")
        )
    return rows

"""Get the embeddings of any LightningModule: by a function, from a step's output, or by hooks on submodules."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningModule
from torch import nn

from intrinsic_clip.dimension.arrays import kind
from intrinsic_clip.measurement.module_outputs import ModuleOutputs
from intrinsic_clip.probes.embeddings import Side, evaluating, is_probing
from intrinsic_clip.probes.rows import tensors_of
from intrinsic_clip.probes.user_line import warn_at_user_line

Embed = Callable[[LightningModule, Any], Any]


class Source(ABC):
    """Gives the embeddings of one batch. Probes with equal sources share them.

    Args:
        key: two sources of a class are equal if their keys are.

    Attributes:
        needs_only_batch: whether the embeddings can be taken later than the batch came, since they need no output of
            its step.
    """

    needs_only_batch = False

    @property
    def sides(self) -> Sequence[Side]:
        """Sides that it gives; both where only a batch can tell."""
        return ("x", "y")

    def __init__(self, key: Hashable) -> None:
        self.key = (type(self), key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def attach(self, module: LightningModule) -> None:  # noqa: B027 - most sources need no preparation
        """Prepare a module, once before the first batch."""

    def detach(self) -> None:  # noqa: B027
        """Undo `attach` when fitting, validating or testing is over."""

    def listen(self) -> None:  # noqa: B027
        """Prepare for a batch whose embeddings will be taken."""

    @abstractmethod
    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Return the embeddings of a batch as `as_rows` reads them: x, (x, y), (x, y, labels) or a dict.

        Args:
            outputs: what the module's step returned for the batch.
        """


class by_function(Source):
    """Embeddings from a function of the module and a batch, called in evaluation mode without gradient.

    Args:
        embed: `(module, batch)` → x, (x, y), (x, y, labels) or a dict of x, y, z and labels; x and y `(n, d)`.
    """

    needs_only_batch = True

    def __init__(self, embed: Embed) -> None:
        super().__init__(embed)
        self.embed = embed

    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Call the function."""
        with evaluating(module):
            return self.embed(module, batch)


class by_output(Source):
    """Embeddings from the dict that the module's step returns.

    Args:
        x, y: keys of representations `(n, d)`.
        z: key of the true latent `(n, k*)`.
        labels: key of class labels `(n,)`.
    """

    def __init__(self, x: str, y: str | None = None, z: str | None = None, labels: str | None = None) -> None:
        super().__init__((x, y, z, labels))
        self.keys = {"x": x, "y": y, "z": z, "labels": labels}

    @property
    def sides(self) -> Sequence[Side]:
        """Sides that have a key."""
        return ("x",) if self.keys["y"] is None else ("x", "y")

    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Look up the keys.

        Raises:
            ValueError: the output is no dict, or lacks a key.
        """
        wanted = {part: key for part, key in self.keys.items() if key is not None}
        if not isinstance(outputs, Mapping):
            raise ValueError(
                f"the step returns {kind(outputs)}, not a dict with {', '.join(wanted.values())}"
            )
        missing = [key for key in wanted.values() if key not in outputs]
        if missing:
            raise ValueError(
                f"the step's output has no {missing[0]!r}; it holds {', '.join(map(str, outputs))}"
            )
        return {part: outputs[key] for part, key in wanted.items()}


class by_module(ModuleOutputs, Source):
    """Embeddings that submodules return during the module's own step, taken by forward hooks.

    A step may call a submodule once for each of several augmented views of a batch, or once for all of them, one
    behind another. Views of one row are near-duplicates, so their rows must not be measured together: x is the first
    view, and y, unless it is a module of its own, the second. Calls beyond those are left out, with a warning.

    Args:
        x, y: names as in `named_modules()`; their output must be `(n, d)`, or a tuple that starts with it.
        views: how many views of a batch each of them is given in a step.
    """

    door = "by_module"

    def __init__(self, x: str, y: str | None = None, views: int = 1) -> None:
        ModuleOutputs.__init__(self, x, y, views)
        Source.__init__(self, (x, y, views))

    @property
    def sides(self) -> Sequence[Side]:
        """Sides that are a module, or a view of one."""
        return ("x", "y") if "y" in self.names or self.views > 1 else ("x",)

    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Return the outputs kept since `listen`; several collectors may share this source and take the same.

        Raises:
            ValueError: a submodule was not called, or returned something else than a tensor.
        """
        return self.rows(tensors_of(batch))

    def keep(self, side: str, output: Any) -> None:
        """Keep what a submodule returned, if the step of a batch that will be taken called it."""
        if not is_probing():
            super().keep(side, output)

    def instead(self, name: str) -> str:
        """Return a function that can be pasted."""
        by_name = all(part.isidentifier() for part in name.split("."))
        part = f"module.{name}" if by_name else f"module.get_submodule({name!r})"
        return (
            f"give the probe a function of two views, such as lambda module, batch: ({part}(batch[0]), "
            f"{part}(batch[1]))"
        )

    def tell(self, message: str) -> None:
        """Warn at the user's line."""
        warn_at_user_line(message)


def as_source(source: Source | Embed | None) -> Source | None:
    """Wrap a bare function in `by_function`, and check the rest.

    Raises:
        ValueError: neither a source nor a function.
    """
    if source is None or isinstance(source, Source):
        return source
    if isinstance(source, nn.Module | str):
        raise ValueError(
            f"source must be a function, by_output(…) or by_module(…), got {kind(source)}: "
            "name a submodule as by_module('encoder')"
        )
    if callable(source):
        _check_arguments(source)
        return by_function(source)
    exists = ": embeddings that exist already are measured by intrinsic_clip.dimension"
    advice = exists if hasattr(source, "shape") else ""
    raise ValueError(f"source must be a function, by_output(…) or by_module(…), got {kind(source)}{advice}")


def _check_arguments(embed: Embed) -> None:
    """Refuse a function that cannot be called with a module and a batch.

    Raises:
        ValueError: it takes other arguments.
    """
    try:
        signature = inspect.signature(embed)
    except (TypeError, ValueError):  # of a built-in
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ValueError(f"source must be a function of (module, batch), got one of {signature}") from error

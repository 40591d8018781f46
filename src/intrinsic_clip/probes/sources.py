"""Get the embeddings of any LightningModule: by a function, from a step's output, or by hooks on submodules."""

import inspect
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from intrinsic_clip.probes.embeddings import evaluating, is_probing
from intrinsic_clip.probes.rows import kind, tensors_of
from intrinsic_clip.probes.user_line import warn_at_user_line

Embed = Callable[[LightningModule, Any], Any]
# Names that torch.compile, FSDP and activation checkpointing put between a module and its parts.
WRAPPED = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


class Source(ABC):
    """Gives the embeddings of one batch. Probes with equal sources share them.

    Args:
        key: two sources of a class are equal if their keys are.

    Attributes:
        needs_only_batch: whether the embeddings can be taken later than the batch came, since they need no output of
            its step.
    """

    needs_only_batch = False

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


class by_module(Source):
    """Embeddings that submodules return during the module's own step, taken by forward hooks.

    A step may call a submodule once for each of several augmented views of a batch, or once for all of them, one
    behind another. Views of one row are near-duplicates, so their rows must not be measured together: x is the first
    view, and y, unless it is a module of its own, the second. Calls beyond those are left out, with a warning.

    Args:
        x, y: names as in `named_modules()`; their output must be `(n, d)`, or a tuple that starts with it.
        views: how many views of a batch each of them is given in a step.
    """

    def __init__(self, x: str, y: str | None = None, views: int = 1) -> None:
        if not isinstance(views, int) or views < 1:
            raise ValueError(f"views must be a whole number from 1, got {views!r}")
        super().__init__((x, y, views))
        self.names = {"x": x} if y is None else {"x": x, "y": y}
        self.views = views
        self._handles: list[RemovableHandle] = []
        self._calls: dict[str, list[Any]] = {}
        self._listening = self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out hooks and their outputs: a copy for another process or module places its own."""
        return {**self.__dict__, "_handles": [], "_calls": {}, "_listening": False}

    def attach(self, module: LightningModule) -> None:
        """Place the hooks, in place of those that an earlier fit may have left on another module.

        Raises:
            ValueError: there is no submodule of that name, or x and y are one.
        """
        self.detach()
        parts: dict[str, nn.Module] = {}
        for name, part in module.named_modules(remove_duplicate=False):
            parts.setdefault(WRAPPED.sub("", name), part)
        names = {side: WRAPPED.sub("", name) for side, name in self.names.items()}
        for name in names.values():
            if name not in parts:
                raise ValueError(
                    f"there is no module {name!r}; at the top are {', '.join(_children(module))}"
                )
        if len({id(parts[name]) for name in names.values()}) < len(names):
            raise ValueError(
                f"{' and '.join(map(repr, names.values()))} are one module: "
                f"by_module({names['x']!r}, views=2) gives its first call as x and its second as y"
            )
        self._handles = [parts[name].register_forward_hook(_Hook(self, side)) for side, name in names.items()]

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._calls, self._listening = [], {}, False

    def listen(self) -> None:
        """Keep outputs from now on."""
        self._calls, self._listening = {}, True

    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Return the outputs kept since `listen`; several collectors may share this source and take the same.

        Raises:
            ValueError: a submodule was not called, or returned something else than a tensor.
        """
        self._listening = False
        self._warn_of_joined_views(batch)
        views = {side: self._views_of(side, name) for side, name in self.names.items()}
        if "y" not in views and len(views["x"]) > 1:
            return {"x": views["x"][0], "y": views["x"][1]}
        return {side: views[side][0] for side in views}

    def _views_of(self, side: str, name: str) -> list[Tensor]:
        calls = self._calls.get(side, [])
        if not calls:
            raise ValueError(
                f"the module {name!r} was not called in the step (one that torch.compile compiled before the probe "
                "came runs no hooks)"
            )
        for output in calls[: self.views]:
            if not isinstance(output, Tensor):
                raise ValueError(f"the module {name!r} returns {output}, not a tensor")
        if len(calls) == 1 and self.views > 1:
            if len(calls[0]) % self.views:
                raise ValueError(f"{len(calls[0])} rows of {name!r} are not {self.views} views of a batch")
            return list(calls[0].chunk(self.views))
        if len(calls) < self.views:
            raise ValueError(
                f"the module {name!r} was called {len(calls)} times in the step, not views={self.views}"
            )
        if len(calls) > self.views and not self._warned:
            self._warned = True
            first = "the first call is" if self.views == 1 else f"the first {self.views} calls are"
            warn_at_user_line(
                f"the module {name!r} is called {len(calls)} times in a step, and {first} measured: calls for several "
                f"views of a batch are told apart by by_module({name!r}, views={len(calls)}); other calls, as of a "
                "recomputed forward pass or a metric, are left out"
            )
        return calls[: self.views]

    def _warn_of_joined_views(self, batch: Any) -> None:
        """Warn where one call gives the rows of several equal inputs of a batch, which look like views of it."""
        if self.views > 1 or self._warned:
            return
        shapes = Counter(
            tensor.shape for tensor in tensors_of(batch) if tensor.is_floating_point() and tensor.ndim
        )
        for side, name in self.names.items():
            calls = self._calls.get(side, [None])
            if len(calls) == 1 and isinstance(calls[0], Tensor):
                n = next((n for shape, n in shapes.items() if n > 1 and n * shape[0] == len(calls[0])), None)
                if n is not None:
                    self._warned = True
                    warn_at_user_line(
                        f"the module {name!r} gives {len(calls[0])} rows for a batch of {len(calls[0]) // n}, and all "
                        f"are measured together: if they are views of a batch, use by_module({name!r}, views={n})"
                    )

    def keep(self, side: str, output: Any) -> None:
        """Keep what a submodule returned, if the step of a batch that will be taken called it."""
        if not self._listening or is_probing():
            return
        calls = self._calls.setdefault(side, [])
        if len(calls) >= self.views:
            calls.append(None)  # counted, for the warning
            return
        first = output[0] if isinstance(output, tuple | list) and len(output) else output
        # Cloned, since a layer behind may change it in place; an error here would end the training.
        calls.append(first.detach().clone() if isinstance(first, Tensor) else kind(output))


class _Hook:
    """Forward hook that gives outputs to a source; no closure, so that a module with hooks can be pickled."""

    def __init__(self, source: by_module, side: str) -> None:
        self.source, self.side = source, side

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.source.keep(self.side, output)


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


def _children(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]

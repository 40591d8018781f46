"""Keep what parts of a module return, by forward hooks, and tell the views of a batch apart."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from intrinsic_clip.dimension.arrays import kind

# Names that torch.compile, FSDP and activation checkpointing put between a module and its parts.
WRAPPED = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


class ModuleOutputs:
    """Rows that submodules return in a step.

    Args:
        x, y: names as in `named_modules()`; their output must be `(n, d)`, or a tuple that starts with it.
        views: how many views of a batch each of them is given in a step: in one call each, or joined in one call.

    Attributes:
        door: what messages call the class or function that the user calls with these arguments.
    """

    door = "ModuleOutputs"

    def __init__(self, x: str, y: str | None = None, views: int = 1) -> None:
        if not isinstance(views, int) or views < 1:
            raise ValueError(f"views must be a whole number from 1, got {views!r}")
        self.names = {"x": x} if y is None else {"x": x, "y": y}
        self.views = views
        self._handles: list[RemovableHandle] = []
        self._calls: dict[str, list[Any]] = {}
        self._listening = self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out hooks and their outputs: a copy for another process or module places its own."""
        return {**self.__dict__, "_handles": [], "_calls": {}, "_listening": False}

    def attach(self, module: nn.Module) -> None:
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
                f"{self.door}({names['x']!r}, views=2) gives its first call as x and its second as y"
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

    def rows(self, batch: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the outputs kept since `listen`, x and y.

        Args:
            batch: the tensors of the step's batch, by whose lengths views are told apart.

        Raises:
            ValueError: a submodule was not called, or returned something else than a tensor.
        """
        self._listening = False
        self._warn_of_joined_views(batch)
        views = {side: self._views_of(side, name, batch) for side, name in self.names.items()}
        if "y" not in views and len(views["x"]) > 1:
            return {"x": views["x"][0], "y": views["x"][1]}
        return {side: views[side][0] for side in views}

    def _views_of(self, side: str, name: str, batch: Sequence[Tensor]) -> list[Tensor]:
        calls = self._calls.get(side, [])
        if not calls:
            raise ValueError(
                f"the module {name!r} was not called in the step (one that torch.compile compiled before the probe "
                "came runs no hooks)"
            )
        lengths = [len(call) if isinstance(call, Tensor) and call.ndim else call for call in calls]
        self._check_lengths(name, lengths)
        for output in calls[: self.views]:
            if not isinstance(output, Tensor):
                raise ValueError(f"the module {name!r} returns {output}, not a tensor")
        if len(calls) == 1 and self.views > 1:
            if len(calls[0]) % self.views:
                raise ValueError(f"{len(calls[0])} rows of {name!r} are not {self.views} views of a batch")
            self._warn_of_split_rows(name, len(calls[0]), batch)
            return list(calls[0].chunk(self.views))
        if len(calls) < self.views:
            raise ValueError(
                f"the module {name!r} was called {len(calls)} times in the step, not views={self.views}"
            )
        if len(calls) > self.views and not self._warned:
            self._warn_of_further_calls(name, lengths)
        return calls[: self.views]

    def _check_lengths(self, name: str, lengths: list[Any]) -> None:
        """Refuse calls for views of several sizes, as of several crops of an image, which are no pairs.

        Raises:
            ValueError: there should be several views, and calls gave different numbers of rows.
        """
        calls = [length for length in lengths if isinstance(length, int)]
        if self.views > 1 and len(calls) > 1 and len({*calls[: self.views]}) > 1:
            raise ValueError(
                f"the module {name!r} is called {len(lengths)} times in a step, for {_listed(calls)} rows, which are "
                f"no {self.views} views of a batch: {self.instead(name)}"
            )

    def _warn_of_further_calls(self, name: str, lengths: list[Any]) -> None:
        """Warn that calls beyond the views are left out, and how they would be measured."""
        self._warned = True
        first = "the first call is" if self.views == 1 else f"the first {self.views} calls are"
        advice = f"calls for several views of a batch are told apart by {self.door}({name!r}, views={len(lengths)}); "
        if len({*lengths}) > 1:
            rows = "several numbers of" if None in lengths else _listed(lengths)
            advice = f"calls for {rows} rows are no views to tell apart: {self.instead(name)}; " * (
                self.views == 1
            )
        self.tell(
            f"the module {name!r} is called {len(lengths)} times in a step, and {first} measured: {advice}other "
            "calls, as of a recomputed forward pass or a metric, are left out"
        )

    def instead(self, name: str) -> str:
        """Return what measures two views where a module is called for views of several sizes."""
        return "take the outputs of two views by another way"

    def _warn_of_split_rows(self, name: str, n: int, batch: Sequence[Tensor]) -> None:
        """Warn where one call gave a row for each of the batch, so that its parts may be other rows than views."""
        lengths = {len(tensor) for tensor in batch if tensor.ndim}
        if self._warned or n not in lengths or n // self.views in lengths:
            return
        self._warned = True
        self.tell(
            f"the module {name!r} is called once in a step and gives {n} rows for a batch of {n}, which are taken for "
            f"{self.views} views, one behind another: row i of the first part and row i of the second as a pair. If "
            f"every row is one of its own, leave out views={self.views}"
        )

    def _warn_of_joined_views(self, batch: Sequence[Tensor]) -> None:
        """Warn where one call gives the rows of several equal inputs of a batch, which look like views of it."""
        if self.views > 1 or self._warned:
            return
        shapes = Counter(tensor.shape for tensor in batch if tensor.is_floating_point() and tensor.ndim)
        for side, name in self.names.items():
            calls = self._calls.get(side, [None])
            if len(calls) == 1 and isinstance(calls[0], Tensor):
                n = next((n for shape, n in shapes.items() if n > 1 and n * shape[0] == len(calls[0])), None)
                if n is not None:
                    self._warned = True
                    self.tell(
                        f"the module {name!r} gives {len(calls[0])} rows for a batch of {len(calls[0]) // n}, and all "
                        f"are measured together: if they are views of a batch, use {self.door}({name!r}, views={n})"
                    )

    def keep(self, side: str, output: Any) -> None:
        """Keep what a submodule returned, if the step of a batch that will be taken called it."""
        if not self._listening:
            return
        calls = self._calls.setdefault(side, [])
        first = output[0] if isinstance(output, tuple | list) and len(output) else output
        if len(calls) >= self.views:  # counted, for the warning
            calls.append(len(first) if isinstance(first, Tensor) and first.ndim else None)
            return
        # Cloned, since a layer behind may change it in place; an error here would end the training.
        calls.append(first.detach().clone() if isinstance(first, Tensor) else kind(output))

    def tell(self, message: str) -> None:
        """Warn the user."""
        warnings.warn(message, stacklevel=4)


class _Hook:
    """Forward hook that gives outputs to a source; no closure, so that a module with hooks can be pickled."""

    def __init__(self, source: ModuleOutputs, side: str) -> None:
        self.source, self.side = source, side

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.source.keep(self.side, output)


def _listed(lengths: list[int]) -> str:
    """Return numbers of rows in words."""
    return f"{', '.join(map(str, lengths[:-1]))} and {lengths[-1]}"


def _children(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]

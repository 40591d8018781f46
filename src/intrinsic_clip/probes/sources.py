"""Get the embeddings of any LightningModule: by a function, from a step's output, or by hooks on submodules."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from intrinsic_clip.probes.embeddings import evaluating

Embed = Callable[[LightningModule, Any], Any]


class Source(ABC):
    """Gives the embeddings of one batch. Probes with equal sources share them.

    Args:
        key: two sources of a class are equal if their keys are.
    """

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
                f"the step returns {_kind(outputs)}, not a dict with {', '.join(wanted.values())}"
            )
        missing = [key for key in wanted.values() if key not in outputs]
        if missing:
            raise ValueError(
                f"the step's output has no {missing[0]!r}; it holds {', '.join(map(str, outputs))}"
            )
        return {part: outputs[key] for part, key in wanted.items()}


class by_module(Source):
    """Embeddings that submodules return during the module's own step, taken by forward hooks.

    A submodule that is called several times in a step, as for two views, gives the rows of all calls.

    Args:
        x, y: names as in `named_modules()`; their output must be `(n, d)`, or a tuple that starts with it.
    """

    def __init__(self, x: str, y: str | None = None) -> None:
        super().__init__((x, y))
        self.names = {"x": x} if y is None else {"x": x, "y": y}
        self._handles: list[RemovableHandle] = []
        self._seen: dict[str, list[Tensor]] = {}
        self._listening = False

    def attach(self, module: LightningModule) -> None:
        """Place the hooks.

        Raises:
            ValueError: there is no submodule of that name.
        """
        if self._handles:
            return
        parts = dict(module.named_modules())
        for name in self.names.values():
            if name not in parts:
                raise ValueError(
                    f"there is no module {name!r}; at the top are {', '.join(_children(module))}"
                )
        self._handles = [
            parts[name].register_forward_hook(self._keep(side)) for side, name in self.names.items()
        ]

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._seen, self._listening = [], {}, False

    def listen(self) -> None:
        """Keep outputs from now on."""
        self._seen, self._listening = {}, True

    def take(self, module: LightningModule, outputs: Any, batch: Any) -> Any:
        """Return the outputs kept since `listen`, and stop keeping them.

        Raises:
            ValueError: a submodule was not called.
        """
        seen, self._seen, self._listening = self._seen, {}, False
        uncalled = [name for side, name in self.names.items() if side not in seen]
        if uncalled:
            raise ValueError(f"the module {uncalled[0]!r} was not called in the step")
        return {side: torch.cat(outputs) for side, outputs in seen.items()}

    def _keep(self, side: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if self._listening:
                first = output[0] if isinstance(output, tuple | list) else output
                if not isinstance(first, Tensor):
                    raise ValueError(f"the module {self.names[side]!r} returns {_kind(output)}, not a tensor")
                self._seen.setdefault(side, []).append(first.detach())

        return hook


def as_source(source: Source | Embed | None) -> Source | None:
    """Wrap a bare function in `by_function`, and check the rest.

    Raises:
        ValueError: neither a source nor a function.
    """
    if source is None or isinstance(source, Source):
        return source
    if callable(source):
        return by_function(source)
    raise ValueError(f"source must be a function, by_output(…) or by_module(…), got {_kind(source)}")


def as_rows(parts: Any) -> dict[str, Tensor]:
    """Return a batch's rows by name: x, y, z and one `label_<name>` per label set; float32 or float64, no gradient.

    Raises:
        ValueError: not what a source may give, or numbers of rows that differ.
    """
    if isinstance(parts, Tensor):
        parts = {"x": parts}
    elif isinstance(parts, tuple | list):
        if not 1 <= len(parts) <= 3:
            raise ValueError(f"a source gives x, (x, y) or (x, y, labels), got {len(parts)} values")
        parts = dict(zip(("x", "y", "labels"), parts, strict=False))
    if not isinstance(parts, Mapping) or "x" not in parts:
        raise ValueError(f"a source gives x, (x, y), (x, y, labels) or a dict with x, got {_kind(parts)}")
    unknown = set(parts) - {"x", "y", "z", "labels"}
    if unknown:
        raise ValueError(f"a source's dict holds x, y, z and labels, got {sorted(map(str, unknown))[0]!r}")
    rows = {part: _matrix(part, parts[part]) for part in ("x", "y", "z") if parts.get(part) is not None}
    labels = parts.get("labels")
    if labels is not None:
        sets = labels if isinstance(labels, Mapping) else {"class": labels}
        rows |= {f"label_{name}": torch.as_tensor(values).detach() for name, values in sets.items()}
    n = len(rows["x"])
    for part, tensor in rows.items():
        if len(tensor) != n:
            raise ValueError(f"x has {n} rows and {part} {len(tensor)}: they must belong together")
    return rows


def _matrix(part: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor) or tensor.ndim != 2:
        shape = f"shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else _kind(tensor)
        raise ValueError(f"{part} must be a tensor (n, d), got {shape}")
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def _kind(thing: Any) -> str:
    return type(thing).__name__


def _children(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]

"""Reduce rows by a projection that `intrinsic-clip measure … export=FILE` wrote."""

import copy
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import WITHOUT_FLOAT64, real_tensor
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.projections.module import ReductionModule
from intrinsic_clip.measurement.projections.stored import (
    Provenance,
    StoredProjection,
    check_export_path,
    read_projection,
    write_stored,
)


class Reduce:
    """Maps of one or two modalities to fewer dimensions, in which rows are compared by cosine.

    Args:
        stored: the content of a file; `Reduce.load` reads one.

    Attributes:
        dims: dimensions kept.
        widths: columns that each side must have, by name: x, and y where the projection has one.
        provenance: method, promise, sources and date.
        correlations: of the canonical dimensions, `(dims,)`; None for principal ones.
        held_out: numbers of the rows, in the files it was fitted to, that the promise was measured on.

    Example:
        >>> import intrinsic_clip as ic
        >>> reduce = ic.Reduce.load("cut.safetensors")  # doctest: +SKIP
        >>> small = reduce.x(images), reduce.y(texts)  # doctest: +SKIP
    """

    def __init__(self, stored: StoredProjection) -> None:
        self._stored = stored
        unit_rows = stored.provenance.unit_rows
        self._modules = {
            side: ReductionModule(stored.means[side], basis, unit_rows)
            for side, basis in stored.bases.items()
        }
        self.provenance: Provenance = stored.provenance
        self.dims = stored.provenance.dims
        self.widths = {side: module.in_features for side, module in self._modules.items()}
        self.correlations = stored.correlations
        self.held_out = stored.held_out

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Reduce":
        """Read the file of a projection.

        Raises:
            ConfigError: it cannot be read, is damaged, or is another file.
        """
        return cls(read_projection(Path(path)))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the projection to a .safetensors file, which `Reduce.load` and the verb `apply` read.

        Raises:
            ConfigError: another extension, no such folder, or a file that is no projection.
            OSError: the file cannot be written.
        """
        check_export_path(Path(path), "path")
        write_stored(Path(path), self._stored)

    def x(self, rows: Any) -> Any:
        """Return rows of x in fewer dimensions; see `transform`."""
        return self.transform(rows, "x")

    def y(self, rows: Any) -> Any:
        """Return rows of y in fewer dimensions; see `transform`."""
        return self.transform(rows, "y")

    def transform(self, rows: Any, side: str = "x") -> Any:
        """Return rows `(…, d)` in fewer dimensions, `(…, dims)`, in the precision of the rows.

        Args:
            rows: a tensor on any device, which keeps its gradient; or an array, a data frame or a list, for which the
                result is an array. A row that holds NaN gives a row of NaN.
            side: x or y.

        Raises:
            ConfigError: there is no such side, or the rows have another number of columns.
        """
        module = self._module(side)
        tensor = real_tensor(rows, side, "(…, d)")
        if tensor.ndim < 1 or tensor.shape[-1] != module.in_features:
            raise ConfigError(
                f"{side} must have {module.in_features:,} columns, which the projection was fitted to, "
                f"got shape {tuple(tensor.shape)}"
            )
        precision = torch.float32 if tensor.device.type in WITHOUT_FLOAT64 else torch.float64
        kind = tensor.dtype if tensor.is_floating_point() else torch.float32
        reduced = module.to(tensor.device)(tensor.to(precision)).to(kind)
        if isinstance(rows, Tensor):
            return reduced
        half = isinstance(rows, np.ndarray) and rows.dtype == np.float16
        return reduced.numpy().astype(np.float16) if half else reduced.numpy()

    def module(self, side: str = "x") -> ReductionModule:
        """Return the map of a side as a `torch.nn.Module`, such as `nn.Sequential(encoder, reduce.module("x"))`.

        Raises:
            ConfigError: there is no such side.
        """
        return copy.deepcopy(self._module(side)).cpu()

    def to_onnx(self, path: str | PathLike[str], side: str = "x") -> None:
        """Write the map of a side as an ONNX model: input `rows` `(n, d)`, output `reduced` `(n, dims)`, float32.

        Raises:
            ConfigError: there is no such side, or the package onnx is missing.
            OSError: the file cannot be written.
        """
        from intrinsic_clip.measurement.projections.onnx_model import write_onnx

        write_onnx(Path(path), self.module(side), {"side": side, "package": self.provenance.package})

    def __repr__(self) -> str:
        widths = ", ".join(f"{side} {width:,}" for side, width in self.widths.items())
        return f"Reduce({widths} → {self.dims:,} {self.provenance.method} dimensions)"

    def _module(self, side: str) -> ReductionModule:
        if side not in self._modules:
            raise ConfigError(f"the projection has no side {side!r}; it has {' and '.join(self._modules)}")
        return self._modules[side]

"""Files of small projections."""

from pathlib import Path

import numpy as np
import torch

from intrinsic_clip.measurement.projections.stored import Provenance, write_projection
from intrinsic_clip.metrics.projection import Basis
from intrinsic_clip.metrics.projection_promise import PromisedProjection, promised_pair, promised_principal


def write_small_projection(
    path: Path,
    x: np.ndarray,
    y: np.ndarray | None,
    dims: int,
    basis: Basis = "principal",
    whiten: bool = False,
) -> PromisedProjection:
    """Fit a projection to all rows, write its file, and return it."""
    if y is None:
        promised = promised_principal(torch.from_numpy(x), dims, whiten=whiten)
    else:
        promised = promised_pair(torch.from_numpy(x), torch.from_numpy(y), dims, basis, whiten=whiten)
    provenance = Provenance(
        method=basis,
        dims=dims,
        unit_rows=promised.sides["x"].unit_rows,
        whitened=whiten,
        fitted_rows=promised.fitted,
        promise=promised.promise,
        sources={"x": {"name": "x.npy", "sha256": "0" * 64}},
        measurement="0" * 12,
        package="intrinsic-clip 0",
        date="2026-01-01T00:00:00+00:00",
    )
    write_projection(path, promised, promised.held_out, provenance)
    return promised


def recall_at_1(x: np.ndarray, y: np.ndarray) -> float:
    """Return recall@1 by cosine, the mean of both directions; row i of x and row i of y are a pair."""
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    cosines = x @ y.T
    own = np.arange(len(x))
    return float(np.mean([(cosines.argmax(axis) == own).mean() for axis in (0, 1)]))

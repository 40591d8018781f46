"""Measure two models whose rows a program holds in memory, and lay them side by side."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intrinsic_clip.dimension.arrays import Rows, as_points
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.embedding_measurement import EmbeddingMeasurement
from intrinsic_clip.measurement.projections.fitting import most_rows
from intrinsic_clip.measurement.two_models.beside import Options, Watch
from intrinsic_clip.measurement.two_models.second import check_same_counts, named_as_given

UNNAMED = "no index names the rows, so row i of x and row i of against are taken to be the same thing"


def check_given(rows: Mapping[str, Rows | None]) -> None:
    """Check that a second model has what it needs.

    Args:
        rows: x, y, against and against_y, among others; None stands for what is not there.

    Raises:
        ConfigError: something is missing, or the models differ in the number of rows.
        ValueError: they are no rows.
    """
    if rows["against"] is None:
        if rows["against_y"] is not None:
            raise ConfigError("against_y: needs against, which is missing")
        return
    own_y = rows["against_y"] is not None
    if own_y and rows["y"] is None:
        raise ConfigError("against_y: needs y, which is missing: both models are paired, or none")
    compared = {name: rows[name] for name in ("x", "y", "against", "against_y")}
    shapes = {name: as_points(each, name).shape for name, each in compared.items() if each is not None}
    for name, shape in shapes.items():
        if len(shape) != 2:
            raise ValueError(
                f"{name} must be rows (n, d) where two models are compared, got shape {tuple(shape)}"
            )
    counts = {name: shape[0] for name, shape in shapes.items()}
    check_same_counts(counts, {"x": counts["against"], "y": counts.get("against_y", 0)}, own_y)


def measured_beside(
    measure: Callable[..., EmbeddingMeasurement], rows: Mapping[str, Rows | None], watch: Watch = iter
) -> EmbeddingMeasurement:
    """Return the measurement of the first model, with that of the second and their comparison under `against`.

    Args:
        measure: measures x, y and the true latent z.
        rows: x, y, z, against and against_y, as `check_given` permits them.
        watch: wraps the sequence of stages, to show progress.
    """
    own_y = rows["against_y"] is not None
    first = measure(rows["x"], rows["y"], rows["z"])
    with named_as_given(own_y):
        second = measure(rows["against"], rows["against_y"] if own_y else rows["y"])
    ids = _names(rows["x"], rows["against"])
    checked = UNNAMED if ids is None else "rows are the same by the index of x and against"
    settings = first.settings
    most = most_rows(settings["queries"], first.n)
    options = Options(settings["seed"], settings["max_points"], most, checked, ids, own_y, watch)
    return first.beside(second, options)


def _names(*tables: Any) -> np.ndarray | None:
    """Return the index of the rows, which is the same in all tables; None where one has none but their numbers."""
    indices = [getattr(table, "index", None) for table in tables]
    if not all(hasattr(index, "equals") for index in indices):
        return None
    names = np.asarray(indices[0])
    return None if np.array_equal(names, np.arange(len(names))) else names

"""Gather the numbers of one measurement as plain Python values, the way measure.json holds them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, Neighbours, registry
from intrinsic_clip.dimension.scale import ScaleCurve

SHARES = (0.9, 0.95, 0.99)  # of the variance, whose principal components are counted


@dataclass
class Record:
    """Numbers about one set of embeddings, filled in by one stage after the other.

    Attributes:
        n: rows of each modality.
        dims: width by modality.
        metrics: a number by name (`id/mle/x`, `retrieval/top_1/x_to_y`, …); None where it does not exist.
        estimates: a row for each estimator and modality, with its standard error, n, k and the reason for a None; where
            only some rows were asked for their neighbours among all, also their number and the error of asking no more.
        curves: columns by name of the curve (`spectrum/x`, `scale/x`, `sample_size/x`, `retrieval/canonical`, …).
        forms: how forms of stored rows compare, see `intrinsic_clip.measurement.forms`; empty where they were not.
        believed: by side, the dimension to believe, its interval, and why estimators differ; see
            `intrinsic_clip.measurement.belief`.
        retrieval: distinct rows of x and of y that are searched, and recall@1 by guessing; where not all of them were
            asked for their partners, how many; empty without pairs.
        notes: warnings of the stages, a sentence each.
        seconds: duration by stage.
    """

    n: int
    dims: dict[str, int]
    metrics: dict[str, float | None] = field(default_factory=dict)
    estimates: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    forms: dict[str, Any] = field(default_factory=dict)
    believed: dict[str, dict[str, Any]] = field(default_factory=dict)
    retrieval: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def estimate(self, name: str, side: str, k: int, neighbours: Neighbours) -> None:
        """Add the intrinsic dimension by one estimator; NaN with the reason where it refuses the neighbours.

        Args:
            name: of the estimator.
            side: x, y or z.
            k: neighbours that it takes, if it is told how many.
            neighbours: of the rows.
        """
        try:
            estimate = registry.prepare(name, k, neighbours.k)(neighbours)
        except ValueError as error:  # too few neighbours for the estimator
            nan = torch.tensor(math.nan)
            estimate = DimensionEstimate(nan, nan, None, neighbours.n, neighbours.k, str(error))
        self.add_estimate(f"id/{name}", side, estimate)

    def add_estimate(self, name: str, side: str, estimate: DimensionEstimate) -> None:
        """Add an estimate to the table of estimates, and its value and standard error to the metrics.

        Args:
            name: kind and estimator, e.g. `id/mle` or `spectrum/effective_rank`.
            side: x, y or z.
            estimate: of one replicate.
        """
        kind, _, estimator = name.partition("/")
        value, error = number(estimate.value), number(estimate.standard_error)
        self.metrics |= {f"{name}/{side}": value, f"{kind}_standard_error/{estimator}/{side}": error}
        row = {
            "name": name,
            "side": side,
            "value": value,
            "standard_error": error,
            "n": estimate.n,
            "k": estimate.k,
            "reason": estimate.reason,
        }
        if estimate.asked is not None:
            query_error = None if estimate.query_error is None else number(estimate.query_error)
            row |= {"asked": estimate.asked, "query_error": query_error}
        self.estimates.append(row)

    def add_spectrum(self, side: str, linear: Mapping[str, DimensionEstimate], values: Tensor) -> None:
        """Add linear dimensions by name, and the share of the variance along each principal component."""
        for name, estimate in linear.items():
            self.add_estimate(f"spectrum/{name}", side, estimate)
        self.curves[f"spectrum/{side}"] = {"variance_share": numbers(values / values.sum())}

    def add_curve(self, name: str, curve: ScaleCurve) -> None:
        """Add a curve over scales with its plateau, which is None where the curve is nowhere level."""
        plateau = curve.plateau()
        start, stop = int(plateau.start), int(plateau.stop)
        level = {"value": number(plateau.value), "from": curve.at[start], "to": curve.at[stop - 1]}
        self.curves[name] = {
            "at": list(curve.at),
            "value": numbers(curve.value),
            "standard_error": numbers(curve.standard_error),
            "radius": None if curve.radius is None else numbers(curve.radius),
            "n": curve.n,
            "plateau": level if stop else None,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return dict(vars(self))


def number(value: Tensor | float) -> float | None:
    """Return a plain number, or None for NaN and infinity."""
    plain = float(value)
    return plain if math.isfinite(plain) else None


def numbers(values: Tensor) -> list[float | None]:
    """Convert a vector to a list of plain numbers, None for NaN and infinity."""
    return [number(value) for value in values.double().tolist()]

"""Any estimator of the scikit-dimension package, for those that are not built here."""

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours

FIT_OPTIONS = ("n_neighbors", "comb")  # of those that fit() takes, not the constructor


def scikit_dimension(
    points: Tensor | Neighbours,
    estimator: str = "DANCo",
    *,
    standard_error: bool = False,
    **options: Any,
) -> DimensionEstimate:
    """Intrinsic dimension by an estimator of `skdim.id`, such as DANCo, ESS, FisherS, KNN, MiND_ML or PH.

    It is fitted on the CPU to the distinct finite points of each replicate in turn, as float64 and without
    the columns that do not vary. Source and definition of each are in its own documentation (Bac, Mirkes,
    Gorban, Tyukin, Zinovyev, *Scikit-dimension: a Python package for intrinsic dimension estimation*, Entropy
    23, 2021). Points in one varying column have dimension 1 by definition.

    The standard error is NaN, unless asked for: sd / √4 of the estimates from four disjoint quarters of the
    points, shuffled, which takes as long again for an estimator of linear cost. It ignores bias, and if the
    value depends on the sample size, that a quarter is not the whole.

    Args:
        points: `(*R, n, d)`, or their neighbours, of which only the points are used.
        estimator: the name of a class of `skdim.id`.
        standard_error: whether to estimate it.
        options: for the class, or for its `fit` (n_neighbors, comb). A `random_state` is 0 unless given, so
            that results repeat.

    Returns:
        Value and standard error `(*R,)` and, if the estimator has it, pointwise `(*R, n)`; NaN where it fails,
        with its own message as reason.

    Raises:
        ImportError: scikit-dimension is not installed.
        ValueError: an unknown estimator or option.
    """
    try:
        import skdim
    except ImportError as missing:
        raise ImportError(
            "scikit_dimension needs scikit-dimension: pip install scikit-dimension"
        ) from missing
    known: dict[str, Any] = {name: kind for name, kind in vars(skdim.id).items() if inspect.isclass(kind)}
    if estimator not in known:
        raise ValueError(f"skdim.id has no estimator {estimator!r}, only {', '.join(sorted(known))}")
    for_class, for_fit = _sort_options(known[estimator], options)

    def fitted(rows: Tensor) -> Any:
        return known[estimator](**for_class).fit(rows.numpy(), **for_fit)

    neighbours = as_neighbours(points, 1)
    value = torch.full_like(neighbours.dims, math.nan, dtype=torch.float64)
    error, pointwise = value.clone(), torch.full_like(neighbours.distances[..., 0], math.nan)
    has_pointwise, failures = False, []
    for index in (neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero().tolist():
        replicate = tuple(index)
        valid = neighbours.valid[replicate]
        rows = neighbours.points.detach()[replicate][valid].double().cpu()
        rows = rows[:, (rows != rows[0]).any(0)]
        try:
            whole = fitted(rows)
            value[replicate] = float(whole.dimension_)
            if hasattr(whole, "dimension_pw_"):
                has_pointwise = True
                pointwise[(*replicate, valid)] = torch.as_tensor(whole.dimension_pw_).to(pointwise)
            if standard_error:
                order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
                quarters = [float(fitted(rows[order[i::4]]).dimension_) for i in range(4)]
                error[replicate] = torch.tensor(quarters, dtype=torch.float64).std() / 2
        except Exception as problem:  # whatever it is, the other replicates and estimators go on
            failures.append(f"{estimator} failed: {type(problem).__name__}: {problem}")
    failure = "; ".join(dict.fromkeys(failures)) or f"{estimator} gave no finite number"
    return conclude(neighbours, None, value, error, pointwise if has_pointwise else None, failure)


def _sort_options(kind: Any, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options for the class and those for its fit.

    Raises:
        ValueError: an option that neither takes.
    """
    of_class = list(inspect.signature(kind).parameters)
    of_fit = [name for name in FIT_OPTIONS if name in inspect.signature(kind.fit).parameters]
    unknown = [name for name in options if name not in of_class + of_fit]
    if unknown:
        raise ValueError(
            f"{kind.__name__} has no option {', '.join(unknown)}, only {', '.join(of_class + of_fit)}"
        )
    for_class = {name: option for name, option in options.items() if name in of_class}
    if "random_state" in of_class:
        for_class.setdefault("random_state", 0)
    return for_class, {name: option for name, option in options.items() if name in of_fit}

"""Any estimator of the scikit-dimension package, for those that are not implemented here."""

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.dimension.estimate import DimensionEstimate, conclude
from intrinsic_clip.dimension.neighbours import Neighbours, as_neighbours

FIT_OPTIONS = ("n_neighbors", "comb")  # options that fit() takes, not the constructor


def scikit_dimension(
    points: Rows | Neighbours,
    estimator: str = "DANCo",
    *,
    standard_error: bool = False,
    **options: Any,
) -> DimensionEstimate:
    """Estimate the dimension by a class of `skdim.id`, such as DANCo, ESS, FisherS, KNN, MiND_ML or PH.

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
        standard_error: whether to estimate the standard error.
        options: for the class, or for its `fit` (n_neighbors, comb). A `random_state` is 0 unless given, so
            that results can be repeated.

    Returns:
        Value and standard error `(*R,)` and, if the estimator has it, pointwise `(*R, n)`; NaN where it fails,
        with its own message as reason.

    Raises:
        ImportError: scikit-dimension is not installed.
        ValueError: an unknown estimator or option.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import scikit_dimension
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> round(float(scikit_dimension(points, "MiND_ML", k=10).value), 1)
        2.0
    """
    try:
        import skdim
    except ImportError as missing:
        raise ImportError(
            "scikit_dimension needs scikit-dimension: pip install scikit-dimension"
        ) from missing
    classes: dict[str, Any] = {name: kind for name, kind in vars(skdim.id).items() if inspect.isclass(kind)}
    if estimator not in classes:
        raise ValueError(f"skdim.id has no estimator {estimator!r}, only {', '.join(sorted(classes))}")
    class_options, fit_options = _sort_options(classes[estimator], options)

    def fitted(rows: Tensor) -> Any:
        return classes[estimator](**class_options).fit(rows.numpy(), **fit_options)

    neighbours = as_neighbours(points, 1)
    value = torch.full_like(neighbours.dims, math.nan, dtype=torch.float64)
    error, pointwise = value.clone(), torch.full_like(neighbours.distances[..., 0], math.nan)
    has_pointwise, failures = False, []
    if neighbours.queries is not None:
        raise ValueError(
            f"needs the neighbours of every point, and only {neighbours.asked:,} of {neighbours.n:,} were asked"
        )
    for index in (neighbours.valid.any(-1) & (neighbours.dims > 1)).nonzero().tolist():
        replicate = tuple(index)
        valid = neighbours.valid[replicate]
        rows = neighbours.points.detach()[replicate][valid].double().cpu()
        rows = rows[:, (rows != rows[0]).any(0)]
        try:
            model = fitted(rows)
            value[replicate] = float(model.dimension_)
            if hasattr(model, "dimension_pw_"):
                has_pointwise = True
                pointwise[(*replicate, valid)] = torch.as_tensor(model.dimension_pw_).to(pointwise)
            if standard_error:
                order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
                quarters = [float(fitted(rows[order[i::4]]).dimension_) for i in range(4)]
                error[replicate] = torch.tensor(quarters, dtype=torch.float64).std() / 2
        except Exception as problem:  # of any kind: the other replicates and estimators still run
            failures.append(f"{estimator} failed: {type(problem).__name__}: {problem}")
    failure = "; ".join(dict.fromkeys(failures)) or f"{estimator} gave no finite number"
    return conclude(neighbours, None, value, error, pointwise if has_pointwise else None, failure, estimator)


def _sort_options(kind: Any, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the options into those for the class and those for its `fit`.

    Raises:
        ValueError: an option that neither takes.
    """
    class_names = list(inspect.signature(kind).parameters)
    fit_names = [name for name in FIT_OPTIONS if name in inspect.signature(kind.fit).parameters]
    unknown = [name for name in options if name not in class_names + fit_names]
    if unknown:
        raise ValueError(
            f"{kind.__name__} has no option {', '.join(unknown)}, only {', '.join(class_names + fit_names)}"
        )
    class_options = {name: option for name, option in options.items() if name in class_names}
    if "random_state" in class_names:
        class_options.setdefault("random_state", 0)
    return class_options, {name: option for name, option in options.items() if name in fit_names}

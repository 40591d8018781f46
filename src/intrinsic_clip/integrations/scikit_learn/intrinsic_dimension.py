"""The intrinsic dimension as a scikit-learn estimator."""

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from intrinsic_clip.dimension import DimensionEstimate, nearest_neighbours, registry
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations.scikit_learn.tensors import copied, without_gradient


class IntrinsicDimension(BaseEstimator):
    """Estimate how many coordinates describe the rows of X locally, however many columns X has.

    Args:
        estimator: a name, as `mle`, `twonn`, `gride`, `local_pca`, or of a class of `skdim.id`, as `DANCo`; or a
            function of a tensor `(n, d)` that returns a `DimensionEstimate`, as
            `functools.partial(intrinsic_clip.mle, combine="mean")` or `intrinsic_clip.effective_rank`.
        k: neighbours of each row, for the estimators that take their number; None: the estimator's own default, 20 or
            100, or, with a warning, as many as there are in fewer rows.
        max_points: rows, at most, to draw at random, since time grows with the square of their number; None: all.
        random_state: of the draw.

    Attributes:
        dimension_: the estimate, a float; NaN where there is none.
        standard_error_: its sampling error by the estimator's formula.
        pointwise_: an estimate at every row, `(n_samples,)`, NaN at rows that repeat others or were not drawn. Only
            where the estimator makes one.
        k_: neighbours of each row that were used; None for an estimator that uses none.
        reason_: why `dimension_` is NaN, else None.
        n_features_in_, feature_names_in_: columns of X, and their names if all are strings.

    Example:
        >>> import numpy as np
        >>> from intrinsic_clip.integrations.scikit_learn import IntrinsicDimension
        >>> rng = np.random.default_rng(0)
        >>> X = rng.random((1000, 2)) @ rng.random((2, 10))  # a plane in 10 columns
        >>> round(IntrinsicDimension("mle", k=20).fit(X).dimension_, 1)
        1.9
    """

    pointwise_: np.ndarray

    def __init__(
        self,
        estimator: str | Callable[[torch.Tensor], DimensionEstimate] = "mle",
        k: int | None = None,
        *,
        max_points: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.k = k
        self.max_points = max_points
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Estimate the dimension of X.

        Args:
            X: `(n_samples, n_features)`, finite; tensors on any device and of any precision are taken too.
            y: not used.

        Raises:
            ValueError: rows that are not finite or too few, or an argument that cannot be used.
        """
        self._check_arguments()
        rows = validate_data(self, without_gradient(X), dtype=[np.float64, np.float32], ensure_min_samples=2)
        chosen = self._chosen(len(rows))
        estimate = self._estimate(copied(rows[chosen]))
        self.dimension_ = float(estimate.value)
        self.standard_error_ = float(estimate.standard_error)
        if estimate.doubt is not None:
            warnings.warn(f"{estimate.name}: {estimate.doubt}", stacklevel=2)
        self.k_ = estimate.k
        self.reason_ = estimate.reason
        if hasattr(self, "pointwise_"):
            del self.pointwise_  # of an earlier fit, maybe by another estimator
        if estimate.pointwise is not None:
            self.pointwise_ = np.full(len(rows), math.nan)
            self.pointwise_[chosen] = estimate.pointwise.numpy()
        return self

    def _check_arguments(self) -> None:
        """Check what does not depend on the rows.

        Raises:
            ConfigError: an argument that cannot be used.
        """
        if not (isinstance(self.estimator, str) or callable(self.estimator)):
            advice = f"; the neighbours are k={self.estimator}" * isinstance(self.estimator, int)
            raise ConfigError(
                f"estimator must be a name, such as mle, or a function, got {self.estimator!r}{advice}"
            )
        for name in ("k", "max_points"):
            number = getattr(self, name)
            whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
            if number is not None and not whole:
                raise ConfigError(f"{name} must be a whole number or None, got {number!r}")

    def _chosen(self, n: int) -> np.ndarray | slice:
        """Return which of n rows to measure."""
        if self.max_points is None or self.max_points >= n:
            return slice(None)
        if self.max_points < 2:
            raise ConfigError(f"max_points must be at least 2, got {self.max_points}")
        return np.sort(check_random_state(self.random_state).permutation(n)[: self.max_points])

    def _estimate(self, points: torch.Tensor) -> DimensionEstimate:
        if not isinstance(self.estimator, str):
            if self.k is not None:
                raise ConfigError(
                    "k is for an estimator given by name; set it in the function: partial(mle, k=…)"
                )
            return _checked(self.estimator(points))
        registry.check_names([self.estimator])
        takes_k = self._takes_k()
        if self.k is not None and not takes_k:
            raise ConfigError(f"the estimator {self.estimator} takes no k, got k={self.k}")
        if self.k is not None and not 1 <= self.k < len(points):
            raise ConfigError(
                f"k must lie between 1 and {len(points) - 1}, one less than the rows, got {self.k}"
            )
        if takes_k and self.k is None and len(points) < 3:
            raise ConfigError(f"{self.estimator} needs at least 3 rows, got n_samples = {len(points)}")
        k, wide = (20, registry.WIDE) if self.k is None else (self.k, self.k)
        needed = registry.neighbours_needed(self.estimator, k, wide)
        if takes_k and needed >= len(points):
            warnings.warn(
                f"k is reduced from {needed} to {len(points) - 1}, since there are {len(points)} rows; k=… chooses it",
                stacklevel=3,
            )
            needed = len(points) - 1
        neighbours = nearest_neighbours(points, needed)
        return registry.prepare(self.estimator, k, neighbours.k, wide)(neighbours)

    def _takes_k(self) -> bool:
        """Return whether the number of neighbours of the estimator can be chosen."""
        function = registry.registered().get(str(self.estimator))
        return function is not None and "k" in inspect.signature(function).parameters


def _checked(estimate: Any) -> DimensionEstimate:
    """Return what a function returned, if it is an estimate of one dimension.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(estimate, DimensionEstimate):
        raise ConfigError(
            f"the function given as estimator must return a DimensionEstimate, got {type(estimate).__name__}"
        )
    return estimate

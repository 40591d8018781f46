"""A linear reduction to the dimensions that are needed, as a scikit-learn transformer."""

import warnings
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from intrinsic_clip.dimension.arrays import check_same_index, whole_number
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations.scikit_learn.tensors import copied, without_gradient
from intrinsic_clip.metrics.projection import Basis, Projection, paired_projection, principal_projection

FLOATS = [np.float64, np.float32]


class Reduce(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Reduce rows to the fewest dimensions that keep matching them to their partners, or keep their variance.

    With partners Y the dimensions are canonical ones of the rows scaled to length 1, weighted by the fourth power of
    their correlation, and their number is the smallest whose held-out recall by cosine is at least `share` of the
    full one (`intrinsic_clip.metrics.retrieval_by_dimension`). X and Y may have different widths. Without partners
    they are principal components, as many as hold `share` of the variance. Reduced rows are compared by cosine.

    Args:
        dims: dimensions to keep, or "auto".
        basis: "canonical" or "principal"; "auto" is canonical with partners, principal without. With partners the
            principal basis is one for both modalities, which then need equal widths.
        share: of the recall, or of the variance, to keep.
        k: a row counts as found if its partner is among the k most similar rows.
        ridge: of the canonical directions, relative to the mean variance of a column.
        max_rows: held-out pairs, at most and at least 2, that recall is measured on; time grows with their square.
        random_state: of the choice of held-out pairs.

    Attributes:
        dims_: dimensions kept.
        basis_: "canonical" or "principal".
        components_, mean_: a reduced row is `(row - mean_) @ components_.T`, `(dims_, n_features)` and
            `(n_features,)`; with partners the row is scaled to length 1 first.
        y_components_, y_mean_: those of Y; only with partners.
        correlations_: of the canonical dimensions; only with the canonical basis.
        recall_, full_recall_: held-out recall@k, the mean of both directions, with `dims_` and with all dimensions;
            only with partners and dims="auto".
        retrieval_: recall for each number of dimensions tried, a `RetrievalByDimension`; likewise.
        n_features_in_, feature_names_in_: columns of X, and their names if all are strings.

    Example:
        >>> import numpy as np
        >>> from intrinsic_clip.integrations.scikit_learn import Reduce
        >>> rng = np.random.default_rng(0)
        >>> shared = rng.normal(size=(600, 4))  # 4 dimensions that both modalities have
        >>> X = np.hstack([shared, rng.normal(size=(600, 12))]) @ rng.normal(size=(16, 16))
        >>> Y = np.hstack([shared, rng.normal(size=(600, 6))]) @ rng.normal(size=(10, 10))
        >>> reduce = Reduce().fit(X, Y)
        >>> reduce.transform(X).shape, reduce.transform_y(Y).shape
        ((600, 4), (600, 4))
    """

    def __init__(
        self,
        dims: int | Literal["auto"] = "auto",
        *,
        basis: Basis | Literal["auto"] = "auto",
        share: float = 0.99,
        k: int = 1,
        ridge: float = 1e-3,
        max_rows: int = 5000,
        random_state: Any = 0,
    ) -> None:
        self.dims = dims
        self.basis = basis
        self.share = share
        self.k = k
        self.ridge = ridge
        self.max_rows = max_rows
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the dimensions.

        Args:
            X: `(n_samples, n_features)`, finite.
            y: their partners, `(n_samples, n_y)`: row i of both is a pair. Labels or a target `(n_samples,)`, which a
                pipeline passes to all its steps, are not used, nor is a column of class labels.

        Raises:
            ValueError: rows that are not finite, too few or in another order, or an argument that cannot be used.
        """
        self._check_arguments()
        check_same_index({"X": X, "y": y})
        rows = copied(validate_data(self, without_gradient(X), dtype=FLOATS, ensure_min_samples=2))
        self._forget()
        dims = None if isinstance(self.dims, str) else int(self.dims)
        if dims is not None and not 1 <= dims <= rows.shape[1]:
            raise ConfigError(
                f"dims must lie between 1 and {rows.shape[1]}, the columns of X (n_features = {rows.shape[1]}), "
                f"got {dims}"
            )
        partners = None if y is None else self._partners(without_gradient(y), rows)
        if partners is None:
            if self.basis == "canonical":
                raise ConfigError(
                    'basis="canonical" needs partners: fit(X, Y) with Y of shape (n_samples, n_y)'
                )
            self.basis_ = "principal"
            projection = principal_projection(rows, dims, self.share)
        else:
            projection = self._fit_pairs(rows, partners, dims)
        self._projection = projection
        self.dims_ = projection.basis.shape[1]
        self.components_, self.mean_ = projection.basis.numpy().T, projection.mean.numpy()
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit and return X in the dimensions kept; with partners, the pair of both, as `CCA.fit_transform` does."""
        self.fit(X, y, **fit_params)
        return self.transform(X, y if hasattr(self, "_y_projection") else None)

    def _fit_pairs(self, x: torch.Tensor, y: torch.Tensor, dims: int | None) -> Projection:
        """Fit the maps of both modalities; return that of X."""
        self.basis_ = "canonical" if self.basis == "auto" else self.basis
        if self.basis_ == "principal" and x.shape[1] != y.shape[1]:
            raise ConfigError(
                f"X has {x.shape[1]} columns and Y {y.shape[1]}, so they have no principal directions in common; "
                'use basis="canonical"'
            )
        if dims is None:
            _warn_of_few(len(x), min(x.shape[1], y.shape[1]))
        seed = int(check_random_state(self.random_state).randint(2**31)) if self.random_state != 0 else 0
        pair = paired_projection(x, y, dims, self.basis_, self.share, self.k, self.ridge, self.max_rows, seed)
        self._y_projection = pair.y
        self.y_components_, self.y_mean_ = pair.y.basis.numpy().T, pair.y.mean.numpy()
        if pair.correlations is not None:
            self.correlations_ = pair.correlations.numpy()
        if pair.retrieval is not None:
            self.retrieval_ = pair.retrieval
            place = pair.retrieval.dims.index(pair.x.basis.shape[1])
            self.recall_ = float(torch.stack(tuple(pair.retrieval.recall)).mean(0)[place, 0])
            self.full_recall_ = float(torch.stack(tuple(pair.retrieval.full)).mean(0)[0])
        return pair.x

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return X in the dimensions kept, `(n_samples, dims_)`; with Y, the pair of both, as `CCA.transform` does.

        Raises:
            ValueError: rows or columns that do not fit, or tables whose index is in another order.
        """
        check_is_fitted(self)
        check_same_index({"X": X, "y": y})
        rows = validate_data(self, without_gradient(X), dtype=FLOATS, reset=False)
        reduced = _apply(self._projection, rows)
        return reduced if y is None else (reduced, self.transform_y(y))

    def transform_y(self, y: Any) -> np.ndarray:
        """Return partners in the dimensions kept, `(n_samples, dims_)`, to compare with those of X by cosine."""
        check_is_fitted(self)
        if not hasattr(self, "_y_projection"):
            raise ConfigError("Reduce was fitted without partners; fit(X, Y) gives it a map for Y")
        names, fitted = _column_names(y), getattr(self, "_y_names", None)
        if None not in (names, fitted) and names != fitted:
            has = "them in another order" if sorted(names or ()) == sorted(fitted or ()) else "others"
            raise ConfigError(f"Y must have the columns that Reduce was fitted to; it has {has}")
        rows = check_array(without_gradient(y), dtype=FLOATS, input_name="y")
        width = len(self.y_mean_)
        if rows.shape[1] != width:
            raise ConfigError(f"Y has {rows.shape[1]} columns, but Reduce was fitted to {width}")
        return _apply(self._y_projection, rows)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the rows that reduced ones stand for, by least squares.

        With partners they are of length at most about 1: the fewer dimensions are kept, the shorter. `transform` scales
        rows to length 1 first, so that `transform(inverse_transform(Z))` is then not Z.
        """
        check_is_fitted(self)
        reduced = check_array(without_gradient(X), dtype=FLOATS)
        if reduced.shape[1] != self.dims_:
            raise ConfigError(f"X has {reduced.shape[1]} columns, but reduced rows have {self.dims_}")
        return self._projection.reconstruct(copied(reduced)).numpy().astype(reduced.dtype)

    @property
    def _n_features_out(self) -> int:
        """Number of columns of the output, for `get_feature_names_out`."""
        return self.dims_

    def _check_arguments(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: one that cannot be used.
        """
        whole = isinstance(self.dims, (int, np.integer)) and not isinstance(self.dims, bool)
        if not whole and not (isinstance(self.dims, str) and self.dims == "auto"):
            raise ConfigError(f'dims must be "auto" or a whole number, got {self.dims!r}')
        if self.basis not in ("auto", "canonical", "principal"):
            raise ConfigError(f'basis must be "auto", "canonical" or "principal", got {self.basis!r}')
        if not 0 < self.share < 1:
            raise ConfigError(f"share must lie between 0 and 1, got {self.share}")
        whole_number("k", self.k, 1)
        whole_number("max_rows", self.max_rows, 2)

    def _forget(self) -> None:
        """Remove what an earlier fit left, of which this one may set only a part."""
        for name in [name for name in vars(self) if name in FITTED]:
            delattr(self, name)

    def _partners(self, y: Any, x: torch.Tensor) -> torch.Tensor | None:
        """Return the partners as a tensor, or None for labels or a target."""
        values = np.asarray(y)
        if values.ndim == 1:
            return None
        if values.shape[1:] == (1,) and type_of_target(values) in ("binary", "multiclass"):
            warnings.warn(
                "y is a column of class labels, which are not used; labels must be (n_samples,)",
                DataConversionWarning,
                stacklevel=3,
            )
            return None
        partners = check_array(y, dtype=FLOATS, input_name="y")
        check_consistent_length(x, partners)
        if partners.shape[1] == 1:
            warnings.warn(
                "y has one column, so X is reduced to one dimension; labels, which are not used, must be (n_samples,)",
                stacklevel=3,
            )
        names = _column_names(y)
        if names is not None:
            self._y_names = names
        if len(partners) < 4:
            raise ConfigError(f"pairs must be at least 4, got n_samples = {len(partners)}")
        return copied(partners)


FITTED = frozenset(
    {
        "_y_projection",
        "_y_names",
        "y_components_",
        "y_mean_",
        "correlations_",
        "recall_",
        "full_recall_",
        "retrieval_",
    }
)


def _column_names(table: Any) -> list[str] | None:
    """Return the names of a table's columns if all are texts; otherwise None, as scikit-learn does."""
    names = list(getattr(table, "columns", []))
    return names if names and all(isinstance(name, str) for name in names) else None


def _apply(projection: Projection, rows: np.ndarray) -> np.ndarray:
    """Return reduced rows in the precision of the rows."""
    return projection(copied(rows)).numpy().astype(rows.dtype)


def _warn_of_few(pairs: int, width: int) -> None:
    """Warn where directions are fitted on no more rows than they have columns, so that held-out recall means little."""
    fitted = pairs // 2
    if fitted <= width:
        warnings.warn(
            f"{pairs} pairs cannot show how many dimensions are needed: directions of {width} columns are fitted on "
            f"{fitted} of them and tried on the others; take more pairs, or give dims",
            stacklevel=4,
        )

"""Linear maps to fewer dimensions that keep the variance of one modality, or the matching of two."""

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension.spectrum import components
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.leading_directions import canonical_directions, principal_directions
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.reduction import RetrievalByDimension, retrieval_by_dimension
from intrinsic_clip.metrics.sufficient_dimension import smallest_sufficient
from intrinsic_clip.seeding import seeded

SEARCHED = 40_000  # pairs, at most, that the search uses; directions are fitted on one half
Basis = Literal["principal", "canonical"]


@dataclass(frozen=True)
class Projection:
    """A map of rows to fewer columns: subtract a mean, multiply by a basis.

    Attributes:
        mean: what is subtracted, `(d,)`.
        basis: what centred rows are multiplied by, `(d, m)`.
        inverse: what gives the least-squares reconstruction of centred rows, `(m, d)`.
        unit_rows: rows are scaled to length 1 first, as cosines do.
    """

    mean: Tensor
    basis: Tensor
    inverse: Tensor
    unit_rows: bool

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the rows `(n, d)` in fewer dimensions, `(n, m)` float64."""
        return (self.scaled(rows) - self.mean) @ self.basis

    def scaled(self, rows: Tensor) -> Tensor:
        """Return the rows from which the mean is subtracted, float64."""
        return directions(rows) if self.unit_rows else rows.double()

    def reconstruct(self, reduced: Tensor) -> Tensor:
        """Return the rows `(n, d)` that `reduced`, `(n, m)`, stands for.

        Of rows that were scaled they are of length at most about 1: the fewer columns, the shorter.
        """
        return reduced.double() @ self.inverse + self.mean


@dataclass(frozen=True)
class PairedProjection:
    """One map for each modality, in whose dimensions cosines match the pairs.

    Attributes:
        x, y: the maps, of equally many dimensions.
        correlations: of the canonical dimensions kept, `(m,)`; None with the principal basis.
        retrieval: recall for each number of dimensions tried; None where the number was given.
    """

    x: Projection
    y: Projection
    correlations: Tensor | None
    retrieval: RetrievalByDimension | None


def principal_projection(x: Tensor, dims: int | None = None, share: float = 0.99) -> Projection:
    """Fit the map to the leading principal components.

    Args:
        x: `(n, d)`.
        dims: components to keep; None: the fewest that hold the share of the variance.
        share: of the variance, between 0 and 1, both excluded.

    Raises:
        ValueError: dims or share out of range, or all rows are equal and dims is None.
    """
    if dims is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reason is raised below
            needed = components(x, share)
        if needed.reason is not None:
            raise ValueError(f"{needed.reason}, so no number of dimensions follows; give dims")
        dims = int(needed.value)
    _check_dims(dims, x.shape[1])
    mean = x.double().mean(0)
    axes = principal_directions(x.double() - mean)[:, :dims]
    axes = axes * _signs(axes)
    return Projection(mean, axes, axes.mT, unit_rows=False)


def paired_projection(
    x: Tensor,
    y: Tensor,
    dims: int | None = None,
    basis: Basis = "canonical",
    share: float = 0.99,
    k: int = 1,
    ridge: float = 1e-3,
    max_rows: int = 5000,
    seed: int = 0,
) -> PairedProjection:
    """Fit a map for each modality that keeps the cosines' matching of the pairs.

    The maps are those of `retrieval_by_dimension`, fitted on all rows once their number of dimensions is known.

    Args:
        x, y: `(n, d_x)` and `(n, d_y)`; row i of x and row i of y are a pair.
        dims: dimensions to keep; None: the fewest whose held-out recall is at least a share of the full one, or all
            of them, with a warning, where pairs are matched no better than by guessing.
        basis: "canonical", a basis for each modality, weighted by correlation⁴; or "principal", one for both.
        share: of the recall at k of the whole rows, or of all canonical dimensions where that is larger.
        k: a row counts if its partner is among the k best.
        ridge: passed to `canonical_directions`.
        max_rows: held-out pairs, at most, that recall is measured on.
        seed: of the choice of held-out pairs.

    Raises:
        ValueError: shapes that do not fit, or an argument out of range.
    """
    width = min(x.shape[1], y.shape[1])
    retrieval = None
    if dims is None:
        order = torch.randperm(len(x), generator=seeded(seed))[:SEARCHED].to(x.device)
        retrieval = _searched(x[order], y[order], basis, k, ridge, max_rows, seed)
        dims = _sufficient(retrieval, share)
    _check_dims(dims, width)
    x_map, y_map, correlations = pair_maps(x, y, dims, basis, ridge)
    return PairedProjection(x_map, y_map, correlations, retrieval)


def pair_maps(
    x: Tensor, y: Tensor, dims: int, basis: Basis, ridge: float = 1e-3
) -> tuple[Projection, Projection, Tensor | None]:
    """Fit the maps of both modalities to that many dimensions; the third result is the canonical correlations.

    Args:
        x, y, dims, basis, ridge: as for `paired_projection`.
    """
    x, y = directions(x).double(), directions(y).double()
    if basis == "principal":
        axes = principal_directions(torch.cat([x, y]))[:, :dims]
        axes = axes * _signs(axes)
        both = Projection(x.new_zeros(x.shape[1]), axes, axes.mT, unit_rows=True)
        return both, both, None
    canonical = canonical_directions(x, y, ridge)
    kept = canonical.correlations[:dims]
    weights = kept**4 * _signs(canonical.x[:, :dims])
    maps = [
        _weighted(rows, mean.squeeze(0), axes[:, :dims], weights)
        for rows, mean, axes in ((x, canonical.mean_x, canonical.x), (y, canonical.mean_y, canonical.y))
    ]
    return maps[0], maps[1], kept


def dimension_steps(d: int) -> list[int]:
    """Return the numbers of dimensions to try: 1, 2, … 8, then four steps to every doubling, then d."""
    octaves = [(4 + quarter) << octave for octave in range(1, d.bit_length()) for quarter in range(4)]
    return [*(m for m in (*range(1, 8), *octaves) if m < d), d]


def _searched(
    x: Tensor, y: Tensor, basis: Basis, k: int, ridge: float, max_rows: int, seed: int
) -> RetrievalByDimension:
    """Return held-out recall for each number of dimensions; the full one is at least that of all dimensions."""
    dims = dimension_steps(min(x.shape[1], y.shape[1]))
    pairing = Pairing.of_rows(x, y)
    retrieval = retrieval_by_dimension(x, y, dims, basis, (k,), ridge, max_rows, seed, pairing)
    full = (torch.maximum(a, b[..., -1, :]) for a, b in zip(retrieval.full, retrieval.recall, strict=True))
    return dataclasses.replace(retrieval, full=type(retrieval.full)(*full))


def _sufficient(retrieval: RetrievalByDimension, share: float) -> int:
    """Return the fewest dimensions that are enough, or all where recall is no better than by guessing."""
    enough = smallest_sufficient(retrieval, share)
    if retrieval.dims[-1] > 1 and float(enough.full) < 1 and retrieval.is_by_chance:
        warnings.warn(
            f"pairs are matched no better than by guessing (recall@{retrieval.ks[0]} {float(enough.full):.3g} among "
            f"{retrieval.n:,} held-out pairs), so all {retrieval.dims[-1]:,} dimensions are kept; are rows i of both a "
            "pair?",
            stacklevel=3,
        )
        return retrieval.dims[-1]
    return int(enough.dims) if int(enough.dims) > 0 else retrieval.dims[-1]


def _check_dims(dims: int, width: int) -> None:
    """Check that so many dimensions can be kept.

    Raises:
        ValueError: they cannot.
    """
    if not 1 <= dims <= width:
        raise ValueError(f"dims must lie between 1 and {width}, the number of columns, got {dims}")


def _signs(axes: Tensor) -> Tensor:
    """Return the signs that make the largest entry of each column positive, so that results can be repeated."""
    largest = axes.abs().argmax(0, keepdim=True)
    return axes.gather(0, largest).squeeze(0).sign()


def _weighted(rows: Tensor, mean: Tensor, axes: Tensor, weights: Tensor) -> Projection:
    """Return the map to weighted axes, with the least-squares map from there back to the rows."""
    scores = (rows - mean) @ axes
    loadings = torch.linalg.pinv(scores.mT @ scores, hermitian=True) @ (scores.mT @ (rows - mean))
    inverse = torch.where(weights[:, None] == 0, 0.0, loadings / weights[:, None])
    return Projection(mean, axes * weights, inverse, unit_rows=True)

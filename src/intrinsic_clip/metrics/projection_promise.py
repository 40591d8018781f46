"""Projections that are fitted on one half of the rows and tried on the other, so that what they keep is known."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.paired_error import Found, clusters
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.projection import Basis, Projection, pair_maps, principal_projection
from intrinsic_clip.metrics.reduction import halves, partners_found, recall_numbers, retrieval_of

Kept = Literal["recall@1", "variance"]
VANISHING = 1e-9  # spread along a direction, relative to the length of rows, that cannot be scaled to 1


@dataclass(frozen=True)
class Promise:
    """A number that a projection reaches on rows that it was not fitted on.

    Attributes:
        kind: "recall@1", by cosine, the mean of both directions; or "variance", the share that is kept.
        value: the number.
        standard_error: of the number, for other rows of the same kind.
        full: the number with all dimensions.
        n: held-out rows; of x and y the larger number of distinct ones.
    """

    kind: Kept
    value: float
    standard_error: float
    full: float
    n: int


@dataclass(frozen=True)
class PromisedProjection:
    """Maps of one or of two modalities, and what they keep.

    Attributes:
        sides: the map of x and, with partners, that of y.
        correlations: of the canonical dimensions kept, `(m,)`; None with principal ones.
        promise: what the maps keep of the held-out rows.
        held_out: positions of the held-out rows, int64.
        fitted: number of rows that the maps were fitted on.
    """

    sides: dict[str, Projection]
    correlations: Tensor | None
    promise: Promise
    held_out: Tensor
    fitted: int


@torch.no_grad()
def promised_pair(
    x: Tensor,
    y: Tensor,
    dims: int,
    basis: Basis,
    *,
    whiten: bool = False,
    max_rows: int = 5000,
    seed: int = 0,
    pairing: Pairing | None = None,
) -> PromisedProjection:
    """Fit the maps of both modalities as `retrieval_by_dimension` does, and measure recall with exactly these maps.

    Without whitening the recall is that of `retrieval_by_dimension`. The principal maps then leave rows at their
    lengths, which no cosine sees.

    Args:
        x, y: `(n, d_x)` and `(n, d_y)`, at least four pairs; row i of x and row i of y are a pair.
        dims: dimensions to keep.
        basis: "principal", one basis for both, which need equal widths; or "canonical", one for each.
        whiten: give each dimension the mean square 1 over the rows fitted on, in place of its natural weight.
        max_rows, seed: as for `retrieval_by_dimension`.
        pairing: which rows belong together; None: rows i, and rows that repeat.

    Raises:
        ConfigError: a dimension does not vary and cannot be whitened.
    """
    pairing = Pairing.of_rows(x, y) if pairing is None else pairing
    fitted, measured, both = halves(x, max_rows, seed, pairing)
    x_map, y_map, correlations = pair_maps(x[fitted], y[fitted], dims, basis)
    maps = {"x": x_map, "y": y_map}
    if whiten:
        maps = _whitened_pair(maps, x[fitted], y[fitted], basis)
    elif basis == "principal":
        maps = {side: replace(each, unit_rows=False) for side, each in maps.items()}
    maps = {side: single_precision(each) for side, each in maps.items()}
    found = partners_found(maps["x"](x[measured]), maps["y"](y[measured]), (1,), both)
    full = _full(x, y, fitted, measured, both, basis)
    promise = _recall_promise(found, full, both, len(measured), pairing.classes)
    return PromisedProjection(maps, correlations, promise, measured, len(fitted))


@torch.no_grad()
def promised_principal(
    x: Tensor, dims: int, *, whiten: bool = False, max_rows: int = 5000, seed: int = 0
) -> PromisedProjection:
    """Fit the map to the leading principal components of one half, and measure the variance it keeps of the other.

    Copies of a row are in one half, and one of them is held out.

    Args:
        x: `(n, d)`, at least four rows.
        dims: dimensions to keep.
        whiten: give each dimension the variance 1 over the rows fitted on.
        max_rows: held-out rows, at most.
        seed: of the choice of held-out rows.

    Raises:
        ConfigError: a dimension does not vary and cannot be whitened.
    """
    fitted, measured, both = halves(x, max_rows, seed, Pairing.of_rows(x, x))
    if both is not None:
        measured = measured[both.x.to(measured.device)]
    plain = principal_projection(x[fitted], dims)
    kept = single_precision(whitened(plain, x[fitted]) if whiten else plain)
    centred = x[measured].double() - plain.mean
    total = centred.square().sum(1)
    lost = (centred - (centred @ plain.basis) @ plain.inverse).square().sum(1)
    share = 1 - float(lost.sum() / total.sum()) if float(total.sum()) > 0 else math.nan
    spread = (lost - (1 - share) * total).std(unbiased=True)
    error = float(spread / (math.sqrt(len(measured)) * total.mean()))
    promise = Promise("variance", share, error, 1.0, len(measured))
    return PromisedProjection({"x": kept}, None, promise, measured, len(fitted))


def whitened(projection: Projection, *rows: Tensor) -> Projection:
    """Return a map whose dimensions have the mean square 1 over some rows.

    Raises:
        ConfigError: a dimension does not vary.
    """
    scores = torch.cat([projection(each) for each in rows])
    spread = scores.square().mean(0).sqrt()
    lengths = [(projection.scaled(each) - projection.mean).square().sum(-1) for each in rows]
    reach = torch.cat(lengths).mean().sqrt() * torch.linalg.vector_norm(projection.basis, dim=0)
    flat = (spread <= VANISHING * reach).nonzero().flatten()
    if len(flat):
        raise ConfigError(
            f"dimension {int(flat[0]) + 1} of {len(spread)} does not vary, so it cannot be whitened; "
            f"keep fewer than {int(flat[0]) + 1}"
        )
    return replace(projection, basis=projection.basis / spread, inverse=projection.inverse * spread[:, None])


def single_precision(projection: Projection) -> Projection:
    """Return the map with its numbers rounded to those that float32 holds, as files have them."""
    mean, basis, inverse = (
        part.float().double() for part in (projection.mean, projection.basis, projection.inverse)
    )
    return replace(projection, mean=mean, basis=basis, inverse=inverse)


def _whitened_pair(maps: dict[str, Projection], x: Tensor, y: Tensor, basis: Basis) -> dict[str, Projection]:
    """Return whitened maps: principal ones share one scale, since they share their dimensions."""
    if basis == "principal":
        both = whitened(maps["x"], x, y)
        return {"x": both, "y": both}
    return {"x": whitened(maps["x"], x), "y": whitened(maps["y"], y)}


def _full(
    x: Tensor, y: Tensor, fitted: Tensor, measured: Tensor, both: Counterparts | None, basis: Basis
) -> Found:
    """Return what the whole rows find, or what is found with all canonical dimensions where the two widths differ."""
    x_rows, y_rows = x[measured], y[measured]
    if x.shape[1] != y.shape[1]:
        x_map, y_map, _ = pair_maps(x[fitted], y[fitted], min(x.shape[1], y.shape[1]), basis)
        x_rows, y_rows = x_map(x_rows), y_map(y_rows)
    return partners_found(x_rows, y_rows, (1,), both)


def _recall_promise(
    found: Found, full: Found, both: Counterparts | None, n: int, fixed_classes: bool
) -> Promise:
    """Return recall, the mean of both directions, with the error that `retrieval_by_dimension` gives."""
    queries = n if both is None else max(len(both.x), len(both.y))
    together = clusters(n, both, fixed_classes)
    numbers = torch.stack([recall_numbers(each, full, together) for each in (found, full)], 1)
    retrieval = retrieval_of(numbers, (1,), (1,), queries, both, together)
    recall, whole = (float(torch.stack(tuple(part)).mean()) for part in (retrieval.recall, retrieval.full))
    return Promise("recall@1", recall, float(retrieval.mean_error), whole, queries)

"""The number of dimensions that retrieval needs: recall with only the leading ones kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, check_same_index, whole_number
from intrinsic_clip.metrics.alignment import directions, each_replicate
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.leading_directions import canonical_directions, principal_directions
from intrinsic_clip.metrics.matching import Matching, expected_shares, partner_ranks
from intrinsic_clip.metrics.paired_error import (
    Clusters,
    Found,
    clusters,
    mean_error,
    recall_error,
    shares,
    way_error,
)
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.seeding import seeded


@dataclass(frozen=True)
class RetrievalByDimension:
    """Recall at k among n rows that the directions were not fitted on, for D dims by K values of k.

    Attributes:
        dims: the numbers of dimensions kept.
        ks: the values of k: a row counts if its partner is among the k best.
        recall: shares in both directions, `(*R, D, K)` each.
        standard_error: of recall, `(*R, D, K)` each: binomial, √(p (1 − p) / n), or over clusters where rows hang
            together, as the five captions of an image do; larger where fewer than ten are missed or found, see
            `intrinsic_clip.metrics.paired_error`.
        full: recall of the whole representations by cosine, or of all canonical dimensions where the two widths
            differ, `(*R, K)` each.
        n: rows that are queries and candidates; of x and y the larger number of distinct ones.
        chance: recall@1 by guessing.
        difference: recall less the full one, mean of both directions, `(*R, D, K)`; None where it was not measured.
        difference_error: its standard error over the held-out pairs, both of whose recalls are known; see
            `intrinsic_clip.metrics.paired_error`.
        errors_of_mean: standard errors of the mean of both directions, over pairs or, where rows hang together, over
            clusters, that of the full one last, `(*R, D + 1, K)`; None where they were not measured.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import retrieval_by_dimension
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(200, 8)
        >>> y = x + 0.5 * torch.randn(200, 8)
        >>> retrieval = retrieval_by_dimension(x, y, dims=(2, 8), ks=(1, 5))
        >>> retrieval.n, retrieval.recall.x_to_y.shape, retrieval.full.x_to_y.shape
        (100, torch.Size([2, 2]), torch.Size([2]))
    """

    dims: tuple[int, ...]
    ks: tuple[int, ...]
    recall: Matching
    standard_error: Matching
    full: Matching
    n: int
    chance: float = math.nan
    difference: Tensor | None = None
    difference_error: Tensor | None = None
    errors_of_mean: Tensor | None = None

    @property
    def mean_error(self) -> Tensor:
        """Return the standard error of the mean of both directions, `(*R, D, K)`.

        Where it was not measured it is an upper bound, the mean of both binomial errors: the two share their pairs.
        """
        if self.errors_of_mean is not None:
            return self.errors_of_mean[..., :-1, :]
        return torch.stack(tuple(self.standard_error)).mean(0)

    @property
    def full_error(self) -> Tensor:
        """Return the standard error of the full recall, mean of both directions, `(*R, K)`."""
        if self.errors_of_mean is not None:
            return self.errors_of_mean[..., -1, :]
        full = torch.stack(tuple(self.full)).mean(0)
        return (full * (1 - full) / self.n).sqrt()

    @property
    def is_by_chance(self) -> bool:
        """Return whether a full recall@ks[0] may be that of guessing, within three standard errors."""
        chance = min(1.0, self.ks[0] * self.chance)
        full = torch.stack(tuple(self.full)).mean(0)[..., 0]
        return bool((full - 3 * self.full_error[..., 0] <= chance).any())


def retrieval_by_dimension(
    x: Rows,
    y: Rows,
    dims: Sequence[int],
    basis: Literal["principal", "canonical"] = "principal",
    ks: Sequence[int] = (1,),
    ridge: float = 1e-3,
    max_rows: int = 5000,
    seed: int = 0,
    things: tuple[Tensor, Tensor] | Pairing | None = None,
) -> RetrievalByDimension:
    """Measure recall at k by cosine, in both directions, with only the leading dimensions of a basis kept.

    The basis is fitted on one half of the rows, drawn at random, and recall measured on the other, so that
    directions that fit by chance gain nothing. Both modalities must be cut alike for their cosines to make sense:
    the principal basis is thus one for both, that of all directions x/|x| and y/|y| together, and with all d
    dimensions it changes no cosine. The canonical basis has a side for each modality and needs no common space, so
    its recall can be higher than with the principal basis and even than that of the whole representation. Its
    dimensions are weighted by the fourth power of their correlation (Gong, Ke, Isard, Lazebnik, *A multi-view
    embedding space for modeling internet images, tags, and their semantics*, IJCV 2014), since dimensions that are
    not shared would otherwise dominate. Rows that were cut are scaled to length 1 again.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair. For the canonical basis
            the two widths may differ.
        dims: numbers of dimensions to keep, at most d (the smaller of the two).
        basis: the directions to keep: "principal" or "canonical".
        ks: values of k: a row counts if its partner is among the k best.
        ridge: passed to `canonical_directions`.
        max_rows: if the measuring half has more rows, this many are drawn, at least 2; time grows with their square.
        seed: seed of the draw, which all replicates share.
        things: where rows repeat, from `distinct_rows` of x and of y: any partner of a distinct row is then right; or a
            `Pairing`, which knows of groups too.

    Returns:
        Recall and its standard error for each of the dims and ks, and recall of the whole representations.

    Raises:
        ValueError: shapes that do not fit, fewer than four rows, an unknown basis, a principal basis for different
            widths, dims, ks or max_rows out of range.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import retrieval_by_dimension
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(200, 8)
        >>> y = x + 0.5 * torch.randn(200, 8)
        >>> retrieval = retrieval_by_dimension(x, y, dims=(1, 4, 8))
        >>> [round(value, 1) for value in retrieval.recall.x_to_y.squeeze().tolist()]
        [0.0, 0.4, 0.9]
    """
    check_same_index({"x": x, "y": y})
    x, y = as_points(x, "x"), as_points(y, "y")
    if x.ndim < 2 or x.shape[:-1] != y.shape[:-1] or x.shape[-2] < 4 or 0 in (x.shape[-1], y.shape[-1]):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be (*R, n, d) with the same n >= 4, got shapes {shapes}")
    if basis not in ("principal", "canonical"):
        raise ValueError(f'basis must be "principal" or "canonical", got {basis!r}')
    widths = (x.shape[-1], y.shape[-1])
    alike = widths[0] == widths[1]
    if basis == "principal" and not alike:
        raise ValueError(
            f"x has {widths[0]} dimensions and y {widths[1]}, so they have no space and no principal "
            'directions in common; use basis="canonical"'
        )
    if not dims or min(dims) < 1 or max(dims) > min(widths):
        raise ValueError(f"dims must lie between 1 and {min(widths)}, got {list(dims)}")
    if not isinstance(max_rows, Integral) or int(max_rows) < 2:  # one row always finds its partner
        raise ValueError(f"max_rows must be a whole number of at least 2, got {max_rows!r}")
    fitted, measured, both = halves(x, max_rows, seed, things)
    queries = (len(measured), len(measured)) if both is None else (len(both.x), len(both.y))
    n = max(queries)
    if not ks or min(ks) < 1 or max(ks) > n:
        raise ValueError(f"ks must lie between 1 and the {n} rows recall is measured on, got {list(ks)}")
    dims = [whole_number("each of dims", m, 1) for m in dims]
    ks = [whole_number("each of ks", k, 1) for k in ks]

    table = x.new_empty(7, math.prod(x.shape[:-2]), len(dims) + 1, len(ks), dtype=torch.float64)
    together = clusters(n, both, isinstance(things, Pairing) and things.classes)
    for r, (x_r, y_r) in enumerate(each_replicate(x, y)):
        whole = directions(x_r[measured]), directions(y_r[measured])
        turned = turned_to(basis, (x_r[fitted], y_r[fitted]), whole, ridge)
        full = partners_found(*(whole if alike else turned), ks, both)
        table[:, r, -1] = recall_numbers(full, full, together)
        for place, m in enumerate(dims):
            found = partners_found(turned[0][:, :m], turned[1][:, :m], ks, both)
            table[:, r, place] = recall_numbers(found, full, together)
    numbers = table.reshape(7, *x.shape[:-2], len(dims) + 1, len(ks))
    return retrieval_of(numbers, dims, ks, n, both, together)


def retrieval_of(
    numbers: Tensor,
    dims: Sequence[int],
    ks: Sequence[int],
    n: int,
    both: Counterparts | None,
    together: Clusters,
) -> RetrievalByDimension:
    """Gather what `recall_numbers` gave for each of the dims and, last, for the whole rows, `(7, *R, D + 1, K)`."""
    cut = numbers[..., :-1, :]
    return RetrievalByDimension(
        dims=tuple(dims),
        ks=tuple(ks),
        recall=Matching(*cut[0:2]),
        standard_error=Matching(*cut[2:4]),
        full=Matching(*numbers[0:2, ..., -1, :]),
        n=n,
        chance=1 / n if both is None else both.chance,
        difference=cut[5],
        difference_error=cut[6],
        errors_of_mean=numbers[4],
    )


def turned_to(
    basis: Literal["principal", "canonical"],
    fitted: tuple[Tensor, Tensor],
    whole: tuple[Tensor, Tensor],
    ridge: float = 1e-3,
) -> tuple[Tensor, Tensor]:
    """Return directions of x and of y in the coordinates of a basis that was fitted on other rows, `(n, m)` each.

    Args:
        basis: "principal", one for both; or "canonical", one for each, weighted by the fourth power of correlations.
        fitted: rows of x and of y to fit on.
        whole: directions to turn.
        ridge: passed to `canonical_directions`.
    """
    if basis == "principal":
        axes = principal_directions(torch.cat([directions(rows) for rows in fitted]))
        return whole[0] @ axes, whole[1] @ axes
    return canonical_directions(directions(fitted[0]), directions(fitted[1]), ridge).weighted(*whole)


def halves(
    x: Tensor, max_rows: int, seed: int, things: tuple[Tensor, Tensor] | Pairing | None
) -> tuple[Tensor, Tensor, Counterparts | None]:
    """Draw the rows to fit on and, at most `max_rows`, those to measure on, with the latter's right answers."""
    pairing = Pairing(*things) if isinstance(things, tuple) else things
    if pairing is None or (pairing.groups is None and pairing.counterparts() is None):
        order = torch.randperm(x.shape[-2], generator=seeded(seed)).to(x.device)
        return order[: len(order) // 2], order[len(order) // 2 :][: max(1, max_rows)], None
    fitted, measured = pairing.halves(seed)
    measured = measured[: max(1, max_rows)]
    return fitted.to(x.device), measured.to(x.device), pairing.at(measured).counterparts()


def partners_found(x: Tensor, y: Tensor, ks: Sequence[int], both: Counterparts | None) -> Found:
    """Return which rows of one replicate find a right answer by cosine among the k best, for each k."""
    ranks = partner_ranks(directions(x), directions(y), both)
    return Found(*(torch.stack([expected_shares(way, k) for k in ks], -1) for way in ranks))


def recall_numbers(found: Found, full: Found, together: Clusters) -> Tensor:
    """Return recall both ways, its errors, that of its mean over clusters, its difference from the full one, and that
    difference's error, `(7, K)`.
    """
    errors = [way_error(hits, of) for hits, of in zip(found, together, strict=True)]
    mean, difference = recall_error(found, together), mean_error(found.minus(full), together)
    return torch.stack([*map(shares, found), *errors, mean.standard_error, *difference])

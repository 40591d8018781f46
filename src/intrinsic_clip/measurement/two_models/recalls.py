"""Recall of two models on the same pairs, and their difference with its standard error, paired over rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.measurement.pairs import FITTED, HELD_OUT
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.matching import PartnerRanks, expected_shares, partner_ranks
from intrinsic_clip.metrics.paired_error import Found, clusters, mean_error
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.reduction import halves, turned_to

KS = (1, 10)


@dataclass(frozen=True)
class Recalls:
    """Pairs of two models.

    Attributes:
        first, second: rows of x and y by side, `(n, d)` each.
        pairing: which rows belong together, the same for both models.
        seed: of the choice of held-out pairs.
    """

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    pairing: Pairing
    seed: int


def compare_recalls(pairs: Recalls, drawn: Recalls | None = None) -> Iterator[dict[str, Any]]:
    """Yield the recalls of both models and their difference, by cosine where both have widths that permit it.

    Recall along canonical directions takes a linear map of each side, fitted on one half of the pairs and tried on the
    other, so that it needs no common space of x and y.

    Args:
        pairs: compared all with all by cosine.
        drawn: pairs in the order in which the measurement of a model draws them, so that the half that is held out is
            the one that its own recalls are of; None: those of `pairs`.
    """
    pairing, n = pairs.pairing, len(pairs.pairing.x)
    if all(rows["x"].shape[1] == rows["y"].shape[1] for rows in (pairs.first, pairs.second)):
        both = pairing.counterparts()
        ranks = [
            partner_ranks(directions(rows["x"]), directions(rows["y"]), both)
            for rows in (pairs.first, pairs.second)
        ]
        yield from _differences("cosine", ranks, both, n, pairing.classes)
    drawn = drawn or pairs
    if len(drawn.pairing.x) >= 4:
        fitted, measured, both = halves(drawn.first["x"], HELD_OUT, drawn.seed, drawn.pairing)
        ranks = [_canonical_ranks(rows, fitted, measured, both) for rows in (drawn.first, drawn.second)]
        yield from _differences("canonical", ranks, both, len(measured), drawn.pairing.classes)


def _canonical_ranks(
    rows: dict[str, Tensor], fitted: Tensor, measured: Tensor, both: Counterparts | None
) -> PartnerRanks:
    """Rank partners among held-out pairs along canonical directions that were fitted on others."""
    fitted = fitted[:FITTED]
    whole = directions(rows["x"][measured]), directions(rows["y"][measured])
    x, y = turned_to("canonical", (rows["x"][fitted], rows["y"][fitted]), whole)
    return partner_ranks(directions(x), directions(y), both)


def _differences(
    by: str, ranks: list[PartnerRanks], both: Counterparts | None, n: int, fixed_classes: bool
) -> Iterator[dict[str, Any]]:
    together = clusters(n, both, fixed_classes)
    for k in KS:
        if k >= n:
            continue
        first, second = ([expected_shares(way, k)[:, None] for way in each] for each in ranks)
        gains = [after - before for before, after in zip(first, second, strict=True)]
        yield {
            "by": by,
            "k": k,
            "first": _mean_of_ways(first),
            "second": _mean_of_ways(second),
            "difference": _mean_of_ways(gains),
            "standard_error": float(mean_error(Found(*gains), together).standard_error),
            "n": n,
            "chance": 1 / n if both is None else both.chance,
        }


def _mean_of_ways(shares: list[Tensor]) -> float:
    return float(torch.stack([way.mean() for way in shares]).mean())

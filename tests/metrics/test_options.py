"""Counts and levels that cannot be meant are refused; some were read as another setting."""

import math
from collections.abc import Callable

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import (
    canonical_rank,
    copula_information,
    dimension_correlation,
    kernel_canonical_rank,
    kernel_recovery,
    knn_accuracy,
    ksg_information,
    optimal_temperature,
    partner_ranks,
    retrieval_by_dimension,
    top_matching,
)

X, Y = gaussian(60, 4), gaussian(60, 4, seed=1)
COUNTS: dict[str, Callable[[object], object]] = {
    "batch_size": lambda count: optimal_temperature(X, Y, batch_size=count),
    "canonical permutations": lambda count: canonical_rank(X, Y, permutations=count),
    "kernel permutations": lambda count: kernel_canonical_rank(X, Y, permutations=count),
    "dimension permutations": lambda count: dimension_correlation(X, Y, permutations=count),
    "landmarks": lambda count: kernel_canonical_rank(X, Y, landmarks=count),
    "max_rows": lambda count: kernel_recovery(X, Y, max_rows=count),
    "top k": lambda count: top_matching(partner_ranks(X, Y), count),
    "ks": lambda count: retrieval_by_dimension(X, Y, (2,), ks=(count,)),
    "dims": lambda count: retrieval_by_dimension(X, Y, (count,)),
    "neighbours that vote": lambda count: knn_accuracy(X, torch.arange(60) % 2, count),
    "neighbours of ksg": lambda count: ksg_information(X, Y, count),
    "directions of ksg": lambda count: ksg_information(X, Y, directions=count),
    "directions of the copula": lambda count: copula_information(X, Y, directions=count),
}


@pytest.mark.parametrize("count", [0, -1, 1.5, math.nan, True])
@pytest.mark.parametrize("of", COUNTS)
def test_counts_are_whole_numbers_from_1(of: str, count: object) -> None:
    with pytest.raises(ValueError, match=r"must be a whole number|must be at least 1|must lie between 1 and"):
        COUNTS[of](count)


@pytest.mark.parametrize("level", [0, -0.1, 1, 5, math.nan])
@pytest.mark.parametrize("rank", [canonical_rank, kernel_canonical_rank])
def test_levels_lie_between_0_and_1(rank, level: float) -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        rank(X, Y, level=level)

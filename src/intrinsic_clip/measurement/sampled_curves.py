"""Record the intrinsic dimension as a function of scale and of sample size."""

import warnings

from torch import Tensor

from intrinsic_clip.dimension import Neighbours, gride_scales, mle, sample_size_curve
from intrinsic_clip.measurement.record import Record

DUPLICATES = r"\d+ of \d+ points are exact duplicates of others and were counted once$"


def record_scales(
    record: Record, side: str, neighbours: Neighbours, sample: Tensor, k: int, seed: int
) -> None:
    """Record both curves.

    Args:
        record: receives them.
        side: x, y or z.
        neighbours: for the curve over scales.
        sample: rows for the curve over sample sizes.
        k: neighbours of mle.
        seed: of the subsets of the sample.
    """
    record.add_curve(f"scale/{side}", gride_scales(neighbours))
    smallest = min(max(100, 2 * k), sample.shape[-2])
    with warnings.catch_warnings():  # the search among all rows has told of them
        warnings.filterwarnings("ignore", DUPLICATES.removesuffix("$"))
        sizes = sample_size_curve(sample, mle, k=k, min_size=smallest, seed=seed)
    record.add_curve(f"sample_size/{side}", sizes)

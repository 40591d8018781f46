"""Compare an estimate with what canonical correlations find, which needs fewer pairs where sharing is linear."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from intrinsic_clip.metrics import canonical_rank
from intrinsic_clip.metrics.canonical_rank import LEVEL
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.own_dimension import OwnDimension
from intrinsic_clip.shared_dimension.pairs import PreparedPairs
from intrinsic_clip.shared_dimension.result import SharedDimension

ROWS = 5_000  # pairs, at most, that are permuted


def canonical_number(pairs: PreparedPairs, seed: int) -> int | None:
    """Return how many canonical correlations permuted pairs do not reach; None where pairs are no independent draws.

    Args:
        pairs: without the columns of noise that stand beside a narrow view.
        seed: of the choice of pairs and of the permutations.
    """
    if pairs.in_order or pairs.doubt is not None:  # permutations forget which rows belong together
        return None
    order = torch.randperm(len(pairs.x), generator=seeded(seed))[:ROWS]
    x, y = (side[order, : pairs.own[name].columns] for name, side in (("x", pairs.x), ("y", pairs.y)))
    rank = canonical_rank(x, y, seed=seed)
    return None if rank.reason is not None else int(rank.rank)


def compared(
    estimate: SharedDimension, found: int | None, own: Mapping[str, OwnDimension], output_dim: int
) -> SharedDimension:
    """Return an estimate that says where canonical correlations find more, with an interval that holds what they find.

    Correlations count functions, of which a curved latent has more than it has dimensions. The interval is widened
    where nothing was found, and where a view has few dimensions, which bound the functions too; else a note has to do,
    as where the spectrum has no gap.

    Args:
        estimate: bounded by the views' own dimensions.
        found: what `canonical_number` returns.
        own: by side, what `own_dimension` returns.
        output_dim: d of the encoders; a view with fewer dimensions is narrow.
    """
    estimate = replace(estimate, canonical_rank=found)
    dimension, number = estimate.dimension, estimate.number
    if found is None or found <= number:
        return estimate
    bounds = [bound for side in own.values() if (bound := side.bound) is not None]
    bound = min(bounds, default=output_dim)
    ceiling = min(found, bound)
    if ceiling <= number:
        return estimate
    estimate = replace(estimate, notes=[*estimate.notes, more_found(found, dimension, estimate.effective)])
    low, high = estimate.interval
    if dimension is None or ceiling <= high or (dimension > 0 and bound >= output_dim):
        return estimate
    return replace(estimate, interval=(low, ceiling), canonical=found)


def more_found(found: int, dimension: int | None, effective: int = 0) -> str:
    """Return a sentence about canonical correlations beyond the dimension that the encoders found.

    Args:
        found: canonical correlations.
        dimension: of the estimate; None where the spectrum has no gap.
        effective: number of values that hold most of such a spectrum.
    """
    missed = "scale the columns that matter, or take more pairs"
    said = f"CCA finds {found} shared (permutation test at the level {LEVEL:g}, by chance in one of twenty)"
    if dimension == 0:
        return f"{said}: the encoders may have missed what is weak or small; {missed}"
    beyond = f"more than {dimension}"
    if dimension is None:
        beyond = f"where the spectrum has no clear gap and most of its weight in {effective}"
    return (
        f"{said}, {beyond}: the others are curved functions of what the encoders found, or dimensions "
        f"that they missed, being weak or small in the inputs; {missed}"
    )

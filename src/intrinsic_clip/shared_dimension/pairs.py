"""Check two views, leave out repeated pairs, prepare the encoders' inputs, and hold some pairs out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.metrics.counterparts import distinct_rows
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.dependent_rows import one_of_each, order_note, relatives
from intrinsic_clip.shared_dimension.own_dimension import OwnDimension, own_dimension
from intrinsic_clip.shared_dimension.views import prepared

FEWEST = 100  # pairs
HELD_OUT = 0.2  # of the pairs
SIDES = ("x", "y")


@dataclass(frozen=True)
class PreparedPairs:
    """Pairs as the encoders take them.

    Attributes:
        x, y: inputs of all distinct pairs, `(n, p)` each.
        training: row numbers of the pairs to learn from.
        apart: row numbers of those that are held out.
        own: intrinsic dimension of each side alone, and the most that it can share.
        notes: what was decided, a sentence each.
        doubt: what is needed before a number can be trusted; None where one can.
        in_order: whether successive rows are alike on both sides.
    """

    x: Tensor
    y: Tensor
    training: Tensor
    apart: Tensor
    own: dict[str, OwnDimension]
    notes: list[str]
    doubt: str | None
    in_order: bool

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Return both sides of the pairs that are held out."""
        return self.x[self.apart], self.y[self.apart]


def prepare(x: Tensor, y: Tensor, output_dim: int, widest: int, seed: int) -> PreparedPairs:
    """Check the pairs, and make them ready for training.

    Args:
        x, y, output_dim, widest, seed: as `shared` takes them.

    Raises:
        ValueError: the views cannot be compared, or too few distinct pairs are left.
    """
    check(x, y)
    x, y, notes = without_repeats(x, y)
    kept, copies, few = one_of_each(x, y, FEWEST, seed)
    x, y = x[kept], y[kept]
    views = [
        prepared(side, output_dim, widest, seed + place, SIDES[place]) for place, side in enumerate((x, y))
    ]
    inputs = [view.rows[:, : view.inputs - view.decoys] for view in views]
    own = {name: own_dimension(rows, seed) for name, rows in zip(SIDES, inputs, strict=True)}
    near = {side: found.doubt for side, found in own.items() if found.doubt is not None}
    in_groups, doubt = relatives({**near, **few})
    in_order = order_note(inputs[0], inputs[1])
    notes += [*copies, *in_groups, *([in_order] if in_order is not None else [])]
    notes += [note for side, view in zip(SIDES, views, strict=True) for note in view.notes(side)]
    order = torch.randperm(len(x), generator=seeded(seed))
    count = max(2, round(HELD_OUT * len(order)))
    training, apart = order[count:], order[:count]
    return PreparedPairs(
        views[0].rows, views[1].rows, training, apart, own, notes, doubt, in_order is not None
    )


def independent(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, dict[str, str]]:
    """Return the row numbers of the pairs that an estimate is of, and the sides whose different rows are too few.

    Args:
        x, y, seed: as `prepare` takes them.

    Raises:
        ValueError: too few distinct pairs are left.
    """
    distinct, _ = repeats(x, y)
    kept, _, few = one_of_each(x[distinct], y[distinct], FEWEST, seed)
    return distinct[kept], few


def check(x: Tensor, y: Tensor) -> None:
    """Check two views.

    Raises:
        ValueError: they cannot be compared.
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"x and y must be (n, width) with one n, got {tuple(x.shape)} and {tuple(y.shape)}; "
            "row i of each must belong together"
        )
    if len(x) < FEWEST:
        raise ValueError(f"{len(x):,} pairs are too few; there must be at least {FEWEST}")
    for name, side in zip(SIDES, (x, y), strict=True):
        if not bool(side.isfinite().all()):
            raise ValueError(f"{name}: some rows hold NaN or infinity")
        if bool((side == side[0]).all()):
            raise ValueError(f"{name}: every column is constant")


def without_repeats(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[str]]:
    """Leave out pairs that equal an earlier one, which would be held out and learned from at once; say how many.

    Raises:
        ValueError: too few are left.
    """
    kept, notes = repeats(x, y)
    return x[kept], y[kept], notes


def repeats(x: Tensor, y: Tensor) -> tuple[Tensor, list[str]]:
    """Return the row numbers of the first of equal pairs, and a sentence about the others, if there are any.

    Raises:
        ValueError: too few are left.
    """
    kept = torch.arange(len(x))
    if len(x):
        codes = distinct_rows(x) * len(x) + distinct_rows(y)
        _, group = codes.unique(return_inverse=True)
        first = torch.full((int(group.max()) + 1,), len(x)).scatter_reduce(0, group, kept, "amin")
        kept = first.sort().values
    if len(kept) < FEWEST:
        raise ValueError(f"{len(kept):,} distinct pairs are too few; there must be at least {FEWEST}")
    count = len(x) - len(kept)
    return kept, [f"{count:,} of {len(x):,} pairs repeat an earlier one and are left out"] if count else []

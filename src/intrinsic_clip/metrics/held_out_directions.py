"""Project pairs on the leading canonical directions of other pairs, so that what they share is not made up."""

from typing import NamedTuple

from torch import Tensor

from intrinsic_clip.metrics.canonical_rank import canonical_rank
from intrinsic_clip.metrics.information_estimate import Pairs
from intrinsic_clip.metrics.leading_directions import canonical_directions

RIDGE = 1e-6  # relative to a column's mean variance: directions of little variance may be shared too


class Projected(NamedTuple):
    """Held-out rows on m shared directions, `(n, m)` each, or why there are none."""

    x: Tensor
    y: Tensor
    reason: str | None = None


def project_held_out(fit: Pairs, held_out: Pairs, directions: int | None) -> Projected:
    """Project held-out pairs on the leading canonical directions of the pairs to fit on.

    Args:
        fit, held_out: `(n, p_x)` and `(n, p_y)` each, float64.
        directions: how many; None: as many as `canonical_rank` finds among the pairs to fit on.
    """
    if directions is None:
        found = canonical_rank(*fit)
        if bool(found.rank.isnan()):
            return Projected(*(rows[:, :0] for rows in held_out), found.reason)
        directions = int(found.rank)
    at = canonical_directions(*fit, ridge=RIDGE)
    x = (held_out[0] - at.mean_x) @ at.x[:, :directions]
    y = (held_out[1] - at.mean_y) @ at.y[:, :directions]
    return Projected(x, y)


def check_directions(directions: int | None) -> None:
    """Check a number of directions.

    Raises:
        ValueError: it is not at least 1.
    """
    if directions is not None and directions < 1:
        raise ValueError(f"directions must be at least 1, or None, got {directions}")

"""Say what the dimension to believe assumes, and where the rows do not fit: too few, noisy, or of mixed dimensions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from intrinsic_clip.dimension import Neighbours
from intrinsic_clip.measurement.mixed_dimensions import mixture

# The curve against scale at its beginning over that three doublings on, from which on the value is none of a smooth
# cloud: of 1,000 rows without noise it was at most 1.33, and with noise of 0.1 or 0.3 mostly 1.35 to 2.4.
STEEP, DOUBLINGS = 1.4, 3
NARROW = "unless some directions are far narrower than others"


class Assumed(NamedTuple):
    """Tell what the headline assumes of the rows.

    Attributes:
        sentence: whether that holds here.
        distorted: in a few words, why the headline's value is another than it claims; None where it is not, as far as
            can be seen.
    """

    sentence: str
    distorted: str | None = None


def assumed(headline: Mapping[str, Any], neighbours: Neighbours, curve: Mapping[str, Any] | None) -> Assumed:
    """Return whether what the headline assumes holds here: enough rows, little noise, one dimension.

    Of Gaussians, cubes and spheres of 2 to 30 dimensions (200 to 2,500 rows) it lacked up to 17 % with a reach below
    0.5, up to 33 % below 0.75, and 24 to 44 % above; cubes, which are all edges, lack the most.

    Args:
        headline: of the belief.
        neighbours: of the rows, as many as the curve has.
        curve: of GRIDE against scale.
    """
    mixed = mixture(neighbours)
    if mixed is not None:
        return Assumed(
            f"rows of different dimensions are mixed: by their nearest neighbours {100 * mixed.share:.0f} % of them "
            f"have about {mixed.low:.2g} and the others about {mixed.high:.2g}, so one value describes neither; "
            "measure those that belong together by themselves",
            "rows of different dimensions are mixed",
        )
    share = f"the neighbourhoods used reach across {100 * headline['reach']:.0f} % of the cloud"
    rows = f"{headline['rows']:,} rows"
    if headline["lower_bound"]:
        return Assumed(
            f"{rows} are too few: {share}, so the values are lower bounds that lack a fifth or more; noise, if "
            "there is any, counts as dimensions too"
        )
    if curve is not None and headline["estimator"] == "MLE" and steep(curve):
        widest = next(value for value in reversed(curve["value"]) if value is not None)
        return Assumed(
            f"{share}, and within them the curve against scale falls steeply: from noise of short range, which makes "
            f"the value too high, so that {widest:.3g}, at the widest scale, is nearer; or from the edges of small "
            "clusters, which make the value too low",
            "too high by noise or too low by the edges of small clusters",
        )
    if headline["reach"] > 0.5:
        return Assumed(
            f"{rows} are barely enough: {share}, so the value may be up to a third too low, {NARROW}"
        )
    return Assumed(f"{rows} are enough: {share}, so the value is at most a fifth too low, {NARROW}")


def steep(curve: Mapping[str, Any] | None) -> bool:
    """Return whether the curve against scale falls from its beginning as steeply as noise or small clusters make it."""
    values = [] if curve is None else [value for value in curve["value"] if value is not None]
    return len(values) > DOUBLINGS and values[0] >= STEEP * values[DOUBLINGS]

"""Doubt pairs that may not be meant as they are."""

from collections.abc import Mapping

from intrinsic_clip.measurement.doubts import guessing
from intrinsic_clip.measurement.embeddings import Embeddings, Measured

WAYS = ("x_to_y", "y_to_x")
ONE_SIDED = ("/x", "/y")  # ends of names of numbers that are of one side alone
SUSPECT = 0.2  # median rank of partners, as a share of the candidates, from which on they may be matched by guessing


def one_space(embeddings: Embeddings) -> bool:
    """Return whether rows of x and of y can be compared: there is a y, of the width of x, or there is none."""
    return embeddings.y is None or embeddings.x.shape[-1] == embeddings.y.shape[-1]


def doubt_of_matching(embeddings: Embeddings, values: Mapping[str, Measured]) -> str | None:
    """Return the doubt that partners were found by guessing; None where it does not apply.

    Args:
        embeddings: of x and y.
        values: what was measured of them.
    """
    x, y = embeddings.x, embeddings.y
    if y is None or not one_space(embeddings):
        return None
    measured = {name for name, number in values.items() if number.value is not None}
    for kind in ("retrieval", "matching"):  # the first that is there; cosines are not misled by norms
        medians = [values[name] for way in WAYS if (name := f"{kind}/median_rank/{way}") in measured]
        if medians:
            largest = max(float(number.value) for number in medians if number.value is not None)
            both = embeddings.counterparts()
            candidates = len(x) if both is None else min(len(both.x), len(both.y))
            return guessing(x, y, both) if largest >= SUSPECT * candidates else None
    return None

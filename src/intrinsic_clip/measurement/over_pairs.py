"""Measure every pair of several modalities with a family of numbers that knows x and y."""

from collections.abc import Sequence
from itertools import combinations

from intrinsic_clip.measurement.embeddings import Embeddings, Side
from intrinsic_clip.measurement.families.family import ByName, Family, Reporter


def pair_name(name: str, first: Side, second: Side) -> str:
    """Return the name that a number of x and y has for two other modalities.

    Example:
        >>> [pair_name(name, "x", "z") for name in ("retrieval/top_1/y_to_x", "norm/y", "modality_gap")]
        ['retrieval/top_1/z_to_x', 'norm/z', 'modality_gap/x_z']
    """
    if (first, second) == ("x", "y"):
        return name
    stem, _, last = name.rpartition("/")
    lasts = {"x": first, "y": second, "x_to_y": f"{first}_to_{second}", "y_to_x": f"{second}_to_{first}"}
    return f"{stem}/{lasts[last]}" if last in lasts else f"{name}/{first}_{second}"


def names_over_pairs(family: Family, sides: Sequence[Side]) -> list[str]:
    """Return the names of a family's numbers for all pairs of modalities; for one or two they are the family's own."""
    if len(sides) <= 2:
        return family.names(sides)
    of_two = family.names(("x", "y"))
    return list(dict.fromkeys(pair_name(name, *pair) for pair in combinations(sides, 2) for name in of_two))


def measure_over_pairs(family: Family, embeddings: Embeddings, reporter: Reporter) -> ByName:
    """Return a family's numbers for all pairs of modalities; for one or two they are the family's own."""
    if not embeddings.further:
        return family.measure(embeddings, reporter)
    numbers: ByName = {}
    for pair in combinations(embeddings.sides(), 2):
        measured = family.measure(embeddings.of_pair(*pair), reporter)
        numbers |= {pair_name(name, *pair): number for name, number in measured.items()}
    return numbers

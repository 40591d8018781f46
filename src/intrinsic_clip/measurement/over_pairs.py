"""Measure every pair of several modalities with a family of numbers that knows x and y."""

from collections.abc import Sequence
from itertools import combinations

from intrinsic_clip.measurement.embeddings import Embeddings, Side
from intrinsic_clip.measurement.families.family import ByName, Family, Reporter
from intrinsic_clip.runs.vocabulary import pair_name


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

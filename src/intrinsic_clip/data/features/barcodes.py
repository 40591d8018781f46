"""Compare the names of cells between files and modalities, so that no row is paired with another cell's."""

import re
from collections import Counter
from collections.abc import Sequence

from intrinsic_clip.errors import ConfigError

ENDING = re.compile(r"[-_.]\d+$")  # what 10x and merging of samples add to a barcode
EXAMPLE = 40  # characters


def require_unique(source: str, names: Sequence[str]) -> None:
    """Raise ConfigError if a cell has no name, or two have the same."""
    missing = sum(name in ("", "nan", "None", "NaN", "<NA>") for name in names)
    if missing:
        raise ConfigError(
            f"{source}: {missing:,} of {len(names):,} cells have no name; each row must begin with one"
        )
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        repeated = len(names) - len(set(names))
        raise ConfigError(
            f"{source}: {repeated:,} of {len(names):,} cells repeat the name of another, {name[:EXAMPLE]!r} for "
            f"instance stands {count} times; each row must begin with a name of its own"
        )


def require_same(source: str, names: Sequence[str], others: Sequence[str]) -> None:
    """Raise ConfigError, which says how they differ, unless the names are those of data.rna in its order."""
    if list(names) != list(others):
        raise ConfigError(
            f"{source}: its {len(names):,} cells are not the {len(others):,} of data.rna in their order; "
            f"{difference(names, others)}"
        )


def difference(names: Sequence[str], others: Sequence[str], other: str = "data.rna") -> str:
    """Return how two lists of names differ."""
    shared = set(names) & set(others)
    if len(shared) == len(set(names)) == len(set(others)):
        return "they are the same cells in another order, so sort both by name"
    here = next((name for name in names if name not in shared), None)
    there = next((name for name in others if name not in shared), None)
    lacking = f"{len(shared):,} names are in both"
    if here is not None:
        lacking += f", {here[:EXAMPLE]!r} only here"
    if there is not None:
        lacking += f", {there[:EXAMPLE]!r} only in {other}"
    if not shared and _stems(names) & _stems(others):
        lacking += "; they differ in what is added at the end (-1), which must be the same"
    return lacking


def _stems(names: Sequence[str]) -> set[str]:
    return {ENDING.sub("", name) for name in names}

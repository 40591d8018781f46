"""Split rows into train, append and test by seed and content, so that equal rows are never in two splits."""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.seeding import seeded

_ORDER: tuple[Split, ...] = ("test", "append", "train")


def row_digests(rows: Tensor) -> list[bytes]:
    """Return a digest of the content of each row of `(n, …)`; equal rows have equal digests."""
    array = rows.contiguous().numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in array]


def linked_digests(*keys: Sequence[Hashable]) -> list[bytes]:
    """Return a digest per row, equal for rows that share a key, directly or over other rows.

    Rows of equal text or of equal colour, for example, are then on the same side of a split.

    Args:
        keys: lists with a key per row; keys of different lists are never equal.
    """
    parents: dict[tuple[int, Hashable], tuple[int, Hashable]] = {}

    def root(key: tuple[int, Hashable]) -> tuple[int, Hashable]:
        parents.setdefault(key, key)
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    firsts = [(0, key) for key in keys[0]]
    for place, column in enumerate(keys[1:], 1):
        for first, key in zip(firsts, column, strict=True):
            parents[root((place, key))] = root(first)
    smallest: dict[
        tuple[int, Hashable], bytes
    ] = {}  # so that the digest does not depend on the order of the rows
    for key in dict.fromkeys(firsts):
        own = hashlib.blake2b(repr(key[1]).encode(), digest_size=16).digest()
        smallest[root(key)] = min(own, smallest.get(root(key), own))
    return [smallest[root(key)] for key in firsts]


def split_by_content(
    digests: Iterable[bytes], sizes: Mapping[Split, int | None], seed: int
) -> dict[Split, Tensor]:
    """Return the row numbers of each split, in random order.

    Contents are sorted by a hash of the seed and themselves, so the split does not depend on the order of the file.
    Test takes the first of them, then append, then train; the split that takes all remaining rows comes last. Rows of
    equal content stay together; those that no longer fit into a split are left out.

    Args:
        digests: one per row, of its content.
        sizes: rows of each split, see `requested_sizes`.
        seed: determines the split.

    Raises:
        ConfigError: there are fewer rows than requested.
    """
    groups: dict[bytes, list[int]] = {}
    for row, content in enumerate(digests):
        groups.setdefault(content, []).append(row)
    key = seed.to_bytes(8, "little")
    order = iter(
        sorted(groups, key=lambda content: hashlib.blake2b(content, key=key, digest_size=16).digest())
    )
    chosen: dict[Split, list[int]] = {}
    for name in sorted(_ORDER, key=lambda name: sizes[name] is None):
        rows, wanted = chosen.setdefault(name, []), sizes[name]
        while (wanted is None or len(rows) < wanted) and (next_content := next(order, None)) is not None:
            rows += groups[next_content]
        if wanted is not None:
            del rows[wanted:]
    _check_enough(chosen, sizes, sum(map(len, groups.values())), len(groups))
    generator = seeded(seed)
    return {name: _shuffled(chosen[name], generator) for name in sizes}


def requested_sizes(n_train: int | None, n_append: int | None, n_test: int | None) -> dict[Split, int | None]:
    """Return the requested rows of each split; None for one of them stands for all remaining rows.

    Raises:
        ConfigError: more than one is None.
    """
    sizes: dict[Split, int | None] = {"train": n_train, "append": n_append, "test": n_test}
    remaining = [name for name, wanted in sizes.items() if wanted is None]
    if len(remaining) > 1:
        raise ConfigError(
            f"data.n_{' and n_'.join(remaining)}: only one of them can be null (all remaining rows)"
        )
    return sizes


def check_batch(batch_size: int, n_train: int) -> None:
    """Check that the training rows, whose number the files determine, make at least one batch."""
    if batch_size > n_train:
        raise ConfigError(f"data.batch_size={batch_size}: must not exceed the {n_train} training rows")


def _check_enough(
    chosen: Mapping[Split, list[int]], sizes: Mapping[Split, int | None], rows: int, contents: int
) -> None:
    remaining = [name for name, wanted in sizes.items() if wanted is None]
    if all(len(chosen[name]) == wanted for name, wanted in sizes.items() if wanted is not None) and all(
        chosen[name] for name in remaining
    ):
        return
    requested = " + ".join(f"n_{name}" for name, wanted in sizes.items() if wanted is not None)
    total = sum(wanted or 0 for wanted in sizes.values())
    limit = "must leave some of" if remaining else "must not exceed"
    repeats = f" ({contents:,} different ones; repeats stay in one split)" if contents < rows else ""
    raise ConfigError(f"data.{requested} = {total:,}: {limit} the {rows:,} usable pairs{repeats}")


def _shuffled(rows: list[int], generator: torch.Generator) -> Tensor:
    """Shuffle the rows once: rows of equal content are adjacent here, and batches are not shuffled later."""
    return torch.tensor(rows, dtype=torch.int64)[torch.randperm(len(rows), generator=generator)]

"""Who is trained on and who is held out: by seed and by content, so that the same content is never on both sides."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.errors import ConfigError

_ORDER: tuple[Split, ...] = ("test", "append", "train")


def row_digests(rows: Tensor) -> list[bytes]:
    """What stands for the content of each row of `(n, …)`: equal rows have equal digests."""
    array = rows.contiguous().numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in array]


def split_by_content(
    digests: Iterable[bytes], sizes: Mapping[Split, int | None], seed: int
) -> dict[Split, Tensor]:
    """Row numbers of each split, in random order.

    Contents are put in an order that depends on the seed and on themselves alone, not on where they stand in the
    file; test takes the first of them, then append, then train; who takes all that are left is last. Rows of one
    content go together: those that do not fit in any more are left out.

    Args:
        digests: of each row's content.
        sizes: rows of each split; None: all that are left, for one of them.
        seed: another seed gives another split.

    Raises:
        ConfigError: there are fewer rows than asked for.
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
    generator = torch.Generator().manual_seed(seed)
    return {name: _shuffled(chosen[name], generator) for name in sizes}


def requested_sizes(n_train: int | None, n_append: int | None, n_test: int | None) -> dict[Split, int | None]:
    """Return the rows asked for of each split; None for one of them: all rows that are left.

    Raises:
        ConfigError: more than one is None.
    """
    sizes: dict[Split, int | None] = {"train": n_train, "append": n_append, "test": n_test}
    left = [name for name, wanted in sizes.items() if wanted is None]
    if len(left) > 1:
        raise ConfigError(f"data.n_{' and n_'.join(left)}: only one of them can be all rows that are left")
    return sizes


def check_batch(batch_size: int, n_train: int) -> None:
    """Raise ConfigError where the training rows make no batch, which the config alone could not tell."""
    if batch_size > n_train:
        raise ConfigError(f"data.batch_size={batch_size}: must not exceed the {n_train} rows to train on")


def _check_enough(
    chosen: Mapping[Split, list[int]], sizes: Mapping[Split, int | None], rows: int, contents: int
) -> None:
    left = [name for name, wanted in sizes.items() if wanted is None]
    if all(len(chosen[name]) == wanted for name, wanted in sizes.items() if wanted is not None) and all(
        chosen[name] for name in left
    ):
        return
    asked = " + ".join(f"n_{name}" for name, wanted in sizes.items() if wanted is not None)
    total = sum(wanted or 0 for wanted in sizes.values())
    limit = "must leave some of" if left else "must not exceed"
    repeats = f" ({contents:,} different ones, which stay on one side each)" if contents < rows else ""
    raise ConfigError(f"data.{asked} = {total:,}: {limit} the {rows:,} usable pairs{repeats}")


def _shuffled(rows: list[int], generator: torch.Generator) -> Tensor:
    """Rows of one content stood side by side, and batches are not shuffled later on."""
    return torch.tensor(rows, dtype=torch.int64)[torch.randperm(len(rows), generator=generator)]

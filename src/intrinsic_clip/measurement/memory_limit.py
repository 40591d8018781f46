"""Keep a measurement within the memory that the user allows it, before anything is read."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    from intrinsic_clip.dimension.row_source import RowSource

GB = 10**9
PER_ROW = 60  # bytes for a row of a side that is read block by block: its number, length, hash, …; measured
AT_WORK = 1.2  # GB that the program, its libraries and the blocks at work take, at least; measured
PROGRAM = 0.5  # GB of it without rows; measured
PAIRS = (
    25_000  # rows of each side, at most, that directions and forms are fitted and tried on, as `large` says
)
COPIES = 3.2  # of these rows in their own type at once, with samples, where both bases are at work; measured
DOUBLES = 4.9  # of them in double precision besides; measured
WHOLE = 0.8  # GB that the program and its samples take beside rows that are read whole; measured
WHOLE_DOUBLES = 4.2  # of all rows of a side in double precision, where each is compared with all; measured
Shape = tuple[int, int, int]  # rows, columns and bytes of a number in memory


def at_work(shapes: Iterable[Shape]) -> float:
    """Return the GB that the program and the rows at work take, wherever all rows lie.

    Example:
        >>> from intrinsic_clip.measurement.memory_limit import at_work
        >>> [round(at_work([(10**6, d, 8)] * 2), 1) for d in (16, 256, 768)]
        [1.2, 1.3, 3.0]
    """
    rows = sum(min(n, PAIRS) * d * (COPIES * size + DOUBLES * 8) for n, d, size in shapes)
    return max(AT_WORK, PROGRAM + rows / GB)


def check_whole(limit: float | None, sizes: Mapping[str, int], shapes: Sequence[Shape] = ()) -> None:
    """Refuse files that are read whole and would take more than the limit.

    Args:
        limit: GB; None: no limit.
        sizes: bytes of the rows of each side, at least.
        shapes: of those sides whose is known.

    Raises:
        ConfigError: they take more.

    Example:
        >>> from intrinsic_clip.measurement.memory_limit import check_whole
        >>> check_whole(8, {"x": 6_000_000_000, "y": 6_000_000_000})
        Traceback (most recent call last):
        ...
        intrinsic_clip.errors.ConfigError: memory_gb=8: x and y take about 13.2 GB read whole; queries=auto, with more \
than 50,000 rows of .npy, .npz, .safetensors, .parquet, .arrow, .csv or shards, reads them block by block
    """
    largest = max((8 * n * d for n, d, _ in shapes), default=0)
    need = max(at_work(shapes), WHOLE + WHOLE_DOUBLES * largest / GB) + sum(sizes.values()) / GB
    if limit is not None and need > limit:
        taken = (
            f"{' and '.join(sizes)} {'takes' if len(sizes) == 1 else 'take'} about {need:.3g} GB read whole"
        )
        raise ConfigError(
            f"memory_gb={limit:g}: {taken}; queries=auto, with more than 50,000 rows of .npy, .npz, .safetensors, "
            ".parquet, .arrow, .csv or shards, reads them block by block"
        )


def check_memory(settings: Mapping[str, Any], names: Iterable[str]) -> None:
    """Require that files fit into the memory that is allowed, as far as that can be told before they are read.

    Args:
        settings: of the command.
        names: of the settings that name files.

    Raises:
        ConfigError: they take more, or cannot be read.
    """
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.arrays import open_array
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.data.formats.table_arrays import TEXTS

    if settings.get("memory_gb") is None:
        return
    choice = ColumnChoice.of(settings["columns"], settings["drop"])
    sizes, shapes = {}, []
    for name in names:
        if settings[name] is not None:
            path = Path(settings[name])
            try:
                key = Key(settings[f"{name}_key"], option=f"{name}_key")
                # The rows of a text table are known once it was converted; those of a file have no other size.
                opened = None if path.suffix.lower() in TEXTS else open_array(path, key, choice)
            except ConfigError as error:
                raise ConfigError(f"{name}={settings[name]}: {error}") from error
            if opened is None:  # the number of rows is not known before
                sizes[name] = path.stat().st_size if path.is_file() else 0
            else:
                shapes.append(_shape(opened[0]))
                sizes[name] = math.prod(shapes[-1])
    check_whole(settings["memory_gb"], sizes, shapes)


def check_blocks(limit: float | None, sources: Mapping[str, "RowSource"]) -> None:
    """Refuse files that are read block by block where what is kept of every row would take more than the limit.

    Raises:
        ConfigError: it would.
    """
    kept = sum(source.shape[0] * PER_ROW for source in sources.values())
    need = at_work(map(_shape, sources.values())) + kept / GB
    if limit is not None and need > limit:
        rows = next(iter(sources.values())).shape[0]
        raise ConfigError(
            f"memory_gb={limit:g}: {rows:,} rows take about {need:.3g} GB read block by block; subsample=… measures "
            "fewer, drawn at random"
        )


def _shape(source: "RowSource") -> Shape:
    """Return what rows take in memory, where half precision is single."""
    import torch

    return *source.shape, 8 if source.dtype == torch.float64 else 4

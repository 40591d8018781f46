"""Keep a measurement within the memory that the user allows it, before anything is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    from intrinsic_clip.dimension.row_source import RowSource

GB = 10**9
PER_ROW = 60  # bytes for a row of a side that is read block by block: its number, length, hash, …; measured
AT_WORK = 1.2  # GB that the program, its libraries and the blocks at work take; measured


def check_whole(limit: float | None, sizes: Mapping[str, int]) -> None:
    """Refuse files that are read whole and would take more than the limit.

    Args:
        limit: GB; None: no limit.
        sizes: bytes of the rows of each side, at least.

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
    need = AT_WORK + sum(sizes.values()) / GB
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
    sizes = {}
    for name in names:
        if settings[name] is not None:
            path = Path(settings[name])
            try:
                key = Key(settings[f"{name}_key"], option=f"{name}_key")
                # The rows of a text table are known once it was converted; those of a file have no other size.
                opened = None if path.suffix.lower() in TEXTS else open_array(path, key, choice)
            except ConfigError as error:
                raise ConfigError(f"{name}={settings[name]}: {error}") from error
            sizes[name] = _size_read_whole(path, None if opened is None else opened[0])
    check_whole(settings["memory_gb"], sizes)


def check_blocks(limit: float | None, sources: Mapping[str, "RowSource"]) -> None:
    """Refuse files that are read block by block where what is kept of every row would take more than the limit.

    Raises:
        ConfigError: it would.
    """
    need = AT_WORK + sum(source.shape[0] * PER_ROW for source in sources.values()) / GB
    if limit is not None and need > limit:
        rows = next(iter(sources.values())).shape[0]
        raise ConfigError(
            f"memory_gb={limit:g}: {rows:,} rows take about {need:.3g} GB read block by block; subsample=… measures "
            "fewer, drawn at random"
        )


def _size_read_whole(path: Path, source: "RowSource | None") -> int:
    """Return the bytes that rows take in memory; those of the file where their number is not known before."""
    import torch

    if source is None:
        return path.stat().st_size if path.is_file() else 0
    rows, columns = source.shape
    return rows * columns * (8 if source.dtype == torch.float64 else 4)

"""Run the verb `apply`: read rows block by block, reduce them, and write them to files of any format."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.unchanged_files import WatchedFiles

if TYPE_CHECKING:
    from torch import Tensor

    from intrinsic_clip.data.formats.row_writers import Ids
    from intrinsic_clip.dimension.row_source import RowSource
    from intrinsic_clip.measurement.projections.reduce import Reduce

SAMPLES = "key"  # column of the names of a shard's samples
OUTPUTS = {"x": "output", "y": "output_y"}
BLOCK = 2**24  # bytes of a block of rows in float64
NOTED = 0.01  # share of the numbers that are not zero, above which it is told that they become too small


def apply(cfg: DictConfig) -> None:
    """Reduce the files that the config names, and print a line for each.

    Raises:
        ConfigError: a setting or a file cannot be used; nothing has been written then.
        OSError: a file cannot be written; no output file has been changed then.
    """
    settings = config.resolve(config.with_home(cfg))
    config.check_apply(settings)
    sides = [side for side in OUTPUTS if settings[side] is not None]
    outputs = {side: Path(settings[OUTPUTS[side]]) for side in sides}
    _check_outputs(settings, outputs)
    import torch

    from intrinsic_clip.measurement.projections.reduce import Reduce

    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    reduce = Reduce.load(settings["projection"])
    files = WatchedFiles({side: settings[side] for side in sides})
    sources, notes = _opened(settings, sides, reduce)
    usable = _usable(sources, files, settings["nan"], notes)
    ids = {side: _ids(settings, side, sources[side], usable, notes) for side in sides}
    notes += _write(reduce, sources, files, outputs, usable, settings["precision"], ids)
    for side, path in outputs.items():
        notes.append(
            f"{side}: {int(usable.sum()):,} rows, {reduce.widths[side]:,} → {reduce.dims:,} columns, {path}"
        )
    print("\n".join(notes), flush=True)


def _check_outputs(settings: Mapping[str, Any], outputs: Mapping[str, Path]) -> None:
    """Check, before anything is read, that the output files can be written and hold nothing of value.

    Raises:
        ConfigError: another extension, no such folder, or a file that exists.
    """
    from intrinsic_clip.data.formats.row_writers import WRITERS

    inputs = {key: settings[key] for key in ("projection", "x", "y") if settings[key] is not None}
    for side, path in outputs.items():
        setting = f"{OUTPUTS[side]}={path}"
        if path.suffix.lower() not in WRITERS:
            raise ConfigError(
                f"{setting}: {path.suffix or 'no'} extension, which is not written; {', '.join(WRITERS)} are"
            )
        if not path.parent.is_dir():
            raise ConfigError(f"{setting}: there is no folder {path.parent}")
        for key, value in inputs.items():
            if os.path.realpath(path) == os.path.realpath(value):
                raise ConfigError(f"{setting}: is {key}, which would be lost; name another file")
        if path.exists() and not settings["overwrite"]:
            raise ConfigError(f"{setting}: exists; overwrite=true replaces it")
    if len({os.path.realpath(path) for path in outputs.values()}) < len(outputs):
        raise ConfigError("output and output_y: must be two files")


def _opened(
    settings: Mapping[str, Any], sides: list[str], reduce: "Reduce"
) -> tuple[dict[str, "RowSource"], list[str]]:
    """Open the files of embeddings, and return them with notes on how they are read."""
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.arrays import open_array, read_array
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.dimension.row_source import TensorRows
    from intrinsic_clip.measurement.paired_files import compared_files
    from intrinsic_clip.measurement.row_counts import check_same_rows

    choice = ColumnChoice.of(settings["columns"], settings["drop"])
    sources: dict[str, RowSource] = {}
    notes: list[str] = []
    for side in sides:
        if side not in reduce.widths:
            raise ConfigError(f"{side}: {settings['projection']} has a projection of x alone")
        path, key = Path(settings[side]), Key(settings[f"{side}_key"], option=f"{side}_key")
        try:
            opened = open_array(path, key, choice)
            if opened is None:
                rows, more = read_array(path, key, choice)
                opened = TensorRows(rows), more
        except ConfigError as error:
            raise ConfigError(f"{side}={path}: {error}") from error
        sources[side] = opened[0]
        notes += [f"{side}: {note}" for note in opened[1]]
        if opened[0].shape[1] != reduce.widths[side]:
            raise ConfigError(
                f"{side}={path}: has {opened[0].shape[1]:,} columns, but {settings['projection']} was fitted to "
                f"{reduce.widths[side]:,} columns of {side}"
            )
    choice.check_matched()
    check_same_rows({side: source.shape for side, source in sources.items()})
    ids = {side: getattr(source, "ids", None) for side, source in sources.items()}
    return sources, [*notes, *compared_files(settings, ids)]


def _usable(sources: Mapping[str, "RowSource"], files: WatchedFiles, nan: str, notes: list[str]) -> "Tensor":
    """Return which rows are finite on all sides, `(n,)`, and note those that are not.

    Raises:
        ConfigError: some are not finite and are not to be dropped, none is left, or a file changed.
    """
    import torch

    from intrinsic_clip.measurement.unusable_rows import DROP, rows_left, unusable

    finite = {
        side: torch.cat([block.isfinite().all(1) for _, block in files.blocks(source, _block(source))])
        for side, source in sources.items()
    }
    usable = torch.stack(list(finite.values())).all(0)
    if bool(usable.all()):
        return usable
    listed = unusable(finite, sources)
    if not bool(usable.any()):
        raise ConfigError(f"{listed}, so no row is left")
    if nan == "refuse":
        raise ConfigError(f"{listed}; {DROP}")
    notes.append(f"{listed}; {rows_left(usable, sources)}")
    return usable


def _ids(
    settings: Mapping[str, Any], side: str, source: "RowSource", usable: "Tensor", notes: list[str]
) -> "Ids":
    """Return what names the rows that are written, and note where they go, or that the output has no room for them."""
    import numpy as np

    from intrinsic_clip.data.formats.row_ids import ids_as_written
    from intrinsic_clip.data.formats.row_writers import WITH_IDS

    path, output = Path(settings[side]), Path(settings[OUTPUTS[side]])
    names = getattr(source, "ids", None)
    # drop=… says that columns are no dimensions; they name the rows all the same
    found = ids_as_written(path) if names is None else {SAMPLES: np.array(names)}
    ids = {name: values[usable.numpy()] for name, values in found.items() if len(values) == len(usable)}
    if not ids:
        return {}
    listed = ", ".join(repr(name) for name in ids)
    if output.suffix.lower() in WITH_IDS:
        notes.append(f"{side}: {listed} of each row goes into {output}, too")
        return ids
    notes.append(
        f"{side}: {listed} of each row is not kept, since {output.suffix} has no room for it; "
        f"{', '.join(WITH_IDS[:-1])} and {WITH_IDS[-1]} have"
    )
    return {}


def _write(
    reduce: "Reduce",
    sources: Mapping[str, "RowSource"],
    watched: WatchedFiles,
    outputs: Mapping[str, Path],
    usable: "Tensor",
    precision: str,
    ids: Mapping[str, "Ids"],
) -> list[str]:
    """Write the reduced rows of all sides; the files take their places once all are whole; return notes.

    Raises:
        ConfigError: numbers are too large for the precision, or a file that is read changed; nothing is written then.
    """
    from intrinsic_clip.data.formats.row_writers import writing_rows

    shape, notes = (int(usable.sum()), reduce.dims), []
    with ExitStack() as files:
        for side, source in sources.items():
            add = files.enter_context(writing_rows(outputs[side], shape, precision, side, ids[side]))
            lost = nonzero = 0
            for start, block in watched.blocks(source, _block(source)):
                exact = reduce.transform(block[usable[start : start + len(block)]].double(), side)
                reduced, small = _narrowed(exact, precision, side)
                lost, nonzero = lost + small, nonzero + int(exact.count_nonzero())
                add(reduced.numpy())
            if lost > NOTED * nonzero:
                notes.append(
                    f"{side}: {100 * lost / nonzero:.2g} % of the numbers that are not zero are too small for "
                    f"precision={precision}, and lose digits or become zero; a wider one holds them"
                )
        watched.check()
    return notes


def _narrowed(exact: "Tensor", precision: str, side: str) -> tuple["Tensor", int]:
    """Return numbers in a precision, and how many that are not zero become zero or subnormal.

    Raises:
        ConfigError: some are too large for it.
    """
    import torch

    kind = getattr(torch, precision)
    reduced = exact.to(kind)
    if not bool(reduced.isfinite().all()):
        raise ConfigError(
            f"precision={precision}: numbers of {side} are too large for it; a wider one holds them"
        )
    small = (exact != 0) & (reduced.abs() < torch.finfo(kind).tiny)
    return reduced, int(small.sum())


def _block(source: "RowSource") -> int:
    """Return the number of rows to read at a time."""
    return max(1, BLOCK // (8 * source.shape[1]))

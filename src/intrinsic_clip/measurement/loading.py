"""Load embeddings from files, a data source, a pretrained model on a data source, or a finished run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.measurement import group_files
from intrinsic_clip.measurement.paired_files import compared_files
from intrinsic_clip.measurement.row_counts import GROUPS, check_same_rows
from intrinsic_clip.runs.addresses import is_ours, with_contents, without_places, without_storage
from intrinsic_clip.runs.contents import digest, source_digest, weights_digest
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.run_folder import run_digest

if TYPE_CHECKING:  # PyTorch takes seconds to import, and a finished measurement does without
    from torch import Tensor

    from intrinsic_clip.data.formats.paired_ids import Ids
    from intrinsic_clip.dimension.row_source import RowSource
    from intrinsic_clip.measurement.groups import Arrangement, Grouping
    from intrinsic_clip.measurement.unusable_rows import Needed

NOT_CONTENT = {
    "output_dir",
    "logger",
    "threads",
    "progress",
    "device",
    "memory_gb",
    "export",
    "export_dims",
    "export_basis",
    "export_whiten",
    "check",
    "check_junit",
    "check_json",
}  # settings that cannot change the numbers
LATER = {
    "groups": None,
    "groups_key": None,
    "labels": None,
    "labels_key": None,
    "subsample": None,
    "columns": None,
    "drop": None,
    "queries": "auto",
    "against": None,
    "against_y": None,
    "against_key": None,
    "against_y_key": None,
}  # unset, they leave measurements valid that were made without them
FILES = ("x", "y")
HASHED = (*FILES, "against", "against_y")


@dataclass
class LoadedEmbeddings:
    """Embeddings to measure.

    Attributes:
        sides: `(n, d)` each: x, perhaps y, perhaps the true latent z; rows i belong together.
        notes: choices made while loading, a sentence each.
        numbers: the rows' numbers in their source, int64 `(n,)`; None where all rows are there.
        total: rows in the source, with those that are left out.
        nonfinite: rows of each side's file that held NaN or infinity and were left out.
        grouping: groups and classes of the rows; None where there are none.
        arrangement: how the ids of the files make pairs of their rows; None where they have none.
        as_read: rows of each file, before groups make pairs of them.
        columns: what `drop=` calls the columns of each side that is a table.
    """

    sides: dict[str, "Tensor"]
    notes: list[str] = field(default_factory=list)
    numbers: "Tensor | None" = None
    total: int = 0
    nonfinite: dict[str, int] = field(default_factory=dict)
    grouping: "Grouping | None" = None
    arrangement: "Arrangement | None" = None
    as_read: dict[str, int] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def keep(self, rows: "Tensor") -> None:
        """Keep some of the rows.

        Args:
            rows: a mask `(n,)`, or their places.
        """
        import torch

        n = len(self.sides["x"])
        self.numbers = (torch.arange(n) if self.numbers is None else self.numbers)[rows]
        self.sides = {name: side[rows] for name, side in self.sides.items()}
        self.grouping = None if self.grouping is None else self.grouping.at(rows)


@dataclass
class OpenedFiles:
    """Files with more rows than are compared all with all, which are read as they are needed.

    Attributes:
        sources: x and perhaps y.
        notes: choices made while opening, a sentence each.
        columns: what `drop=` calls the columns of each side that is a table.
    """

    sources: dict[str, "RowSource"]
    notes: list[str] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)


def as_other_files(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return the names under which files of the same content were read before, where they are not those given."""
    sides = ("x", "y", "against", "against_y")
    other = [f"{side}={stored[side]}" for side in sides if str(stored.get(side)) != str(settings.get(side))]
    return f", as {' '.join(other)} of the same content" if other else ""


def folder_of(settings: Mapping[str, Any], verb: str = "measure") -> Path:
    """Return `<output_dir>/<verb>/<hash>`; the hash is of the settings and of the files' contents, not their names.

    Raises:
        ConfigError: a file or a run does not exist.
    """
    unset = {key for key, value in LATER.items() if settings.get(key, value) in (None, value)}
    content = {key: value for key, value in settings.items() if key not in NOT_CONTENT | unset}
    for key in HASHED:
        if settings.get(key) is not None:
            content[key] = [Path(settings[key]).suffix, source_digest(key, settings[key])]
    content |= group_files.contents(settings)
    if settings["run"] is not None:
        content["run"] = run_digest(settings["run"])
    if settings["data"] is not None:
        data = without_storage(settings["data"])
        content["data"] = with_contents(data, "data", Path(settings["output_dir"]))
    if settings["encoder"] is not None and not is_ours(settings["encoder"]):
        content["encoder"] = with_contents(settings["encoder"], "encoder", Path(settings["output_dir"]))
    elif settings["encoder"] is not None:
        local = {key: weights_digest(settings["encoder"].get(key)) for key in ("model", "pretrained")}
        ignored = {"batch_size": None, "device": None, "trainable": None, "output_dim": None}
        content["encoder"] = {**settings["encoder"], **ignored, **local}
    return Path(settings["output_dir"]) / verb / digest(without_places(content))


def with_images(cfg: DictConfig) -> DictConfig:
    """Return the config with images in place of features where a model of images and captions embeds the data."""
    if cfg.get("encoder") is not None and cfg.get("data") is not None and "images" in cfg.data:
        cfg.data.images = True
    return cfg


def load(
    cfg: DictConfig,
    settings: Mapping[str, Any],
    needed: "Needed | None" = None,
    first: LoadedEmbeddings | None = None,
) -> LoadedEmbeddings:
    """Load the embeddings that the settings name, and check them.

    Args:
        cfg: the config, from which data and models are made.
        settings: the same, resolved.
        needed: the rows that a verb needs; None: those that k asks for.
        first: another model's embeddings of the same rows, whose groups and classes are those of these. Where its files
            have other numbers of rows, what was read is returned as it is, for the caller to refuse.

    Raises:
        ConfigError: they cannot be read or measured; the message names the setting.
    """
    from intrinsic_clip.measurement.unusable_rows import drop_or_refuse, for_neighbours

    if settings["run"] is not None:
        embeddings = _from_run(Path(settings["run"]))
    elif settings["data"] is not None:
        embeddings = _from_data(cfg, settings)
    else:
        embeddings = _from_files(settings)
        if first is not None and embeddings.as_read != first.as_read:
            return embeddings
        group_files.arranged(embeddings, settings, None if first is None else first.arrangement)
    check_same_rows({name: (len(rows), rows.shape[1]) for name, rows in embeddings.sides.items()}, GROUPS)
    needed = needed or for_neighbours(settings["k"])
    embeddings.total = len(embeddings.sides["x"])
    drop_or_refuse(embeddings, settings["nan"], needed)
    needed.check(len(embeddings.sides["x"]))
    return embeddings


def open_files(settings: Mapping[str, Any]) -> OpenedFiles | None:
    """Open files whose rows are to be read block by block, since only some of them ask for their neighbours.

    Returns:
        None where every row is to be asked, or a file must be read whole.

    Raises:
        ConfigError: a file cannot be read; the message names the setting.
    """
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.arrays import open_array
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.data.formats.unpacked_rows import unpacked
    from intrinsic_clip.dimension.queries import every_one
    from intrinsic_clip.measurement.memory_limit import check_blocks

    if settings["x"] is None or settings["queries"] == "all" or settings["subsample"] is not None:
        return None
    if group_files.wanted(settings):
        return None
    choice = ColumnChoice.of(settings["columns"], settings["drop"])
    files = OpenedFiles({})
    for name in FILES:
        if settings[name] is None:
            continue
        try:
            key = Key(settings[f"{name}_key"], option=f"{name}_key")
            opened = open_array(Path(settings[name]), key, choice)
        except ConfigError as error:
            raise ConfigError(f"{name}={settings[name]}: {error}") from error
        if opened is None or every_one(settings["queries"], opened[0].shape[0]):
            return None
        files.sources[name] = unpacked(opened[0], str(settings[name]))
        files.notes += [f"{name}: {note}" for note in opened[1]]
        files.columns[name], choice.read = choice.read, []
    choice.check_matched()
    files.notes += compared_files(
        settings, {side: getattr(s, "ids", None) for side, s in files.sources.items()}
    )
    check_blocks(settings.get("memory_gb"), files.sources)
    check_same_rows({name: source.shape for name, source in files.sources.items()}, GROUPS)
    return files


def _from_files(settings: Mapping[str, Any]) -> LoadedEmbeddings:
    from intrinsic_clip.data.formats.array_key import Key
    from intrinsic_clip.data.formats.arrays import read_named
    from intrinsic_clip.data.formats.column_choice import ColumnChoice
    from intrinsic_clip.measurement.memory_limit import check_memory

    check_memory(settings, FILES)
    choice = ColumnChoice.of(settings["columns"], settings["drop"])
    group_files.leave_out_ids(choice, settings)
    embeddings = LoadedEmbeddings({})
    ids: dict[str, Ids] = {}
    for name in FILES:
        if settings[name] is None:
            continue
        try:
            key = Key(settings[f"{name}_key"], option=f"{name}_key")
            rows, notes, ids[name] = read_named(Path(settings[name]), key, choice)
        except ConfigError as error:
            raise ConfigError(f"{name}={settings[name]}: {error}") from error
        embeddings.sides[name], embeddings.as_read[name] = rows, len(rows)
        embeddings.notes += [f"{name}: {note}" for note in notes]
        embeddings.columns[name], choice.read = choice.read, []
    choice.check_matched()
    embeddings.notes += compared_files(settings, ids)
    return embeddings


def source_rows(cfg: DictConfig, split: str) -> tuple[Any, "Tensor", "Tensor"]:
    """Return the model that `encoder` names, loaded, and the rows of the data source on both sides.

    Args:
        cfg: the config, from which both are instantiated.
        split: all, train or test.

    Raises:
        ConfigError: one of them cannot be built or read.
    """
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        data = instantiate(cfg.data)
        encoder = instantiate(cfg.encoder) if cfg.get("encoder") is not None else None
        if encoder is not None:
            encoder.load()  # before the data, which may take longer to read
        data.read()
    except (InstantiationException, ValueError) as error:
        raise ConfigError(str(error.__cause__ or error).splitlines()[0]) from error
    splits = ("train", "append", "test") if split == "all" else (split,)
    pairs = [data.pairs(part) for part in splits]
    x, y = (torch.cat([getattr(part, side) for part in pairs], pairs[0].row_axis) for side in FILES)
    return encoder, x, y


def _from_data(cfg: DictConfig, settings: Mapping[str, Any]) -> LoadedEmbeddings:
    encoder, x, y = source_rows(cfg, settings["split"])
    if encoder is not None:
        x, y = encoder.embed(x, y, settings["progress"])
    if x.ndim != 2 or y.ndim != 2:
        raise ConfigError(
            f"data: rows of shapes {tuple(x.shape[1:])} and {tuple(y.shape[1:])} are not embeddings; "
            "encoder=open_clip embeds images and captions"
        )
    return LoadedEmbeddings({"x": x, "y": y})


def _from_run(folder: Path) -> LoadedEmbeddings:
    """Load the held-out embeddings of a finished training's first replicate, and its true latent if it is known."""
    import torch

    try:
        run = Run.load(folder)
        replicates = run.replicates
    except (Unfinished, LookupError) as error:
        raise ConfigError(f"run={folder}: not a finished run ({error})") from error
    try:
        stored = run.embeddings()
    except ConfigError as error:
        raise ConfigError(f"run={folder}: {str(error).removeprefix(f'{folder}/')}") from error
    arrays = {"x": stored.x, "y": stored.y, "z": stored.z}
    embeddings = LoadedEmbeddings({name: torch.from_numpy(a) for name, a in arrays.items() if a is not None})
    if stored.further:
        names = ", ".join(["x", "y", *stored.further])
        embeddings.notes.append(f"of the run's modalities {names} the first two are measured")
    if len(replicates) > 1:
        d, index = replicates.labels()[0]
        width = "" if d is None else f"output dimension {d}, "
        embeddings.notes.append(
            f"of the run's {len(replicates)} replicates the first is measured: {width}number {index}"
        )
    return embeddings


def subsample(embeddings: LoadedEmbeddings, rows: int | None, seed: int) -> None:
    """Keep that many rows, drawn at random and with their partners, in their order; None keeps all.

    They are drawn by their numbers in the source, so that two models of which other rows are left out keep the same.
    """
    import torch

    from intrinsic_clip.seeding import drawn_order

    n = len(embeddings.sides["x"])
    if rows is None or rows >= n:
        return
    numbers = embeddings.numbers
    there = torch.ones(n, dtype=torch.bool)
    if numbers is not None:
        there = torch.zeros(embeddings.total, dtype=torch.bool).index_fill(0, numbers, True)
    chosen = drawn_order(there, seed)[:rows].sort().values
    embeddings.keep(chosen if numbers is None else torch.searchsorted(numbers, chosen))
    embeddings.notes.append(f"subsample={rows}: {rows:,} of {n:,} rows are measured, drawn with seed={seed}")

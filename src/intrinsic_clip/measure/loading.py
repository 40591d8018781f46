"""Where the embeddings come from: files, a data source, a pretrained model on a data source, or a finished run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import hashing, results, stored_embeddings
from intrinsic_clip.runs.hashing import file_digest, weights_digest

if TYPE_CHECKING:  # PyTorch takes seconds to import: what is measured already does not wait for it
    from torch import Tensor

SHOWN_ONLY = {"output_dir", "logger", "threads", "progress"}  # what cannot change the numbers
FILES = ("x", "y")


@dataclass
class Given:
    """Embeddings to measure.

    Attributes:
        embeddings: `(n, d)` each: x, perhaps y, perhaps the true latent z; rows belong together.
        notes: what was decided on the way, a sentence each.
    """

    embeddings: dict[str, "Tensor"]
    notes: list[str] = field(default_factory=list)


def folder_of(settings: Mapping[str, Any]) -> Path:
    """`<output_dir>/measure/<hash>`; the hash is of the settings and of what is in the files, not of their names.

    Raises:
        ConfigError: a file or a run that is not there.
    """
    content = {key: value for key, value in settings.items() if key not in SHOWN_ONLY}
    for key in FILES:
        if settings[key] is not None:
            content[key] = [Path(settings[key]).suffix, file_digest(key, Path(settings[key]))]
    if settings["run"] is not None:
        content["run"] = file_digest("run", Path(settings["run"]) / stored_embeddings.EMBEDDINGS)
    if settings["encoder"] is not None:
        local = {key: weights_digest(settings["encoder"].get(key)) for key in ("model", "pretrained")}
        ignored = {"batch_size": None, "device": None, "trainable": None, "output_dim": None}
        content["encoder"] = {**settings["encoder"], **ignored, **local}
    return Path(settings["output_dir"]) / "measure" / hashing.digest(content)


def load(cfg: DictConfig, settings: Mapping[str, Any]) -> Given:
    """The embeddings that the settings ask for, checked.

    Raises:
        ConfigError: with one line that says what is wrong with which of them.
    """
    if settings["run"] is not None:
        given = _from_run(Path(settings["run"]))
    elif settings["data"] is not None:
        given = _from_data(cfg, settings)
    else:
        given = _from_files(settings)
    _check_rows(given, settings)
    _drop_or_refuse(given, settings["nan"])
    _check_size(given, settings["k"])
    return given


def _from_files(settings: Mapping[str, Any]) -> Given:
    from intrinsic_clip.data.formats.arrays import Key, read_array

    given = Given({})
    for name in FILES:
        if settings[name] is None:
            continue
        try:
            rows, notes = read_array(Path(settings[name]), Key(settings[f"{name}_key"], option=f"{name}_key"))
        except ConfigError as error:
            raise ConfigError(f"{name}={settings[name]}: {error}") from error
        given.embeddings[name] = rows
        given.notes += [f"{name}: {note}" for note in notes]
    return given


def _from_data(cfg: DictConfig, settings: Mapping[str, Any]) -> Given:
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        data = instantiate(cfg.data)
        encoder = instantiate(cfg.encoder) if settings["encoder"] is not None else None
    except (InstantiationException, ValueError) as error:
        raise ConfigError(str(error.__cause__ or error).splitlines()[0]) from error
    splits = ("train", "append", "test") if settings["split"] == "all" else (settings["split"],)
    pairs = [data.pairs(split) for split in splits]
    x, y = (torch.cat([getattr(part, side) for part in pairs], pairs[0].row_axis) for side in FILES)
    if encoder is not None:
        x, y = encoder.embed(x, y, settings["progress"])
    if x.ndim != 2 or y.ndim != 2:
        raise ConfigError(
            f"data: rows of shapes {tuple(x.shape[1:])} and {tuple(y.shape[1:])} are no embeddings; "
            "encoder=open_clip makes some of images and captions"
        )
    return Given({"x": x, "y": y})


def _from_run(folder: Path) -> Given:
    """The held-out representations of a finished training's first replicate, and its true latent if it is known."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from intrinsic_clip.runs.replicates import Replicates

    completed = results.read_completed(folder)
    if completed is None:
        raise ConfigError(f"run={folder}: not a finished run, since it has no valid {results.RESULTS}")
    try:
        tensors = load_file(folder / stored_embeddings.EMBEDDINGS)
        embeddings: dict[str, Tensor] = {
            name: _first(tensors[name]) for name in ("x", "y", "z") if name in tensors
        }
        replicates = Replicates.of(completed["config"])
    except (SafetensorError, LookupError) as error:
        raise ConfigError(f"run={folder}: {stored_embeddings.EMBEDDINGS} is damaged ({error})") from error
    given = Given(embeddings)
    d, index = next(iter(replicates.labels()))
    if d is not None:  # narrower ones are filled with zeros up to the widest
        given.embeddings |= {side: embeddings[side][:, :d] for side in FILES}
    if len(replicates) > 1:
        of_d = "" if d is None else f"output dimension {d}, "
        given.notes.append(
            f"of the run's {len(replicates)} replicates the first is measured: {of_d}number {index}"
        )
    return given


def _first(tensor: "Tensor") -> "Tensor":
    return tensor.reshape(-1, *tensor.shape[-2:])[0]


def _check_rows(given: Given, settings: Mapping[str, Any]) -> None:
    counts = {name: len(rows) for name, rows in given.embeddings.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {count:,} rows" for name, count in counts.items())
        raise ConfigError(f"{told}; row i of each must belong together")


def _drop_or_refuse(given: Given, nan: str) -> None:
    """Rows with NaN or infinity are refused, or left out together with their partners."""
    import torch

    finite = {name: rows.isfinite().all(1) for name, rows in given.embeddings.items()}
    whole = torch.stack(list(finite.values())).all(0)
    if bool(whole.all()):
        return
    told = ", ".join(
        f"{int((~rows).sum()):,} of {len(rows):,} rows of {name}"
        for name, rows in finite.items()
        if not rows.all()
    )
    if nan == "refuse":
        raise ConfigError(f"{told} hold NaN or infinity; nan=drop leaves them out (with their partners)")
    given.embeddings = {name: rows[whole] for name, rows in given.embeddings.items()}
    given.notes.append(f"{told} hold NaN or infinity; {int(whole.sum()):,} rows are left")


def _check_size(given: Given, k: int) -> None:
    n = len(given.embeddings["x"])
    if n < k + 1:
        raise ConfigError(f"{n:,} rows are too few for k={k} neighbours; there must be at least {k + 1}")

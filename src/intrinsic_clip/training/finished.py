"""Load the encoders of a finished run from its checkpoints, with the rows that it held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs.chunk_folders import chunk_folders
from intrinsic_clip.runs.results import CHECKPOINT
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training import chunks
from intrinsic_clip.training.build import Training, build
from intrinsic_clip.training.checkpoints import read_checkpoint

Encoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FinishedPair:
    """Encoders of a finished run that share their data.

    Attributes:
        f, g: map rows `(n, *input)`, or `(S, n, *input)`, to outputs `(S, n, d)` of S replicates.
        x, y: rows that were held out.
        on_sphere: whether the run compares outputs by their cosine.
        notes: what was chosen, a sentence each.
    """

    f: Encoder
    g: Encoder
    x: Tensor
    y: Tensor
    on_sphere: bool
    notes: list[str]


def load_pair(folder: Path) -> FinishedPair:
    """Load the encoders of a run, at their largest output dimension where there are several.

    Replicates with data of their own, as synthetic data are, have no common inputs: then the first alone is loaded.

    Raises:
        ConfigError: the run is not finished, or its checkpoint or data are missing, damaged or do not fit.
    """
    try:
        run = Run.load(folder)
        spec = _spec({**run.settings, "threads": None})
        trainings = _trainings(spec, folder)
    except (Unfinished, LookupError) as error:
        raise ConfigError(f"run={folder}: not a finished run ({error})") from error
    first, notes = trainings[0], []
    pairs = first.data.pairs("test")
    axes = pairs.row_axis % pairs.x.ndim
    x, y = (side[(0,) * axes] if axes else side for side in (pairs.x, pairs.y))
    replicates = first.module.replicates
    place: int | None = None
    if replicates.output_dims is not None:
        place = replicates.output_dims.index(max(replicates.output_dims))
        notes.append(f"run: of its output dimensions the largest is read, {max(replicates.output_dims)}")
    only_first = axes > 0 and len(replicates.indices or ()) > 1
    if only_first:
        notes.append("run: each replicate has data of its own, so the first alone is read")
        trainings = trainings[:1]
    f, g = (
        _together(
            [
                _Selected(getattr(t.module, name), t.module.replicates.shape, place, only_first)
                for t in trainings
            ],
            rows.ndim,
        )
        for name, rows in (("f", x), ("g", y))
    )
    return FinishedPair(f, g, x, y, not first.module.similarity.needs_population, notes)


def _trainings(spec: RunSpec, folder: Path) -> list[Training]:
    """Build the run, or each of its chunks, and give it its final weights."""
    parts = [(spec, folder)]
    if not (folder / CHECKPOINT).exists():
        indices = list(spec.replicates.indices or (0,))
        begun = chunks.begun_with(folder, indices) or [indices]
        folders = chunk_folders(folder, begun) if len(begun) > 1 else [folder]
        parts = [(_with(spec, part), path) for part, path in zip(begun, folders, strict=True)]
    missing = [path for _, path in parts if not (path / CHECKPOINT).exists()]
    if missing:
        raise ConfigError(
            f"run={folder}: {missing[0] / CHECKPOINT} is missing, which holds the encoders' weights"
        )
    return [_with_weights(build(part), path / CHECKPOINT) for part, path in parts]


def _spec(settings: dict[str, Any]) -> RunSpec:
    return RunSpec(config.as_config(settings), settings)


def _with(spec: RunSpec, indices: Sequence[int]) -> RunSpec:
    settings = {**spec.settings, "replicates": list(indices) if spec.replicates.indices is not None else None}
    return replace(spec, cfg=config.as_config(settings), settings=settings)


def _with_weights(training: Training, path: Path) -> Training:
    weights = read_checkpoint(path)["state_dict"]
    try:
        training.module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"{path}: of another model") from error
    training.module.eval().requires_grad_(False)
    return training


@dataclass(frozen=True)
class _Selected:
    """One side's encoder, whose outputs have one axis of replicates.

    Attributes:
        module: the encoder.
        shape: its R.
        place: on the axis of output dimensions; None: there is none.
        only_first: whether the first replicate alone is wanted.
    """

    module: nn.Module
    shape: tuple[int, ...]
    place: int | None
    only_first: bool

    @property
    def count(self) -> int:
        """Number of replicates."""
        return 1 if self.only_first or not self.shape else self.shape[-1]

    def __call__(self, rows: Tensor) -> Tensor:
        outputs = self.module(rows)
        if self.place is not None:
            outputs = outputs[self.place]
        return outputs[:1] if self.only_first else outputs


def _together(encoders: Sequence[_Selected], row_axes: int) -> Encoder:
    """Return the encoders of chunks as one, whose replicates are those of all.

    Args:
        encoders: of one side.
        row_axes: of `(n, *input)`.
    """
    counts = [each.count for each in encoders]

    def outputs(rows: Tensor) -> Tensor:
        parts = [rows] * len(counts) if rows.ndim == row_axes else rows.split(counts)
        return torch.cat([encoder(part) for encoder, part in zip(encoders, parts, strict=True)])

    return encoders[0] if len(encoders) == 1 else outputs

"""Write and read embeddings.safetensors, the held-out representations of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from intrinsic_clip.errors import ConfigError, system_reason
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import REMEDY
from intrinsic_clip.runs.sealed import Damaged, check_bytes

EMBEDDINGS = "embeddings.safetensors"
MAX_BYTES = 2**28  # of all replicates together; if they are larger, only the first replicate's are kept
LABEL, FURTHER, LATENT = "label_", "further_", "latent_"  # beginnings of names
SIDES = ("x", "y", "x_raw", "y_raw")


@dataclass(frozen=True)
class StoredEmbeddings:
    """Held-out representations of one training.

    Attributes:
        x, y: representations as the loss sees them, `(n, d)`.
        x_raw, y_raw: the encoders' own outputs, `(n, d)`.
        z: the true latent `(n, k*)`, where it is known.
        labels: label sets by name, `(n,)`.
        further: representations of further modalities as the loss sees them, by name, `(n, d)`.
        latents: blocks of the true latent by the modalities that share them, where they are known, `(n, k)`.
    """

    x: NDArray[np.floating]
    y: NDArray[np.floating]
    x_raw: NDArray[np.floating]
    y_raw: NDArray[np.floating]
    z: NDArray[np.floating] | None = None
    labels: dict[str, NDArray[np.integer]] = field(default_factory=dict)
    further: dict[str, NDArray[np.floating]] = field(default_factory=dict)
    latents: dict[str, NDArray[np.floating]] = field(default_factory=dict)


def write_embeddings(folder: Path, arrays: Mapping[str, np.ndarray], replicated: bool) -> None:
    """Write embeddings `(*R, n, d)` by name, or the first replicate's where all together are large.

    Args:
        folder: the run folder.
        arrays: x, y, x_raw, y_raw, and z where it is known `(*R, n, ·)`; label sets as `label_<set>`, `(n,)`; further
            modalities as `further_<name>` and `further_<name>_raw`; blocks of the latent as `latent_<modalities>`.
        replicated: whether R has a last axis of replicates.
    """
    if replicated and sum(array.nbytes for array in arrays.values()) > MAX_BYTES:
        arrays = {
            name: array[..., :1, :, :] if array.ndim > 2 and not name.startswith(LABEL) else array
            for name, array in arrays.items()
        }
    write_atomically(folder / EMBEDDINGS, save({n: np.ascontiguousarray(a) for n, a in arrays.items()}))


def read_embeddings(
    folder: Path, replicates: Replicates, expected: Mapping[str, Any] | None = None
) -> dict[tuple[int | None, int | None], StoredEmbeddings]:
    """Return the embeddings that a run kept, by (output dimension, replicate index) as in `Replicates.labels()`.

    The zeros that fill narrow representations up to the widest are cut off.

    Args:
        folder: the run folder.
        replicates: of the run.
        expected: the fingerprint of the file in results.json; None: the run is of version 0.

    Raises:
        ConfigError: the file is missing, damaged, or of another run.
    """
    arrays = _load(folder, expected)
    labels = replicates.labels()
    try:
        if len({arrays[name].shape[-2] for name in SIDES}) > 1:
            raise ValueError("the sides differ in their numbers of rows")
        count = int(np.prod(arrays["x"].shape[:-2], dtype=int))
        first = labels[0][1]
        kept = labels if count == len(labels) else [label for label in labels if label[1] == first]
        return {label: _training(arrays, place, len(kept), label[0]) for place, label in enumerate(kept)}
    except (LookupError, ValueError) as error:
        raise ConfigError(f"{folder / EMBEDDINGS}: damaged, or of another run ({error})") from error


def join_embeddings(
    folders: Sequence[Path], folder: Path, expected: Sequence[Mapping[str, Any] | None] | None = None
) -> None:
    """Write the embeddings of a run from those of its chunks, in the order of their replicates.

    Args:
        folders: of the chunks.
        folder: the run folder.
        expected: the fingerprint of each chunk's embeddings; None: of version 0.

    Raises:
        ConfigError: the embeddings of a chunk are missing or damaged.
    """
    parts = [_load(*part) for part in zip(folders, expected or [None] * len(folders), strict=True)]
    joined = {
        name: array
        if name.startswith(LABEL) or array.ndim < 3
        else np.concatenate([part[name] for part in parts], axis=-3)
        for name, array in parts[0].items()
    }
    write_atomically(folder / EMBEDDINGS, save(joined))


def _load(folder: Path, expected: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    path = folder / EMBEDDINGS
    try:
        data = path.read_bytes()
        check_bytes(path, data, expected, REMEDY)
        return load(data)
    except OSError as error:
        raise ConfigError(f"{path}: {system_reason(error)}") from error
    except Damaged:
        raise
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise Damaged(path, " ".join(str(error).split()), REMEDY) from error


def _training(arrays: Mapping[str, np.ndarray], place: int, count: int, d: int | None) -> StoredEmbeddings:
    """Return the embeddings of one training among `count` that were kept, without the columns beyond d."""

    def side(name: str) -> np.ndarray:
        rows = arrays[name].reshape(count, *arrays[name].shape[-2:])
        return rows[place, :, :d]

    def latent(array: np.ndarray) -> np.ndarray:  # replicates have their own, output dimensions share it
        latents = array.reshape(-1, *array.shape[-2:])
        return latents[place % len(latents)]

    z = arrays.get("z")
    by_name: dict[str, dict[str, np.ndarray]] = {
        start: {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        for start in (LABEL, FURTHER, LATENT)
    }
    return StoredEmbeddings(
        side("x"),
        side("y"),
        side("x_raw"),
        side("y_raw"),
        None if z is None else latent(z),
        by_name[LABEL],
        {name: side(FURTHER + name) for name in by_name[FURTHER] if not name.endswith("_raw")},
        {name: latent(array) for name, array in by_name[LATENT].items()},
    )

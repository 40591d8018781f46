"""Write and read the file of a projection: a .safetensors with its tensors and, as metadata, its origin."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError, first_line, system_reason
from intrinsic_clip.metrics.projection_promise import Promise, PromisedProjection
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.regular_files import require_regular

FORMAT, VERSION = "intrinsic-clip projection", 1
SUFFIX = ".safetensors"
HELD_OUT, CORRELATIONS = "held_out_rows", "correlations"
SIDES = ("x", "y")


@dataclass(frozen=True)
class Provenance:
    """Kind and origin of a projection.

    Attributes:
        method: "principal" or "canonical".
        dims: dimensions kept.
        unit_rows: whether rows are scaled to length 1 before the mean is subtracted.
        whitened: whether each dimension has the mean square 1 over the rows fitted on.
        fitted_rows: rows, or pairs, that it was fitted on.
        promise: what it keeps of rows that it was not fitted on.
        sources: names and content digests of what the rows were read from, by side or by kind.
        measurement: the address of the measurement that advised it.
        package: name and version of the program that wrote it.
        date: of the writing, in UTC.
    """

    method: Literal["principal", "canonical"]
    dims: int
    unit_rows: bool
    whitened: bool
    fitted_rows: int
    promise: Promise
    sources: dict[str, dict[str, str]]
    measurement: str
    package: str
    date: str


@dataclass(frozen=True)
class StoredProjection:
    """The content of a file.

    Attributes:
        means, bases: `(d,)` and `(d, m)` by side, x and perhaps y; float32.
        held_out: numbers of the rows, from 0 in the files it was fitted to, that the promise was measured on.
        correlations: of the canonical dimensions, `(m,)`; None for principal ones.
        provenance: what it is, and where it comes from.
    """

    means: dict[str, Tensor]
    bases: dict[str, Tensor]
    held_out: Tensor
    correlations: Tensor | None
    provenance: Provenance


def write_projection(
    path: Path, promised: PromisedProjection, held_out: Tensor, provenance: Provenance
) -> None:
    """Write the file in one step.

    Args:
        path: of the file.
        promised, held_out, provenance: as for `stored`.

    Raises:
        OSError: it cannot be written.
    """
    write_stored(path, stored(promised, held_out, provenance))


def stored(promised: PromisedProjection, held_out: Tensor, provenance: Provenance) -> StoredProjection:
    """Return what the file of a projection holds.

    Args:
        promised: the maps, of single precision.
        held_out: numbers of the held-out rows in the files that they were read from.
        provenance: of the maps.
    """
    contiguous = torch.contiguous_format
    return StoredProjection(
        {side: each.mean.float().contiguous() for side, each in promised.sides.items()},
        {side: each.basis.float().clone(memory_format=contiguous) for side, each in promised.sides.items()},
        held_out.to(torch.int64).contiguous(),
        None if promised.correlations is None else promised.correlations.float().contiguous(),
        provenance,
    )


def write_stored(path: Path, projection: StoredProjection) -> None:
    """Write the file of a projection in one step.

    Raises:
        OSError: it cannot be written.
    """
    tensors: dict[str, Tensor] = {HELD_OUT: projection.held_out}
    for side in projection.means:
        tensors |= {f"{side}.mean": projection.means[side], f"{side}.basis": projection.bases[side]}
    if projection.correlations is not None:
        tensors[CORRELATIONS] = projection.correlations
    facts = asdict(projection.provenance).items()
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts}
    metadata = {"format": FORMAT, "version": str(VERSION), **texts, "checksum": _checksum(tensors)}
    write_atomically(path, save({name: each.clone() for name, each in tensors.items()}, metadata))


def read_projection(path: Path) -> StoredProjection:
    """Read a file that `write_projection` wrote.

    Raises:
        ConfigError: it cannot be read, is damaged, or is another file.
    """
    metadata, tensors = _content(path)
    if metadata["version"] != str(VERSION):
        raise ConfigError(
            f"{path}: a projection of version {metadata['version']}, of which this program reads {VERSION}; "
            f"{metadata.get('package', 'a later one')} wrote it"
        )
    if metadata.get("checksum") != _checksum(tensors):
        raise ConfigError(f"{path}: damaged: its numbers are not those that were written; export it again")
    try:
        provenance = _provenance(metadata)
        sides = [side for side in SIDES if f"{side}.basis" in tensors]
        means, bases = ({side: tensors[f"{side}.{part}"] for side in sides} for part in ("mean", "basis"))
        shapes_fit = all(means[s].shape == bases[s].shape[:1] for s in sides)
        if not sides or not shapes_fit or {bases[s].shape[1] for s in sides} != {provenance.dims}:
            raise ValueError("its tensors do not fit together")
        return StoredProjection(means, bases, tensors[HELD_OUT], tensors.get(CORRELATIONS), provenance)
    except (LookupError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: damaged ({first_line(error)}); export it again") from error


def check_export_path(path: Path, option: str = "export") -> None:
    """Check, before anything is measured, that a projection can be written there; `option` names it in messages.

    Raises:
        ConfigError: another extension, no such folder or a read-only one, or a file that is no projection.
    """
    setting = f"{option}={path}"
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"{setting}: must end in {SUFFIX}, the format of a projection")
    if not path.parent.is_dir():
        raise ConfigError(f"{setting}: there is no folder {path.parent}")
    check_writable(path.parent, option)
    if not path.exists():
        return
    try:
        _content(path)
    except ConfigError as error:
        raise ConfigError(f"{setting}: exists and is no projection, so it is not overwritten") from error


def _content(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return metadata and tensors of a file whose metadata say that it is a projection."""
    try:
        require_regular(path)
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or "version" not in metadata:
                raise ConfigError(f"{path}: no projection; intrinsic-clip measure … export={path} writes one")
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ConfigError(f"{path}: {system_reason(error)}") from error
    except SafetensorError as error:
        raise ConfigError(
            f"{path}: damaged, cut short, or no .safetensors file ({first_line(error)})"
        ) from error


def _provenance(metadata: Mapping[str, str]) -> Provenance:
    texts = ("method", "measurement", "package", "date")
    facts: dict[str, Any] = {
        name: metadata[name] if name in texts else json.loads(metadata[name])
        for name in Provenance.__dataclass_fields__
    }
    return Provenance(**{**facts, "promise": Promise(**facts["promise"])})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all tensors' names and bytes, in the order of their names."""
    content = hashlib.sha256()
    for name in sorted(tensors):
        content.update(name.encode())
        content.update(tensors[name].contiguous().numpy().tobytes())
    return content.hexdigest()

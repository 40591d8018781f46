"""Seal what a run reads back: JSON with the version of its format and a checksum, and checksums of other files."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.regular_files import require_regular

FORMAT = 1  # raise it when a reader of today would misread the files of tomorrow
SEAL = ("format", "checksum")
CHANGED = "its checksum differs"


class Damaged(ConfigError):
    """File that does not hold what was written to it; the message names it, the reason and perhaps a remedy."""

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        super().__init__(path, reason, remedy)
        self.reason = reason

    def __str__(self) -> str:
        return self.without_remedy + (f"; {self.args[2]}" if self.args[2] else "")

    @property
    def without_remedy(self) -> str:
        """Sentence that names the file and the reason."""
        return f"{self.args[0]}: damaged ({self.reason})"


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with `format` and `checksum` in front, in one step.

    Raises:
        OSError: the file cannot be written.
        ValueError: the content holds NaN or infinity.
    """
    plain = json.loads(json.dumps({"format": FORMAT, **content}, allow_nan=False))  # keys become texts
    sealed = {"format": FORMAT, "checksum": _checksum(plain), **plain}
    write_atomically(path, json.dumps(sealed, indent=2) + "\n")


def read_sealed(
    path: Path, new_keys: tuple[str, ...] = (), remedy: str = "delete it"
) -> dict[str, Any] | None:
    """Return the content of such a file, without the seal; None if there is no file.

    A file that has no seal at all is of version 0, which had none, and is returned as it is.

    Args:
        path: of the file.
        new_keys: keys that version 0 did not have, so that a file with one of them has lost its seal.
        remedy: advice of the message where the file is damaged.

    Raises:
        Damaged: the content is not what was written.
        ConfigError: a newer version of this package wrote it.
        OSError: it cannot be read.
    """
    try:
        require_regular(path)
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, where a file is expected; move it away") from None
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("no JSON object")
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(path, repr(error), remedy) from error
    if any(key in content for key in (*SEAL, *new_keys)):
        _check_seal(path, content, remedy)
    return {key: value for key, value in content.items() if key not in SEAL}


def _check_seal(path: Path, content: Mapping[str, Any], remedy: str) -> None:
    version = content.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise ConfigError(
            f"{path}: format {version} is of a newer version of intrinsic-clip, this one reads up to {FORMAT}; "
            "update it, or delete the file"
        )
    unsealed = {key: value for key, value in content.items() if key != "checksum"}
    if version != FORMAT or content.get("checksum") != _checksum(unsealed):
        raise Damaged(path, CHANGED, remedy)


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, which does not depend on spaces and the order of keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def fingerprint_of(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file, to find out later whether it is still the same.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": sha256}


def check_bytes(path: Path, data: bytes, expected: Mapping[str, Any] | None, remedy: str) -> None:
    """Compare the bytes of a file with the fingerprint that was taken of it; None: none was taken.

    Raises:
        Damaged: they differ.
    """
    if expected is None:
        return
    if len(data) != expected["bytes"]:
        raise Damaged(path, f"{len(data):,} bytes instead of {expected['bytes']:,}", remedy)
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise Damaged(path, CHANGED, remedy)

"""What files hold, in place of what they are called."""

import hashlib
import json
from pathlib import Path
from typing import Any

from intrinsic_clip.errors import ConfigError


def file_digest(key: str, path: Path) -> str:
    """SHA-256 of a file; raises ConfigError that names the setting where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{key}={path}: {(error.strerror or str(error)).lower()}") from error


def weights_digest(given: str | None) -> str | None:
    """Of a file, or of a folder's files, what they hold; of the name of a model or of weights, the name."""
    path = Path((given or "").removeprefix("local-dir:"))
    if given is None or not path.exists():
        return given
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return digest([file_digest("encoder", file) for file in files])


def digest(content: Any) -> str:
    """Twelve hexadecimal digits that stand for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

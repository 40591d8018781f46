"""Check that every number of a config is one that files, seeds and tensors can hold."""

import math
from collections.abc import Mapping
from typing import Any

from intrinsic_clip.errors import ConfigError

LARGEST = 2**63 - 1


def check_values(path: str, value: Any) -> None:
    """Check all values at or below a node.

    Raises:
        ConfigError: a number is infinite, not a number or of more than 64 bits, or a value has no place in JSON.
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key == "_target_" and not (isinstance(part, str) and part):
                raise ConfigError(f"{path}._target_={part}: must name a class or function")
            check_values(f"{path}.{key}".lstrip("."), part)
    elif isinstance(value, list | tuple):
        for part in value:
            check_values(path, part)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}={value}: must be a finite number")
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"{path}={str(value)[:20]}…: must be less than 2^63")
    elif value is not None and not isinstance(value, str | int | float):
        raise ConfigError(
            f"{path}: a {type(value).__name__} is not a setting; give text, a number, true or false"
        )

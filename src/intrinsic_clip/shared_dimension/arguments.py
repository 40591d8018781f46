"""Check the arguments of an estimate from Python by the schema of the command line."""

import math

import numpy as np
from pydantic import ValidationError

from intrinsic_clip.config.schema import SharedConfig
from intrinsic_clip.typed_values import reason_of

SETTINGS = {"replicates": "trainings"}  # of the command line, where its name is another


def check_arguments(**arguments: float | None) -> None:
    """Check arguments by their names.

    Raises:
        ValueError: one is of another type, or out of bounds.
    """
    for name, value in arguments.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, float) and not math.isfinite(plain):
            raise ValueError(f"{name}: must be finite, not {plain}")
        settings = SharedConfig.model_construct()
        try:
            SharedConfig.__pydantic_validator__.validate_assignment(settings, SETTINGS.get(name, name), plain)
        except ValidationError as error:
            raise ValueError(f"{name}: {reason_of(error.errors())}, not {value!r}") from error

"""Fill in the interpolations of a config."""

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from intrinsic_clip.errors import ConfigError


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """Return a config as plain containers, every interpolation filled in.

    Raises:
        ConfigError: a mandatory value is missing, or an interpolation cannot be filled in.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            f"{error.full_key}: has no default and must be given, {error.full_key}=…"
        ) from error
    except OmegaConfBaseException as error:
        raise ConfigError(unresolved(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def unresolved(error: OmegaConfBaseException) -> str:
    """Return in one line which setting cannot be filled in, and why."""
    reason = " ".join(str(error).partition("\n    full_key:")[0].split())
    reason = reason.removeprefix("KeyError raised while resolving interpolation: ").strip('"')
    return f"{error.full_key}: {reason}" if error.full_key else reason

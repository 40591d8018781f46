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
        raise ConfigError(" ".join(str(error).split())) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}

"""Find the Hydra groups: in the installed package, or at the top of a checkout."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf


def conf_folder() -> Path:
    """Return the folder of the Hydra groups."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "conf", package.parents[1] / "conf") if folder.is_dir())


def is_group(name: str) -> bool:
    """Return whether a name, such as `data` or `objective/temperature`, is that of a Hydra group."""
    return (conf_folder() / name).is_dir()


def group_folders(verb: str) -> list[Path]:
    """Return the folders of the Hydra groups in a verb's defaults list, and of the groups below them."""
    defaults = OmegaConf.load(conf_folder() / f"{verb}.yaml").defaults
    groups = [conf_folder() / str(key) for entry in defaults if isinstance(entry, Mapping) for key in entry]
    return sorted({folder for group in groups if group.is_dir() for folder in group.glob("**/")})

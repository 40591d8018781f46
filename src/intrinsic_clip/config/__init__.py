"""Configs: their schema, their checks, and the Hydra groups."""

from omegaconf import OmegaConf

from intrinsic_clip.config.checks import check, check_apply, check_dashboard, check_measure, check_shared
from intrinsic_clip.config.folders import conf_folder, group_folders
from intrinsic_clip.config.nodes import is_pretrained, takes
from intrinsic_clip.config.objective import without_parts
from intrinsic_clip.config.paths import as_config, read_twice, with_home
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.config.sizes import epochs

# Arithmetic for conf/: a quotient that counts something, so it is at least 1.
OmegaConf.register_new_resolver("quotient", lambda a, b: max(1, round(a / b)), replace=True)
# Epochs of whatever is merged after the sizes: a short size keeps its own.
OmegaConf.register_new_resolver("epochs", epochs, replace=True)

__all__ = [
    "as_config",
    "check",
    "check_apply",
    "check_dashboard",
    "check_measure",
    "check_shared",
    "conf_folder",
    "group_folders",
    "is_pretrained",
    "read_twice",
    "resolve",
    "takes",
    "with_home",
    "without_parts",
]

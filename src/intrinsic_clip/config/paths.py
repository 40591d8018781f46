"""Name the settings that hold paths or other text, and read `~` in paths as the home folder."""

import copy
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from intrinsic_clip.errors import ConfigError, system_reason

# Files and folders, with the settings that name either a file or something else, such as a model's tag.
PATHS = frozenset({
    "x", "y", "run", "output_dir", "file", "export", "projection", "output", "output_y",
    "against", "against_y", "check", "check_junit", "check_json",
    "data.x", "data.y", "data.folder", "data.shards", "data.table", "data.annotations", "data.captions",
    "data.rna", "data.protein", "data.cells", "data.labels.*", "data.features_folder",
    "features.folder", "features.model", "features.pretrained",
    "encoder.model", "encoder.pretrained",
})  # fmt: skip
# Text that comes from the user's files or is shown to people.
TEXTS = frozenset({
    "name", "x_key", "y_key", "against_key", "against_y_key", "project", "entity",
    "data.x_key", "data.y_key", "data.label_keys.*", "data.image", "data.prompt", "data.extension", "data.language",
    "logger.wandb.project", "logger.wandb.entity",
})  # fmt: skip
# Maps from names of the user's choice to text: one that is given replaces the one that is set.
MAPS = frozenset({"data.labels", "data.label_keys"})
MODEL_FOLDER = "local-dir:"  # open_clip's prefix of a folder
BEGINS = re.compile(r"(\\*)\$\{")  # of an interpolation, with backslashes that would escape it


def is_text(key: str) -> bool:
    """Return whether a setting, by its dotted name, holds a path or other text, to be taken as it is."""
    return _is_among(key, PATHS | TEXTS)


def is_path(key: str) -> bool:
    """Return whether a setting, by its dotted name, may hold a path."""
    return _is_among(key, PATHS)


def with_home(cfg: DictConfig) -> DictConfig:
    """Return the config with the home folder in place of a leading `~` in every path.

    Raises:
        ConfigError: there is no home folder, or a path holds a NUL.
    """
    expanded = None
    for name in sorted(PATHS):
        key = name.removesuffix(".*")
        value = _selected(cfg, key)
        members = value if isinstance(value, Mapping) and name != key else {None: value}
        for member, path in members.items():
            if not isinstance(path, str):
                continue
            setting = key if member is None else f"{key}.{member}"
            home = home_expanded(setting, path)
            if home != path:
                expanded = copy.deepcopy(cfg) if expanded is None else expanded
                place = key if member is None else f"{key}[{member}]"
                OmegaConf.update(expanded, place, without_interpolation(home))
    return cfg if expanded is None else expanded


def without_interpolation(text: str) -> str:
    """Return what OmegaConf resolves to a text as it is, also where it holds `${`."""
    return BEGINS.sub(lambda found: 2 * found[1] + r"\${", text)


def as_config(settings: Mapping[str, Any]) -> DictConfig:
    """Return a config that resolves to settings that have been resolved, with texts as they are."""
    return OmegaConf.create(_literal(settings))


def read_twice(node: DictConfig) -> DictConfig:
    """Return a node whose own texts are as they are after Hydra's `instantiate`, which resolves them twice."""
    resolved = OmegaConf.to_container(node, resolve=True)
    return OmegaConf.create(_literal(_literal(resolved)))


def _literal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _literal(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(member) for member in value]
    return without_interpolation(value) if isinstance(value, str) else value


def home_expanded(setting: str, path: str) -> str:
    """Return a path with the home folder in place of a leading `~`.

    Args:
        setting: what names the path, for the message of an error.
        path: as the user wrote it.

    Raises:
        ConfigError: there is no home folder, or the path is empty or holds a NUL.
    """
    if not path:
        raise ConfigError(f"{setting}=: must name a file or folder")
    if "\0" in path:
        raise ConfigError(f"{setting}={path!r}: holds a NUL, which no path can")
    prefix = MODEL_FOLDER if path.startswith(MODEL_FOLDER) else ""
    home = os.path.expanduser(path.removeprefix(prefix))
    if home == "~" or home.startswith("~/"):
        raise ConfigError(f"{setting}={path}: there is no home folder (HOME is not set); give the whole path")
    return prefix + home


def check_writable(folder: Path, option: str = "output_dir") -> None:
    """Check, before anything is done, that a folder can be made and written to; `option` names another in messages.

    Raises:
        ConfigError: it cannot; the message names the part of the path that is at fault.
    """
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if existing.is_dir() and os.access(existing, os.W_OK):
            return
    except OSError as error:
        raise ConfigError(f"{folder}: {system_reason(error)}") from error
    raise ConfigError(f"{existing}: not a folder that can be written to; {option}=… names another")


def _is_among(key: str, names: frozenset[str]) -> bool:
    return key in names or f"{key.rpartition('.')[0]}.*" in names


def _selected(cfg: DictConfig, key: str) -> Any:
    """Return a value, or None where the config has none or it cannot be resolved, which other checks report."""
    try:
        value = OmegaConf.select(cfg, key)
        return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig) else value
    except OmegaConfBaseException:
        return None

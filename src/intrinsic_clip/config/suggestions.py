"""Suggest what was meant by a key or a choice that does not exist, given what else a command chose."""

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from intrinsic_clip.config.folders import conf_folder, group_folders, is_group
from intrinsic_clip.config.nodes import short_name, takes
from intrinsic_clip.config.objective import takes_directions
from intrinsic_clip.config.own_hydra import own_hydra
from intrinsic_clip.config.reasons import suggestion
from intrinsic_clip.errors import ConfigError

FEW = 3  # choices that are worth naming


def key_advice(key: str, verb: str, overrides: Sequence[str]) -> str:
    """Return what follows `KEY: unknown key`: what was meant, or what there is.

    Args:
        key: the key or group that does not exist.
        verb: the verb whose config it is not in.
        overrides: all that the command gave, as Hydra takes them.
    """
    cfg = _composed(key, verb, overrides)
    groups = [folder.relative_to(conf_folder()).as_posix() for folder in group_folders(verb)]
    end = f"; see intrinsic-clip {verb} --help"
    if "." not in key or "/" in key:
        return suggestion(key, [*groups, *map(str, cfg)]) or end
    parent, _, name = key.rpartition(".")
    node = _selected(cfg, parent)
    objective = cfg.get("objective")
    if parent == "objective.temperature" and node is None and objective is not None:
        return f"; {short_name(objective)} has no temperature"
    if node is None:
        return _choices_advice(parent, name, cfg) or suggestion(key, _dotted("", cfg)) or end
    return _node_advice(parent, name, node, cfg)


def choice_advice(group: str, choice: str, options: Sequence[str]) -> str:
    """Return the message about a choice that does not exist: the most similar one, if any, and all there are."""
    close = get_close_matches(choice, options, n=1)
    if close:
        advice = f", did you mean {close[0]}? There are {', '.join(options)}"
    else:
        advice = f"; choose from {', '.join(options)}" if options else f"; {group} has none"
    return f"{group}={choice}: no such choice{advice}"


def _node_advice(parent: str, name: str, node: DictConfig, cfg: DictConfig) -> str:
    """Return the advice about a key that a node lacks: first of its own keys, then of other choices."""
    own = [str(key) for key in node if not str(key).startswith("_")]
    with suppress(ConfigError):  # a class that cannot be imported
        if "_target_" in node and takes(node, name):
            return f"; +{parent}.{name}=… adds it"
    close = get_close_matches(name, own, n=1)
    if close:
        return f", did you mean {parent}.{close[0]}?"
    other = _choices_advice(parent, name, cfg)
    if other:
        return other
    holder = short_name(node) if "_target_" in node else parent
    values = [each for each in own if _selected(node, each) is None]  # nodes are groups of their own
    return f"; {holder} takes {', '.join(values) or 'no settings'}"


def _choices_advice(parent: str, name: str, cfg: DictConfig) -> str:
    """Return the few choices of a group that have a key, if they are few."""
    group = parent.replace(".", "/")
    files = sorted((conf_folder() / group).glob("*.yaml"))
    having = [
        file.stem
        for file in files
        if not file.read_text("utf-8").startswith("# @package") and name in OmegaConf.load(file)
    ]
    if group == "objective/temperature" and not takes_directions(cfg.objective):
        having = [choice for choice in having if choice != "per_direction"]
    if not 0 < len(having) <= FEW:
        return ""
    *but_last, last = having
    listed = f"{', '.join(but_last)} or {last}" if but_last else last
    return f" with the choices made; {group}={listed} has it"


def _composed(key: str, verb: str, overrides: Sequence[str]) -> DictConfig:
    """Return the config without what is wrong: as much of the command as can be composed."""
    parser = OverridesParser.create()
    parsed = [parser.parse_override(text) for text in overrides]
    fine = [_first_value(each) for each in parsed if each.key_or_group != key]
    choices = [text for text in fine if is_group(text.partition("=")[0])]
    for kept in (fine, choices, []):
        with suppress(Exception), own_hydra():
            return hydra.compose(verb, overrides=kept)  # raises errors of Hydra's many kinds
    loaded = OmegaConf.load(conf_folder() / f"{verb}.yaml")
    assert isinstance(loaded, DictConfig)
    return loaded


def _first_value(override: Override) -> str:
    """Return an override, of a sweep the one of its first run."""
    text = str(override.input_line)
    return text.partition(",")[0] if override.is_sweep_override() else text


def _selected(cfg: DictConfig, key: str) -> DictConfig | None:
    node: Any = None
    with suppress(Exception):  # a value that cannot be resolved
        node = OmegaConf.select(cfg, key)
    return node if isinstance(node, DictConfig) else None


def _dotted(prefix: str, node: DictConfig) -> list[str]:
    """Return the dotted names of all settings below a node."""
    names = []
    for key in map(str, node):
        name = f"{prefix}{key}"
        below = None if OmegaConf.is_missing(node, key) else node._get_node(key)
        names.append(name)
        if isinstance(below, DictConfig) and not below._is_none() and not below._is_interpolation():
            names += _dotted(f"{name}.", below)
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]

"""Compose the help texts from the comments of the files in conf/."""

import importlib
import inspect
from pathlib import Path

from omegaconf import OmegaConf

from intrinsic_clip.cli.verbs import VERBS
from intrinsic_clip.config.folders import conf_folder, group_folders
from intrinsic_clip.config.messages import PROGRAM
from intrinsic_clip.config.nodes import is_pretrained


def overview() -> str:
    """Return the list of verbs."""
    verbs = "\n".join(f"  {name:<9} {verb.purpose}" for name, verb in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [group=choice …] [key=value …]\n\n{verbs}\n\n"
        f"{PROGRAM} VERB --help shows the choices and settings, {PROGRAM} --version the version."
    )


def help_of(verb: str) -> str:
    """Return a verb's usage, its groups with the purpose of each choice, and its settings."""
    usage = f"usage: {PROGRAM} {verb} {VERBS[verb].usage}\n\n"
    if not (conf_folder() / f"{verb}.yaml").exists():
        return usage + inspect.cleandoc(importlib.import_module(f"intrinsic_clip.cli.{verb}").HELP)
    groups = [text for folder in group_folders(verb) if (text := _group(verb, folder))]
    title, end = (
        ("Groups and their choices", "Settings of a group are given as group.key=value. ")
        if groups
        else ("", "")
    )
    return (
        usage
        + "\n\n".join([f"{title}:", *groups, ""] if groups else [])
        + "Settings, each of which can be given as key=value:\n\n"
        + "".join(f"  {line}\n" for line in _settings(verb))
        + "\nPaths are taken as they are typed, with ~ as the home folder.\n"
        + f"{end}`{PROGRAM} {verb} … --cfg job` prints the whole config."
    )


def _group(verb: str, folder: Path) -> str:
    """Return the choices of a group, each with its purpose; empty if the verb takes none of them."""
    choices = [path for path in sorted(folder.glob("*.yaml")) if _suits(verb, path)]
    lines = "\n".join(f"    {path.stem:<29} {_purpose(path)}" for path in choices)
    return f"  {folder.relative_to(conf_folder()).as_posix()}=\n{lines}" if choices else ""


def _settings(verb: str) -> list[str]:
    """Return the lines of a verb's config that explain a setting."""
    path = conf_folder() / f"{verb}.yaml"
    keys = {str(key) for key in OmegaConf.load(path)}
    return [
        line
        for line in path.read_text("utf-8").splitlines()
        if "#" in line and line.partition(":")[0] in keys
    ]


def _suits(verb: str, path: Path) -> bool:
    """Return whether a verb takes this choice: an encoder without weights cannot be measured."""
    return path.parent.name != "encoder" or verb == "train" or is_pretrained(OmegaConf.load(path))  # type: ignore[arg-type]


def _purpose(path: Path) -> str:
    """Return the first comment of a config file, after the @package line that Hydra requires first."""
    comments = (line.lstrip("# ") for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
    return next(comment for comment in comments if not comment.startswith("@"))

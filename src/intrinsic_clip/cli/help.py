"""Help texts, made from the files in conf/."""

import importlib
import inspect
from pathlib import Path

from intrinsic_clip.cli.verbs import USAGE, VERBS
from intrinsic_clip.config.folders import conf_folder, group_folders
from intrinsic_clip.config.messages import PROGRAM


def overview() -> str:
    verbs = "\n".join(f"  {verb:<9} {purpose}" for verb, purpose in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [group=choice …] [key=value …]\n\n{verbs}\n\n"
        f"{PROGRAM} VERB --help shows the choices and settings, {PROGRAM} --version the version."
    )


def help_of(verb: str) -> str:
    """The config groups, what each choice is for, and the verb's settings; a verb without config explains itself."""
    usage = f"usage: {PROGRAM} {verb} {USAGE[verb]}\n\n"
    if not (conf_folder() / f"{verb}.yaml").exists():
        return usage + inspect.cleandoc(importlib.import_module(f"intrinsic_clip.cli.{verb}").HELP)
    groups = []
    for folder in group_folders(verb):
        choices = [
            (path.stem, _purpose(path)) for path in sorted(folder.glob("*.yaml")) if _suits(verb, path)
        ]
        if choices:
            lines = "\n".join(f"    {name:<29} {purpose}" for name, purpose in choices)
            groups.append(f"  {folder.relative_to(conf_folder()).as_posix()}=\n{lines}")
    settings = (conf_folder() / f"{verb}.yaml").read_text().partition("\n\n")[2].partition("\n\n")[0]
    title, end = (
        ("Groups, and what they hold", "Those of a group are given as group.key=value. ")
        if groups
        else ("", "")
    )
    return (
        usage
        + "\n\n".join([f"{title}:", *groups, ""] if groups else [])
        + "Settings, each of which can be given as key=value:\n\n"
        + "".join(f"  {line}\n" for line in settings.splitlines())
        + f"\n{end}`{PROGRAM} {verb} … --cfg job` prints the whole config."
    )


def _suits(verb: str, path: Path) -> bool:
    """Whether a verb takes this choice: an encoder without weights (`_partial_`) is not to be probed."""
    return path.parent.name != "encoder" or verb == "train" or "_partial_: true" not in path.read_text()


def _purpose(path: Path) -> str:
    """The first comment of a config file, after the @package line that Hydra wants on top."""
    comments = (line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    return next(comment for comment in comments if not comment.startswith("@"))

"""The command line: `intrinsic-clip <verb> [arguments]`, of most verbs Hydra overrides."""

import importlib
import inspect
import sys
import warnings
from pathlib import Path

from intrinsic_clip import __version__
from intrinsic_clip.config import conf_folder, group_folders
from intrinsic_clip.errors import PROGRAM, fail, in_one_line

VERBS = {
    "train": "train paired encoders and measure them",
    "probe": "measure embeddings: how many dimensions they use, and how few would do",
    "figures": "draw the paper's figures from the runs that are finished",
    "dashboard": "make a workspace in W&B that shows the runs of a project",
    "report": "make a web page of finished runs, to look at and to pass on",
}
AFTER_CTRL_C = {
    "train": "the same command goes on from the last checkpoint",
    "probe": "nothing was written",
    "figures": "figures drawn so far are whole",
    "dashboard": "it may be there already",
    "report": "nothing was written",
}
USAGE = {
    "train": "[group=choice …] [key=value …] [--multirun key=a,b,c]",
    "probe": "x=FILE [y=FILE] | data=CHOICE [encoder=open_clip] | run=FOLDER [key=value …]",
    "figures": "[NAME …] [output_dir=outputs] [to=outputs/figures] [size=smoke|laptop|paper]",
    "dashboard": "[key=value …] [--dry-run]",
    "report": "FOLDER [output=FILE] [open=true]",
}
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
_usual_format = warnings.formatwarning


def main() -> None:
    """Run a verb; bad input ends in one line on stderr and exit code 2, Ctrl-C in 130."""
    verb, *overrides = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(_overview())
    elif verb == "--version":
        print(__version__)
    elif verb not in VERBS:
        fail(f"{verb}: no such verb; there is {', '.join(VERBS)}")
    elif {"-h", "--help"} & set(overrides):
        print(_help(verb))
    else:
        _run(verb, overrides)


def _run(verb: str, overrides: list[str]) -> None:
    warnings.formatwarning = _format_warning  # before Lightning is imported, which wraps what it finds
    try:
        with in_one_line(verb):
            importlib.import_module(f"intrinsic_clip.{verb}").main(overrides)
    except KeyboardInterrupt:
        print(f"\nInterrupted; {AFTER_CTRL_C[verb]}.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Our own warnings are for the user, in one line; others keep the place in the source."""
    if Path(filename).is_relative_to(Path(__file__).parent):
        return f"{PROGRAM}: warning: {message}\n"
    return _usual_format(message, category, filename, lineno, line)


def _overview() -> str:
    verbs = "\n".join(f"  {verb:<9} {purpose}" for verb, purpose in VERBS.items())
    return (
        f"usage: {PROGRAM} VERB [group=choice …] [key=value …]\n\n{verbs}\n\n"
        f"{PROGRAM} VERB --help shows the choices and settings, {PROGRAM} --version the version."
    )


def _help(verb: str) -> str:
    """The config groups, what each choice is for, and the verb's settings; a verb without config explains itself."""
    usage = f"usage: {PROGRAM} {verb} {USAGE[verb]}\n\n"
    if not (conf_folder() / f"{verb}.yaml").exists():
        return usage + inspect.cleandoc(importlib.import_module(f"intrinsic_clip.{verb}").HELP)
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

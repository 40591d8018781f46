"""The entry point for a look at finished runs: one web page that needs nothing beside it, and no network."""

import difflib
import sys
import webbrowser
from pathlib import Path
from typing import Any

from intrinsic_clip import results
from intrinsic_clip.config import ConfigError

PAGE = "report.html"
SCRIPTS = (
    "chart",
    "data",
    "summary",
    "sweep",
    "training",
    "embeddings",
    "settings",
    "report",
)  # needed first, first
OPTIONS = {
    "output": f"the page to write; by default {PAGE} in FOLDER",
    "open": "true shows it in the browser",
}
HELP = (
    "FOLDER holds a run (outputs/demo/<hash>) or many (outputs/synthetic_linear). The page has a table, curves over\n"
    "the settings that differ, trajectories over training, similarities, spectra and all settings. It needs nothing\n"
    "beside it and no network. Nothing is trained.\n\n"
    + "\n".join(f"  {f'{name}=':<10}{purpose}" for name, purpose in OPTIONS.items())
)


def report(folder: Path, output: Path | None = None) -> Path:
    """Write the page of all finished runs in a folder; returns where it lies.

    Raises:
        ConfigError: there is no such folder, or no finished run in it.
        OSError: where the page cannot be written.
    """
    from intrinsic_clip.pages.contents import contents
    from intrinsic_clip.pages.document import asset, document

    data = contents(folder)
    for reason in data["left_out"]:
        print(reason, file=sys.stderr)
    page = document(
        f"{data['name']} – intrinsic-clip report",
        asset("report.html"),
        styles=["base.css", "report.css"],
        scripts=[f"{name}.js" for name in SCRIPTS],
        data=data,
    )
    path = output or folder / PAGE
    results.write_atomically(path, page)
    return path


def main(arguments: list[str]) -> None:
    """Write the page that the arguments ask for, and say where it lies."""
    folder, options = _parse(arguments)
    path = report(folder, Path(options["output"]) if "output" in options else None)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if options.get("open") == "true":
        webbrowser.open(path.resolve().as_uri())


def _parse(arguments: list[str]) -> tuple[Path, dict[str, Any]]:
    known = f"there is {', '.join(OPTIONS)}"
    options: dict[str, str] = {}
    folders = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or Path(argument).exists():
            folders.append(Path(argument))
        elif key not in OPTIONS:
            close = difflib.get_close_matches(key, OPTIONS, n=1)
            raise ConfigError(f"{key}: unknown option, " + (f"did you mean {close[0]}?" if close else known))
        else:
            options[key] = value
    if len(folders) != 1:
        raise ConfigError(
            f"report takes one folder, got {len(folders)}: intrinsic-clip report FOLDER [output=FILE]"
        )
    if options.get("open", "false") not in ("true", "false"):
        raise ConfigError(f"open={options['open']} must be true or false")
    if "output" in options and not options["output"]:
        raise ConfigError("output= must name a file")
    return folders[0], options

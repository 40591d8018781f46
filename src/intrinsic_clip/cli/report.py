"""The verb `report`: one web page of finished runs."""

import difflib
import webbrowser
from pathlib import Path
from typing import Any

from intrinsic_clip.config.paths import check_writable, home_expanded
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.page.write import PAGE, report

OPTIONS = {
    "output": f"the page to write; by default {PAGE} in FOLDER",
    "open": "true shows it in the browser",
}


HELP = (
    "FOLDER holds a run (outputs/demo/<hash>) or many (outputs/synthetic_linear). The page has a table, curves over\n"
    "the settings that differ, trajectories over training, similarities, spectra and all settings. It is one\n"
    "file that needs no network. Nothing is trained.\n\n"
    + "\n".join(f"  {f'{name}=':<10}{purpose}" for name, purpose in OPTIONS.items())
)


def main(arguments: list[str]) -> None:
    """Write the page that the arguments ask for, and print its path."""
    folder, options = _parse(arguments)
    output = Path(home_expanded("output", options["output"])) if "output" in options else None
    if output is not None:
        check_writable(output.parent, "output")
    path = report(folder, output)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if options.get("open") == "true":
        webbrowser.open(path.resolve().as_uri())


def _parse(arguments: list[str]) -> tuple[Path, dict[str, Any]]:
    choices = f"choose from {', '.join(OPTIONS)}"
    options: dict[str, str] = {}
    folders = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or _exists(argument):
            folders.append(Path(home_expanded("FOLDER", argument)))
        elif key not in OPTIONS:
            close = difflib.get_close_matches(key, OPTIONS, n=1)
            raise ConfigError(
                f"{key}: unknown option, "
                + (f"did you mean {close[0]}?" if close else f"{choices}; and there is no folder {argument}")
            )
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


def _exists(argument: str) -> bool:
    """Return whether an argument is a folder, such as one whose name has an equals sign."""
    try:
        return Path(argument).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or of an unknown user
        return False

"""The verb `figures`: the paper's figures from finished runs."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from intrinsic_clip.config.paths import check_writable, home_expanded
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.paper_figures import FIGURES
from intrinsic_clip.reports.figures import draw_figures

SETTINGS = {"output_dir": "outputs", "to": "outputs/figures", "size": ""}


HELP = """
Draws the figures named, or all, as PDF and PNG from the finished runs below output_dir, and with all of them the table
of claims, RESULTS.md. Each figure shows the largest size at which most of its experiments have been run, or the chosen
size. Nothing is trained: if runs of a figure are missing, the command that makes them is printed.

Runs trained with other settings than their experiment's file has are left out and named; where there are no others, the
foot of the figure says what differs. Runs trained without size= are left out and named, too. Unfinished runs count with
the repetitions that are done.

  output_dir=outputs    where the runs are
  to=outputs/figures    where the figures go
  size=                 smoke, laptop or paper; empty: the largest at which most of a figure has been run
"""


def main(arguments: list[str]) -> None:
    """Draw all figures, or the named ones, and print the commands that make missing runs.

    Raises:
        ConfigError: an unknown argument, or a folder that does not exist.
    """
    from intrinsic_clip.paper_figures.finished_runs import SIZES

    names, settings = _parse(arguments, FIGURES, SIZES)
    check_writable(Path(settings["to"]))
    draw_figures(names, Path(settings["output_dir"]), Path(settings["to"]), settings["size"])


def _parse(
    arguments: Sequence[str], figures: Sequence[str], sizes: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the names of figures, and the settings."""
    names, settings = [], dict(SETTINGS)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        choices = list(settings) if equals else list(figures)
        if key not in choices:
            close = difflib.get_close_matches(key, choices, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            raise ConfigError(
                f"{key}: no such {'setting' if equals else 'figure'}{hint}; choose from {', '.join(choices)}"
            )
        if equals:
            settings[key] = value if key == "size" else home_expanded(key, value)
        else:
            names.append(key)
    if settings["size"] and settings["size"] not in sizes:
        raise ConfigError(f"size={settings['size']}: must be {', '.join(sizes)}")
    folder = Path(settings["output_dir"])
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise ConfigError(f"output_dir={folder}: {what}; give the folder that runs were written to")
    return names, settings

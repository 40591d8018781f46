"""The verb `figures`: the paper's figures from finished runs."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.paper_figures import FIGURES
from intrinsic_clip.reports.figures import draw_figures

SETTINGS = {"output_dir": "outputs", "to": "outputs/figures", "size": ""}


HELP = """
Draws the figures named, or all, as PDF and PNG from the finished runs below output_dir, and with all of them the table
of claims, RESULTS.md. Each figure shows the largest size that most of it has been run at, or the one given. Nothing is
trained: of a figure whose runs are missing, the command that makes them is told.

  output_dir=outputs    where the runs are
  to=outputs/figures    where the figures go
  size=                 smoke, laptop or paper; empty: the largest that most of a figure has been run at
"""


def main(arguments: list[str]) -> None:
    """Draw all figures, or those named, and say which are missing and the command that makes them.

    Raises:
        ConfigError: an argument that means nothing here, or a folder that is not there.
    """
    from intrinsic_clip.paper_figures.finished_runs import SIZES

    names, settings = _parse(arguments, FIGURES, SIZES)
    draw_figures(names, Path(settings["output_dir"]), Path(settings["to"]), settings["size"])


def _parse(
    arguments: Sequence[str], figures: Sequence[str], sizes: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The names of figures, and the settings."""
    names, settings = [], dict(SETTINGS)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        known = list(settings) if equals else list(figures)
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            raise ConfigError(
                f"{key}: no such {'setting' if equals else 'figure'}{hint}; there is {', '.join(known)}"
            )
        if equals:
            settings[key] = value
        else:
            names.append(key)
    if settings["size"] and settings["size"] not in sizes:
        raise ConfigError(f"size={settings['size']}: must be {', '.join(sizes)}")
    if not Path(settings["output_dir"]).is_dir():
        raise ConfigError(
            f"output_dir={settings['output_dir']}: no such folder; give the one that runs were written to"
        )
    return names, settings

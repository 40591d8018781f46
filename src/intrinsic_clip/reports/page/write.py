"""Write the report of finished runs: one web page that needs no other file and no network."""

import sys
from pathlib import Path

from intrinsic_clip.config.messages import PROGRAM
from intrinsic_clip.runs import atomic

PAGE = "report.html"
TITLE = "intrinsic-clip report"  # end of every page's title, by which one is known
SCRIPTS = (
    "chart",
    "data",
    "summary",
    "sweep",
    "training",
    "embeddings",
    "settings",
    "report",
)  # in loading order


def report(folder: Path, output: Path | None = None) -> Path:
    """Write the page of all finished runs in a folder; returns its path.

    Raises:
        ConfigError: there is no such folder, or no finished run in it; or the page would replace another file.
        OSError: the page cannot be written.
    """
    from intrinsic_clip.reports.overwriting import check_report
    from intrinsic_clip.reports.page.contents import contents
    from intrinsic_clip.reports.page.document import asset, document

    path = output or folder / PAGE
    check_report(path)
    data = contents(folder)
    for reason in [*data["left_out"], *data["notes"]]:
        print(f"{PROGRAM}: note: {reason}", file=sys.stderr)
    page = document(
        f"{data['name']} – {TITLE}",
        asset("report.html"),
        styles=["base.css", "chart.css", "report.css"],
        scripts=[f"{name}.js" for name in SCRIPTS],
        data=data,
    )
    atomic.write_atomically(path, page)
    return path

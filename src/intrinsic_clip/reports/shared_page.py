"""Write an estimate of the shared dimension as one web page that needs no other file."""

from collections.abc import Mapping
from html import escape
from typing import Any

from intrinsic_clip.reports.number_format import Table
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.reports.page.elements import (
    CHART_SCRIPTS,
    CHART_STYLES,
    figures_of,
    remarks_of,
    settings_of,
    table_of,
    versions_of,
    words_of,
)
from intrinsic_clip.reports.shared_charts import shared_charts
from intrinsic_clip.reports.shared_printout import advice, controls, headline, others
from intrinsic_clip.runs.tidy_table import flatten
from intrinsic_clip.shared_dimension.wording import verdict_line


def page(estimated: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        estimated: the content of shared.json.
    """
    charts = shared_charts(estimated)
    sections = [_summary(estimated), f"<h2>Charts</h2>\n{figures_of(charts)}"]
    tables = [
        Table("Controls", ("", ""), list(controls(estimated).items())),
        Table("Other methods", ("", "value"), list(others(estimated).items())),
    ]
    sections += [words_of(table) for table in tables if table.rows]
    sections.append(table_of(_spectrum(estimated)))
    if estimated["notes"]:
        sections.append(f"<h2>Notes</h2>\n{remarks_of(estimated['notes'])}")
    sections += [settings_of(dict(sorted(flatten(estimated["config"]).items()))), versions_of(estimated)]
    body = "\n".join(["<main>", *sections, "</main>"])
    return document("intrinsic-clip shared", body, CHART_STYLES, CHART_SCRIPTS, {"charts": charts})


def _summary(estimated: Mapping[str, Any]) -> str:
    return (
        f"<h1>How many dimensions do they share?</h1>\n<p>{escape(headline(estimated))}</p>\n"
        f'<p class="advice">shared dimensions: {escape(verdict_line(estimated))}</p>\n'
        f"<p>advice: {escape(advice(estimated))}</p>"
    )


def _spectrum(estimated: Mapping[str, Any]) -> Table:
    """Return a row for each direction: root eigenvalues, those on shuffled pairs, and the ratio to the next."""
    columns: dict[str, list[float]] = {}
    for side, values in estimated["spectrum"].items():
        columns[side] = values
        if side in estimated["null_spectrum"]:
            columns[f"{side}, shuffled pairs"] = estimated["null_spectrum"][side]
    columns |= {f"ratio, {name}": values for name, values in estimated["ratios"].items()}
    shown = len(estimated["ratios"]["both"]) + 1
    rows = [
        (str(place + 1), *(f"{each[place]:.4f}" if place < len(each) else "" for each in columns.values()))
        for place in range(shown)
    ]
    remark = "the root eigenvalues' squares sum to 1 at every point; a ratio is of a value to the next one"
    return Table("Spectrum of the consensus metric", ("direction", *columns), rows, (remark,))

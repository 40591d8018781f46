"""Write a measurement as one web page that needs no other file.

The page is made of sections. A further one is a function of the measurement that returns HTML, empty where it has
nothing to show, and an entry of `SECTIONS`.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_printout import beliefs, headline
from intrinsic_clip.reports.measurement_tables import Table, tables
from intrinsic_clip.reports.next_steps import by_command, next_steps
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.runs.tidy_table import flatten

Measurement = Mapping[str, Any]
STYLES = ("base.css", "chart.css", "measurement.css")
SCRIPTS = ("chart.js", "measurement.js")


def page(measurement: Measurement) -> str:
    """Return the page.

    Args:
        measurement: the content of measure.json.
    """
    sections = (section(measurement) for section in SECTIONS)
    body = "\n".join(["<main>", *(html for html in sections if html), "</main>"])
    data = {"charts": charts(measurement)}
    return document("intrinsic-clip measure", body, STYLES, SCRIPTS, data)


def _summary(measurement: Measurement) -> str:
    return (
        f"<h1>How many dimensions do they use?</h1>\n<p>{escape(headline(measurement))}</p>\n"
        f'<p class="advice">{escape(measurement["advice"]["text"])}</p>'
    )


def _next_steps(measurement: Measurement) -> str:
    steps = "\n".join(f"<li>{escape(step.reason)}{_code(step.code)}</li>" for step in next_steps(measurement))
    return f'<h2>What to do next</h2>\n<ul class="steps">\n{steps}\n</ul>'


def _code(code: str) -> str:
    return f"<pre tabindex=0><code>{escape(code)}</code></pre>" if code else ""


def _beliefs(measurement: Measurement) -> str:
    said = beliefs(measurement)
    return (
        f"<h2>Which dimension to believe</h2>\n{''.join(f'<p>{escape(text)}</p>' for text in said)}"
        if said
        else ""
    )


def _charts(measurement: Measurement) -> str:
    figures = "\n".join(
        f'<figure><h3>{escape(chart["title"])}</h3><div class="legend" id="legend-{chart["id"]}"></div>'
        f'<div id="chart-{chart["id"]}"></div></figure>'
        for chart in charts(measurement)
    )
    return (
        f'<h2>Charts</h2>\n<noscript><p class="remark">The charts need JavaScript; the tables below have their numbers.'
        f'</p></noscript>\n<div class="panels">\n{figures}\n</div>\n'
        '<p class="remark">Bands and bars are ± one standard error. Point at a chart, or focus it and use the arrow '
        "keys, to read out its values.</p>"
    )


def _tables(measurement: Measurement) -> str:
    return "\n".join(table_of(table) for table in tables(measurement))


def _notes(measurement: Measurement) -> str:
    return f"<h2>Notes</h2>\n{remarks_of(measurement['notes'])}" if measurement["notes"] else ""


def _settings(measurement: Measurement) -> str:
    """Return the settings that were used, and those that had no value in one line."""
    settings = flatten(measurement["config"])
    if not by_command(settings):
        settings = {key: value for key, value in settings.items() if value is not None}
    rows: list[tuple[str, ...]] = [
        (key, _text(value)) for key, value in settings.items() if value is not None
    ]
    unset = ", ".join(key for key, value in settings.items() if value is None)
    remarks = (f"not set: {unset}",) if unset else ()
    return f'<div class="settings">{table_of(Table("Settings", ("setting", "value"), rows, remarks))}</div>'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _versions(measurement: Measurement) -> str:
    return versions_of(measurement)


SECTIONS: tuple[Callable[[Measurement], str], ...] = (
    _summary,
    _next_steps,
    _beliefs,
    _charts,
    _tables,
    _notes,
    _settings,
    _versions,
)


def image_of(picture: bytes, description: str) -> str:
    """Return a PNG as HTML that holds it."""
    encoded = base64.b64encode(picture).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{encoded}">'


def remarks_of(texts: Iterable[str]) -> str:
    """Return a paragraph in small print for each text as HTML."""
    return "".join(f'<p class="remark">{escape(text)}</p>' for text in texts)


def versions_of(results: Mapping[str, Any]) -> str:
    """Return the versions of the packages that results were made with as HTML."""
    used = results["versions"].items()
    return remarks_of([", ".join(f"{name} {version}" for name, version in used if version)])


def table_of(table: Table) -> str:
    """Return a table with its title and remarks as HTML, in a region that scrolls sideways, by keys too."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" if cell else "<td></td>" for cell in table.header)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.header) else ""
    body = "\n".join(_row(row) for row in table.rows)
    title = escape(table.title)
    return (
        f'<h2>{title}</h2>\n<div class="scroll" tabindex=0 role=region aria-label="{title}">'
        f"<table>{head}<tbody>\n{body}\n</tbody></table></div>{remarks_of(table.remarks)}"
    )


def _row(cells: tuple[str, ...]) -> str:
    first, *others = (escape(cell) for cell in cells)
    return f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"

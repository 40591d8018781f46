"""Write a measurement as one web page that needs no other file.

The page is made of sections. A further one is a function of the measurement that returns HTML, empty where it has
nothing to show, and an entry of `SECTIONS`.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from intrinsic_clip.reports.against_tables import against_tables
from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_printout import BELIEF, beliefs, headline
from intrinsic_clip.reports.measurement_tables import own_tables
from intrinsic_clip.reports.next_steps import by_command, next_steps
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.reports.page.elements import (
    CHART_SCRIPTS,
    CHART_STYLES,
    figures_of,
    remarks_of,
    settings_of,
    table_of,
    versions_of,
)
from intrinsic_clip.reports.two_model_charts import two_model_charts
from intrinsic_clip.runs.tidy_table import flatten

Measurement = Mapping[str, Any]


def page(measurement: Measurement) -> str:
    """Return the page.

    Args:
        measurement: the content of measure.json.
    """
    sections = (section(measurement) for section in SECTIONS)
    body = "\n".join(["<main>", *(html for html in sections if html), "</main>"])
    data = {"charts": [*two_model_charts(measurement), *charts(measurement)]}
    return document("intrinsic-clip measure", body, CHART_STYLES, CHART_SCRIPTS, data)


def _summary(measurement: Measurement) -> str:
    said = [measurement["advice"]["text"]]
    if measurement.get("against") is not None:
        said.insert(0, measurement["against"]["compared"]["verdict"])
    boxes = "\n".join(f'<p class="advice">{escape(text)}</p>' for text in said)
    return f"<h1>How many dimensions do they use?</h1>\n<p>{escape(headline(measurement))}</p>\n{boxes}"


def _two_models(measurement: Measurement) -> str:
    if measurement.get("against") is None:
        return ""
    figures = f"<h2>Two models</h2>\n{figures_of(two_model_charts(measurement))}"
    return "\n".join([figures, *map(table_of, against_tables(measurement))])


def _next_steps(measurement: Measurement) -> str:
    steps = "\n".join(f"<li>{escape(step.reason)}{_code(step.code)}</li>" for step in next_steps(measurement))
    return f'<h2>What to do next</h2>\n<ul class="steps">\n{steps}\n</ul>'


def _code(code: str) -> str:
    return f"<pre tabindex=0><code>{escape(code)}</code></pre>" if code else ""


def _beliefs(measurement: Measurement) -> str:
    said = [text.removeprefix(BELIEF) for text in beliefs(measurement)]  # the heading says it
    return (
        f"<h2>Which dimension to believe</h2>\n{''.join(f'<p>{escape(text)}</p>' for text in said)}"
        if said
        else ""
    )


def _charts(measurement: Measurement) -> str:
    drawn = charts(measurement)
    return f"<h2>Charts</h2>\n{figures_of(drawn)}" if drawn else ""


def _tables(measurement: Measurement) -> str:
    return "\n".join(map(table_of, own_tables(measurement)))


def _notes(measurement: Measurement) -> str:
    return f"<h2>Notes</h2>\n{remarks_of(measurement['notes'])}" if measurement["notes"] else ""


def _settings(measurement: Measurement) -> str:
    settings = flatten(measurement["config"])
    if not by_command(settings):
        settings = {key: value for key, value in settings.items() if value is not None}
    return settings_of(settings)


SECTIONS: tuple[Callable[[Measurement], str], ...] = (
    _summary,
    _two_models,
    _next_steps,
    _beliefs,
    _charts,
    _tables,
    _notes,
    _settings,
    versions_of,
)

"""Write the elements that the pages of results are made of: charts with their values, tables, remarks, settings."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from intrinsic_clip.reports.chart_series import Chart
from intrinsic_clip.reports.number_format import Table, plus_minus

CHART_STYLES = ("base.css", "chart.css", "result.css")
CHART_SCRIPTS = ("chart.js", "charts.js")  # which draw the `charts` of the page's data
MOST = 24  # places of a chart whose values are listed
NO_SCRIPT = "The charts need JavaScript; the values below each are theirs."
BANDS = "Bands and bars are ± one standard error. "
READING = "Point at a chart, or focus it and use the arrow keys, to read out its values."


def figures_of(charts: Sequence[Chart]) -> str:
    """Return places for charts as HTML, each with its title, legend and a table of its values that can be opened."""
    figures = "\n".join(map(_figure, charts))
    has_errors = any(
        point.get("sd") for chart in charts for each in chart["series"] for point in each["points"]
    )
    return (
        f'<noscript><p class="remark">{NO_SCRIPT}</p></noscript>\n<div class="panels">\n{figures}\n</div>\n'
        f"{remarks_of([BANDS * has_errors + READING])}"
    )


def _figure(chart: Chart) -> str:
    name, title = chart["id"], escape(chart["title"])
    return (
        f'<figure><h3>{title}</h3><div class="legend" id="legend-{name}"></div><div id="chart-{name}"></div>'
        f'<details class="values"><summary>Values as a table</summary>{_scrolled(_values(chart))}</details></figure>'
    )


def _values(chart: Chart) -> Table:
    """Return the values of a chart, at some places where there are many."""
    drawn = [series for series in chart["series"] if not series.get("level")]
    by_place = [{point["x"]: point for point in series["points"]} for series in drawn]
    places = sorted({place for points in by_place for place in points})
    shown = _some(places, bool(chart["x"].get("log")))
    rows = [(_place(place), *(_value(points.get(place)) for points in by_place)) for place in shown]
    header = (chart["x"].get("short", chart["x"]["label"]), *(series["label"] for series in drawn))
    marks = [mark["label"] for kind in ("upright", "across") for mark in chart.get(kind, [])]
    remarks = (f"in the chart: {chart['y']['label']}", *(f"marked: {mark}" for mark in marks))
    if len(shown) < len(places):
        remarks += (f"{len(shown)} of {len(places):,} places",)
    return Table(f"{chart['title']}: values", header, rows, remarks)


def _some(places: list[float], log: bool) -> list[float]:
    """Return at most `MOST` places, the first and the last among them, spread as the axis spreads them."""
    if len(places) <= MOST:
        return places
    last = len(places) - 1
    steps = [step / (MOST - 1) for step in range(MOST)]
    chosen = {round((last + 1) ** step - 1) if log else round(last * step) for step in steps}
    return [places[index] for index in sorted(chosen)]


def _place(place: float) -> str:
    return f"{place:,.0f}" if float(place).is_integer() else f"{place:.4g}"


def _value(point: Mapping[str, Any] | None) -> str:
    return "" if point is None else plus_minus(point["y"], point.get("sd"))


def settings_of(settings: Mapping[str, Any]) -> str:
    """Return the settings that were used as HTML, and those that had no value in one line."""
    rows: list[tuple[str, ...]] = [
        (key, _text(value)) for key, value in settings.items() if value is not None
    ]
    unset = ", ".join(key for key, value in settings.items() if value is None)
    remarks = (f"not set: {unset}",) if unset else ()
    table = words_of(Table("Settings", ("setting", "value"), rows, remarks))
    return f'<div class="settings">{table}</div>'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def remarks_of(texts: Iterable[str]) -> str:
    """Return a paragraph in small print for each text as HTML."""
    return "".join(f'<p class="remark">{escape(text)}</p>' for text in texts)


def versions_of(results: Mapping[str, Any]) -> str:
    """Return the versions of the packages that results were made with as HTML."""
    used = results["versions"].items()
    return remarks_of([", ".join(f"{name} {version}" for name, version in used if version)])


def table_of(table: Table) -> str:
    """Return a table with its title and remarks as HTML, in a region that scrolls sideways, by keys too."""
    return f"<h2>{escape(table.title)}</h2>\n{_scrolled(table)}"


def words_of(table: Table) -> str:
    """Return a table whose cells are words rather than numbers, and are broken into lines where there is no room."""
    return f'<div class="words">{table_of(table)}</div>'


def _scrolled(table: Table) -> str:
    head = "".join(f"<th scope=col>{escape(cell)}</th>" if cell else "<td></td>" for cell in table.header)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.header) else ""
    body = "\n".join(map(_row, table.rows))
    return (
        f'<div class="scroll" tabindex=0 role=region aria-label="{escape(table.title)}">'
        f"<table>{head}<tbody>\n{body}\n</tbody></table></div>{remarks_of(table.remarks)}"
    )


def _row(cells: tuple[str, ...]) -> str:
    first, *others = (escape(cell) for cell in cells)
    return f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"

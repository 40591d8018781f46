"""Write a measurement as one web page that needs no other file."""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from intrinsic_clip.reports.measurement_printout import headline
from intrinsic_clip.reports.measurement_tables import Table, tables
from intrinsic_clip.reports.page.document import document


def page(measurement: Mapping[str, Any], picture: bytes) -> str:
    """Return the page.

    Args:
        measurement: the content of measure.json.
        picture: the PNG to embed.
    """
    body = (
        f"<h1>How many dimensions do they use?</h1>\n<p>{escape(headline(measurement))}</p>\n"
        f'<p class="advice">{escape(measurement["advice"]["text"])}</p>\n'
        f"{image_of(picture, _description(measurement))}\n"
        + "\n".join(table_of(table) for table in tables(measurement))
        + f"\n{remarks_of(measurement['notes'])}\n{versions_of(measurement)}"
    )
    return document("intrinsic-clip measure", body)


def _description(measurement: Mapping[str, Any]) -> str:
    has_pairs = "retrieval/canonical" in measurement["curves"]
    last = "recall against dimensions kept" if has_pairs else "variance kept"
    return f"Four panels: spectrum, intrinsic dimension against scale and against sample size, {last}"


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
    """Return a table with its title and remarks as HTML."""

    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = f"<thead>{line(table.header, 'th')}</thead>" if any(table.header) else ""
    body = "\n".join(line(row, "td") for row in table.rows)
    return (
        f"<h2>{escape(table.title)}</h2>\n"
        f'<div class="scroll"><table>{head}<tbody>\n{body}\n</tbody></table></div>{remarks_of(table.remarks)}'
    )

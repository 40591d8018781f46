"""Write an estimate of the shared dimension as one web page that needs no other file."""

from collections.abc import Mapping
from html import escape
from typing import Any

from intrinsic_clip.reports.measurement_page import image_of, remarks_of, table_of, versions_of
from intrinsic_clip.reports.measurement_tables import Table
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.reports.shared_printout import advice, controls, headline, others
from intrinsic_clip.runs.tidy_table import flatten

DESCRIPTION = "Two panels: root eigenvalues of the consensus metric, and the ratio of each to the next"


def page(estimated: Mapping[str, Any], picture: bytes) -> str:
    """Return the page.

    Args:
        estimated: the content of shared.json.
        picture: the PNG to embed.
    """
    tables = [
        Table("controls", ("", ""), list(controls(estimated).items())),
        Table("other methods", ("", "dimensions"), list(others(estimated).items())),
        _spectrum(estimated),
        Table("settings", ("", ""), _settings(estimated["config"])),
    ]
    body = (
        f"<main>\n<h1>How many dimensions do they share?</h1>\n<p>{escape(headline(estimated))}</p>\n"
        f'<p class="advice">shared dimensions: {escape(estimated["text"])}</p>\n'
        f"<p>advice: {escape(advice(estimated))}</p>\n{remarks_of(estimated['notes'])}\n"
        f"{image_of(picture, DESCRIPTION)}\n"
        + "\n".join(table_of(table) for table in tables if table.rows)
        + f"\n{versions_of(estimated)}\n</main>"
    )
    return document("intrinsic-clip shared", body)


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
    return Table("spectrum of the consensus metric", ("direction", *columns), rows, (remark,))


def _settings(config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [(key, str(value)) for key, value in sorted(flatten(config).items()) if value is not None]

"""The same as one web page that needs nothing beside it."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

from intrinsic_clip.measure.printout import what
from intrinsic_clip.measure.tables import Table, tables

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
.advice { border-left: .3rem solid #0072b2; background: #f2f7fb; padding: .7rem 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem 1.1rem .15rem 0; text-align: right; white-space: pre }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 1px solid #999 }
tbody tr:nth-child(even) { background: #f7f7f7 } img { max-width: 100% } .remark { color: #666; margin: .3rem 0 0 }
"""


def page(found: Mapping[str, Any], picture: bytes) -> str:
    """HTML with the picture, a PNG, inside."""
    encoded = base64.b64encode(picture).decode()
    notes = "".join(f'<p class="remark">{escape(note)}</p>' for note in found["notes"])
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>intrinsic-clip probe</title><style>{STYLE}</style></head>'
        f"<body>\n<h1>How many dimensions do they use?</h1>\n<p>{escape(what(found))}</p>\n"
        f'<p class="advice">{escape(found["advice"]["text"])}</p>\n'
        f'<img alt="{escape(_described(found))}" src="data:image/png;base64,{encoded}">\n'
        + "\n".join(_table(table) for table in tables(found))
        + f'\n{notes}\n<p class="remark">{escape(versions)}</p>\n</body></html>\n'
    )


def _described(found: Mapping[str, Any]) -> str:
    last = (
        "recall against dimensions kept"
        if found["curves"].keys() & {"retrieval/canonical"}
        else "variance kept"
    )
    return f"Four panels: spectrum, intrinsic dimension against scale and against sample size, {last}"


def _table(table: Table) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = f"<thead>{line(table.header, 'th')}</thead>" if any(table.header) else ""
    body = "\n".join(line(row, "td") for row in table.rows)
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in table.remarks)
    return f"<h2>{escape(table.title)}</h2>\n<table>{head}<tbody>\n{body}\n</tbody></table>{remarks}"

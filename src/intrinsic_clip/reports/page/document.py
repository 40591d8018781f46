"""Build an HTML document that holds its style, scripts and data, and may load nothing."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any


def document(
    title: str,
    body: str,
    styles: Sequence[str] = ("base.css",),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
) -> str:
    """Return one self-contained page.

    Its content security policy names the hashes of its own style and script: nothing is fetched, and code hidden in
    the data is not run.

    Args:
        title: plain text.
        body: HTML.
        styles, scripts: names of files in `assets`. The scripts run as one, in a scope of their own.
        data: for the scripts, as JSON in the element `data`.

    Raises:
        ValueError: the data hold NaN or infinity, which JSON cannot express.
    """
    style = "\n".join(asset(name) for name in styles)
    script = "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in scripts) + "})();\n"
    runs = _source(script) if scripts else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {runs}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>\n</head>\n<body>\n{body}",
    ]
    if data is not None:
        parts.append(f'<script type="application/json" id="data">{_embedded(data)}</script>')
    if scripts:
        parts.append(f"<script>{script}</script>")
    return "\n".join([*parts, "</body>\n</html>\n"])


def asset(name: str) -> str:
    """Return the text of a file in `assets`."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """Return a source of a content security policy: the hash of a style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(data: Mapping[str, Any]) -> str:
    """Return JSON that no HTML parser mistakes for markup: `</script>` and `<!--` lose their brackets."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

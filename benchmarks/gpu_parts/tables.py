"""Show what the parts measured as Markdown."""

from collections.abc import Mapping
from typing import Any


def as_markdown(content: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Return all parts, a table for each."""
    machine = ", ".join(f"{name} {value}" for name, value in content["machine"].items())
    lines = [f"{content['written']}: {machine}" + (", in miniature" if content["smoke"] else "")]
    for name, part in content["parts"].items():
        lines += ["", f"## {titles[name]}", "", f"{part['status']} after {part['seconds']:.0f} s", ""]
        lines += [_line(measured) for measured in part["numbers"]]
        if part["last_lines"]:
            lines += ["", *(f"    {line}" for line in part["last_lines"])]
    return "\n".join(lines)


def _line(measured: Mapping[str, Any]) -> str:
    numbers = ", ".join(f"{key} {_short(value)}" for key, value in measured.items() if key != "name")
    return f"- **{measured['name']}**: {numbers}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""Show the outcome of rules: a line for each, and as JUnit XML, which continuous integration reads."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from intrinsic_clip.reports.measurement_tables import plus_minus

SUITE = "intrinsic-clip measure"


def check_lines(outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each outcome, `ok` or `FAILED`, the number's name, its value and its limit."""
    rows = [(_word(each), each["number"], _value(each), each["limit"]) for each in outcomes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row, each in zip(rows, outcomes, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(f"{cells}  ({each['reason']})" if each["reason"] else cells)
    return lines


def check_summary(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Return how many rules were kept, as a sentence."""
    failed = sum(not each["ok"] for each in outcomes)
    return f"{failed:,} of {len(outcomes):,} failed" if failed else f"all {len(outcomes):,} kept"


def junit_xml(outcomes: Sequence[Mapping[str, Any]], rules_file: str, seconds: float) -> bytes:
    """Return a test suite with a case for each outcome, as JUnit XML."""
    failed = sum(not each["ok"] for each in outcomes)
    counts = {"tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": SUITE, **counts, "time": f"{seconds:.3f}"})
    for each in outcomes:
        place = {"classname": _printable(rules_file), "name": each["number"]}
        case = ElementTree.SubElement(suite, "testcase", place)
        if not each["ok"]:
            text = f"{each['number']} is {_value(each)}, must be {each['limit']}"
            message = f"{text}: {each['reason']}" if each["reason"] else text
            ElementTree.SubElement(case, "failure", {"type": "limit", "message": _printable(message)})
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n"


def _printable(text: str) -> str:
    """Return text without the characters that XML cannot hold, such as those of control."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _word(outcome: Mapping[str, Any]) -> str:
    return "ok" if outcome["ok"] else "FAILED"


def _value(outcome: Mapping[str, Any]) -> str:
    value = outcome["value"]
    if value is None:
        return "not measured"
    if not outcome["standard_error"] and float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return plus_minus(value, outcome["standard_error"])

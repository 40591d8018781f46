"""Arrange how forms of stored rows compare in tables of text, one line for each number of bytes."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.number_format import Table, plus_minus

COLUMNS = {
    "principal": "principal",
    "canonical": "canonical",
    "prefix": "prefix",
    "random_coordinates": "random coord.",
    "random_projection": "random proj.",
    "principal_int8": "princ. int8",
    "canonical_int8": "canonical int8",
    "int8": "int8, 1 bit",
    "product": "product",
}
BESIDE = {"binary": "int8"}  # in another form's column: the two never take equally many bytes
NUMBERS = {
    "recall_1": "recall@1",
    "recall_10": "recall@10",
    "class_accuracy": "class accuracy",
    "overlap_10": "share of the ten nearest neighbours kept",
}
GUESSED = {"class_accuracy": ", the share of the largest class"}  # by number, where it is not plain
REMARK = (
    "float32 unless said; int8: 8 bits per coordinate; 1 bit: signs; product: a byte for each part of a row. "
)
MARKED = "* within one standard error of {full} with all {bytes:,} bytes, by the paired difference over held-out rows"
UNMARKED = (
    "No form is marked as good enough: {full} with all {bytes:,} bytes is no better than guessing, which is "
    "what any form keeps"
)
CANONICAL = (
    "x and y differ in width, so that canonical directions are all that they have in common: a matrix for each side "
    "maps it to {dims:,} coordinates, the full ones here"
)


def form_tables(forms: Mapping[str, Any]) -> list[Table]:
    """Return a table for each number by which forms were compared; none where they were not."""
    if not forms:
        return []
    full = forms["full"]
    rows = sorted(forms["rows"], key=lambda row: -int(row["bytes"]))
    present = [name for name in COLUMNS if any(row["form"] == name for row in rows)]
    tables = [_table(forms, number, rows, present) for number in NUMBERS if number in full]
    return tables + form_tables(forms.get("alone") or {})


def form_name(row: Mapping[str, Any]) -> str:
    """Return what a form is, such as `8 principal dimensions in int8`."""
    dims = f"{row['dims']:,}"
    names = {
        "principal": f"{dims} principal dimensions",
        "canonical": f"{dims} canonical dimensions",
        "prefix": f"a prefix of {dims} coordinates",
        "random_coordinates": f"{dims} coordinates drawn at random",
        "random_projection": f"{dims} random directions",
        "principal_int8": f"{dims} principal dimensions in int8",
        "canonical_int8": f"{dims} canonical dimensions in int8",
        "int8": f"all {dims} coordinates in int8",
        "binary": f"1 bit for each of {dims} coordinates",
        "product": f"product quantisation in {row['bytes']:,} parts",
    }
    return names[row["form"]]


def within_error(compared: Mapping[str, float | None]) -> bool:
    """Return whether a number is within one standard error of that of the full rows; not so if either is unknown."""
    difference, error = compared["difference"], compared["difference_error"]
    return difference is not None and error is not None and difference >= -error


def is_by_chance(full: Mapping[str, float | None], chance: float | None) -> bool:
    """Return whether a number of the full rows may be that of guessing, within three standard errors.

    Args:
        full: the number, with its error.
        chance: the number by guessing; None: guessing gives nothing.
    """
    value, error = full["value"], full["standard_error"]
    return chance is not None and value is not None and value - 3 * (error or 0.0) <= chance


def _table(forms: Mapping[str, Any], number: str, rows: list[dict[str, Any]], present: list[str]) -> Table:
    full = forms["full"]
    cells = {(row["bytes"], BESIDE.get(row["form"], row["form"])): row for row in rows}
    sizes = list(dict.fromkeys([full["bytes"], *(row["bytes"] for row in rows)]))
    chance = (forms.get("chance") or {}).get(number)  # files of before have none
    guessed = is_by_chance(full[number], chance)
    lines = [
        (
            f"{size:,}",
            f"{size // 4:,}" if size % 4 == 0 else "",
            *(_cell(cells.get((size, name)), number, guessed) for name in present),
        )
        for size in sizes
    ]
    remark = REMARK + (UNMARKED if guessed else MARKED).format(
        full=plus_minus(full[number]["value"], full[number]["standard_error"]), bytes=full["bytes"]
    )
    among_x = forms["side"] == "x" or number == "class_accuracy"
    n, unit = (forms.get("n_x", forms["n"]), "rows of x") if among_x else (forms["n"], "pairs")
    canonical = forms.get("along") == "canonical"
    along = " along canonical directions" if canonical else ""
    title = f"{NUMBERS[number]}{along} at equal bytes per stored row, {n:,} held-out {unit}"
    title += "" if chance is None else f"; chance {chance:.2g}{GUESSED.get(number, '')}"
    remarks = (remark, CANONICAL.format(dims=full["dims"])) if canonical else (remark,)
    return Table(title, ("bytes", "floats", *(COLUMNS[name] for name in present)), lines, remarks)


def _cell(row: Mapping[str, Any] | None, number: str, guessed: bool) -> str:
    if row is None:
        return ""
    compared = row[number]
    if compared["value"] is None:
        return "–"
    mark = "*" if not guessed and within_error(compared) else " "
    return plus_minus(compared["value"], compared["standard_error"]) + mark

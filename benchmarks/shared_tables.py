"""Tables of measured worlds, as Markdown and CSV: how often k* was named, by group of worlds and by method."""

import csv
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
SUMMARY = (
    "worlds",
    "exact",
    "within 1",
    "off by more",
    "refused",
    "both views exact",
    "interval covers k*",
    "median seconds",
)
METHODS = ("method", "answers", "exact", "within 1", "bias", "spread")
COLUMNS = (
    "seed",
    "mixing",
    "kind",
    "k*",
    "private",
    "columns",
    "n",
    "noise",
    "heavy",
    "verdict",
    "x, y alone",
    "interval",
    "top 1",
    "seconds",
)
OWN = "shared"
# Methods whose answer is a number of dimensions, as the tables and the picture call them.
TITLES = {
    OWN: "shared",
    "cca": "rank of CCA",
    "kernel_cca": "rank of kernel CCA",
    "joint_mle": "joint MLE",
    "joint_twonn": "joint TwoNN",
    "mle_x": "MLE of f(X)",
    "mle_y": "MLE of g(Y)",
    "twonn_x": "TwoNN of f(X)",
    "twonn_y": "TwoNN of g(Y)",
    "sufficient": "smallest sufficient d",
    "jacobian_rank": "Jacobian rank, one run",
    "jacobian_gap": "Jacobian gap, one run",
}


def known(row: Row) -> int:
    """Return k*, the larger of both views' shared dimensions."""
    return max(row["truth"])


def is_target(row: Row) -> bool:
    """Say if a world is one of those that the estimate should name: many pairs, few shared dimensions."""
    return bool(row["n"] >= 5000 and known(row) <= 8)


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the worlds by what is asked about them; groups without worlds are left out."""
    tests: dict[str, Callable[[Row], bool]] = {
        "n ≥ 5,000, k* ≤ 8": is_target,
        "– plain and noisy ones of these": lambda row: is_target(row) and row["kind"] in ("plain", "noisy"),
        "all": lambda row: True,
        "k* = 0": lambda row: known(row) == 0,
        "k* > 8": lambda row: known(row) > 8,
        "heavy tails": lambda row: bool(row["heavy"]),
        "more than 100 columns": lambda row: max(row["widths"]) > 100,
    }

    def equal(key: str, value: Any) -> Callable[[Row], bool]:
        return lambda row: bool(row[key] == value)

    for key, title in (("n", "n = {:,}"), ("mixing", "{}"), ("kind", "kind {}")):
        for value in sorted({row[key] for row in rows}):
            tests[title.format(value)] = equal(key, value)
    chosen = {name: [row for row in rows if test(row)] for name, test in tests.items()}
    return {name: members for name, members in chosen.items() if members}


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the numbers of SUMMARY for some worlds; a refusal is no clear gap."""
    named = [row for row in rows if row["dimension"] is not None]
    errors = [abs(row["dimension"] - known(row)) for row in named]
    covered = sum(row["interval"][0] <= known(row) <= row["interval"][1] for row in named)
    return [
        str(len(rows)),
        _share(sum(error == 0 for error in errors), len(rows)),
        _share(sum(error <= 1 for error in errors), len(rows)),
        str(sum(error > 1 for error in errors)),
        str(len(rows) - len(named)),
        str(sum(list(row["sides"].values()) == list(row["truth"]) for row in rows)),
        f"{covered}/{len(named)}",
        f"{statistics.median(row['seconds'] for row in rows):.0f}",
    ]


def answers(rows: Sequence[Row]) -> dict[str, list[tuple[float, int]]]:
    """Return the answers of each method by title with k* beside; worlds where it has none are left out."""
    asked = {OWN}.union(*(row["others"] for row in rows))
    collected: dict[str, list[tuple[float, int]]] = {TITLES[name]: [] for name in TITLES if name in asked}
    for row in rows:
        for name, value in {OWN: row["dimension"], **row["others"]}.items():
            if value is not None and name in TITLES:
                collected[TITLES[name]].append((float(value), known(row)))
    return collected


def methods(rows: Sequence[Row]) -> list[list[str]]:
    """Return the numbers of METHODS; exact and within 1 are of the rounded answers, among all worlds."""
    lines = []
    for name, pairs in answers(rows).items():
        errors = [value - k for value, k in pairs]
        rounded = [abs(round(value) - k) for value, k in pairs]
        lines.append(
            [
                name,
                f"{len(pairs)}/{len(rows)}",
                _share(sum(error == 0 for error in rounded), len(rows)),
                _share(sum(error <= 1 for error in rounded), len(rows)),
                f"{statistics.mean(errors):+.2f}" if errors else "–",
                f"{statistics.pstdev(errors):.2f}" if errors else "–",
            ]
        )
    return lines


def failures(rows: Sequence[Row]) -> list[Row]:
    """Return the worlds that were given a wrong number, or none."""
    return [row for row in rows if row["dimension"] != known(row)]


def markdown(rows: Sequence[Row]) -> str:
    """Return all tables: by group, by method, where it fails, and every world."""
    chosen = groups(rows)
    parts = [_table(("", *SUMMARY), [[name, *summary(members)] for name, members in chosen.items()])]
    if any(row["others"] for row in rows):
        for name in [name for name in ("n ≥ 5,000, k* ≤ 8", "all") if name in chosen]:
            parts += [f"Methods, {name}:", _table(METHODS, methods(chosen[name]))]
    parts += ["Not exact:", _table(COLUMNS, [_cells(row) for row in failures(rows)])]
    parts += [
        "All worlds:",
        _table(COLUMNS, [_cells(row) for row in sorted(rows, key=lambda row: row["seed"])]),
    ]
    return "\n\n".join(parts) + "\n"


def write(rows: Sequence[Row], store: Path) -> str:
    """Write the tables beside the store, and return those in Markdown."""
    text = markdown(rows)
    store.with_suffix(".md").write_text(text)
    names = sorted({name for row in rows for name in row["others"]})
    with store.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *names])
        writer.writerows([*_cells(row), *(row["others"].get(name) for name in names)] for row in rows)
    with store.with_name(f"{store.stem}_groups.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["group", *SUMMARY])
        writer.writerows([name, *summary(members)] for name, members in groups(rows).items())
    return text


def _share(count: int, of: int) -> str:
    return f"{count}/{of} ({100 * count / of:.0f} %)"


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = "|---" * len(header) + "|"
    return "\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)])


def _cells(row: Row) -> list[str]:
    return [
        str(row["seed"]),
        row["mixing"],
        row["kind"],
        str(known(row)),
        "+".join(map(str, row["private"])),
        "+".join(map(str, row["widths"])),
        f"{row['n']:,}",
        f"{row['noise']:.2f}",
        "yes" if row["heavy"] else "",
        row["text"],
        ", ".join("–" if side is None else str(side) for side in row["sides"].values()),
        "–".join(map(str, row["interval"])),
        f"{row['matching']['top_1']:.3f}",
        f"{row['seconds']:.0f}",
    ]

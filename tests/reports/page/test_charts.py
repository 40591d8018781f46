"""Charts as Chromium draws them, without a driver: the page's elements after its script has run."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from intrinsic_clip.reports.number_format import plus_minus
from intrinsic_clip.reports.page.document import asset, document
from intrinsic_clip.reports.page.write import report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=900,700",
)


def elements(page: str, folder: Path) -> str:
    """Return a page's elements, as text, after its script has run."""
    path = folder / "page.html"
    path.write_text(page)
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri()]
    dump = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout
    return dump.partition("<body>")[2]


def drawn(spec: dict[str, Any], folder: Path) -> str:
    """Return the elements of one chart."""
    page = document(
        "chart",
        '<div id="legend-one"></div><div id="chart-one"></div>',
        styles=["base.css", "chart.css"],
        scripts=["chart.js", "charts.js"],
        data={"charts": [{"id": "one", "x": {"label": "d"}, "y": {"label": "k"}} | spec]},
    )
    return elements(page, folder).partition("<script")[0]


def texts(elements: str, anchor: str) -> list[str]:
    """Return the labels of the ticks of an axis, by their anchor: `end` for the vertical one."""
    found = re.findall(rf'<text x="[^"]*" y="[^"]*" text-anchor="{anchor}">([^<]*)<', elements)
    return [text for text in found if re.fullmatch(r"[\d.,e−]+", text)]


def spread(low: float, high: float) -> dict[str, Any]:
    points = [{"x": low, "y": low, "sd": None}, {"x": high, "y": high, "sd": None}]
    return {"series": [{"label": "a", "colour": "black", "points": points}]}


@pytest.mark.parametrize(
    ("low", "high", "step"), [(1.0015, 1.0025, 0.0002), (100_001, 100_009, 2), (2e7 + 1, 2e7 + 9, 2)]
)
def test_ticks_have_the_digits_that_tell_them_apart(low, high, step, tmp_path) -> None:
    found = drawn(spread(low, high), tmp_path)
    for labels in (texts(found, "end"), texts(found, "middle")):
        values = [float(label.replace(",", "").replace("−", "-")) for label in labels]
        apart = {round((b - a) / step, 3) for a, b in pairwise(values)}
        assert len(values) > 2
        assert len(apart) == 1, labels
        assert 0 not in apart


def test_ticks_that_differ_by_much_keep_their_few_digits(tmp_path) -> None:
    assert texts(drawn(spread(0, 1), tmp_path), "end")[:2] == ["0", "0.5"]


def test_the_script_writes_values_with_their_errors_as_the_terminal_does(tmp_path) -> None:
    """Compare both forms of one rule, from numbers that need an exponent to errors without decimals."""
    errors = (0.25, 250.0, 1e-3, 0.0996, 7e-6, 6e-7, 1e-6, 4e-10, 9.96e-8, 3e-12, 2e-16, 0.0)
    values = (0.0, 3.0, 12.345, -1234.5, 0.0125, -2e-5, 9.9999e-5, 1.2e-6, 2.5e-9, 1e-12)
    cases = [(value, error) for value in values for error in errors]
    script = f"const cases = {json.dumps(cases)}; const both = cases.map((c) => plusMinus(...c).join(''));"
    page = f"<body><script>{asset('chart.js')};{script}document.body.textContent = both.join('|')</script>"
    written = elements(page, tmp_path).partition("</body>")[0].strip().replace("−", "-").split("|")
    as_in_terminal = [plus_minus(*case) for case in cases]
    assert [text.replace(",", "") for text in written] == as_in_terminal


@pytest.mark.parametrize("log", [False, True])
def test_an_axis_of_whole_numbers_has_no_ticks_between_them(log, tmp_path) -> None:
    """Check a short run's steps and a few d, on either kind of axis."""
    for low, high in ((1, 2), (4, 7)):
        x = {"label": "d", "whole": True, "log": log}
        found = texts(drawn(spread(low, high) | {"x": x}, tmp_path), "middle")
        assert found == [str(tick) for tick in range(low, high + 1)]


def content_of(page: Path) -> tuple[dict[str, Any], str, str]:
    """Return the data of a page, and the text before and behind them."""
    before, data, after = re.split(r'(?<=id="data">)(.*?)(?=</script>)', page.read_text(), maxsplit=1)
    return json.loads(data), before, after


def truths(elements: str) -> list[list[tuple[float, float]]]:
    """Return the corners of each dashed line of a chart; of a short mark only its beginning."""
    paths = re.findall(r'<path d="M([^"]*)" class="truth"', elements)
    corners = [[corner.partition("h")[0].split(",") for corner in path.split("L")] for path in paths]
    return [[(float(x), float(y)) for x, y in path] for path in corners]


def test_each_line_of_the_true_dimension_has_its_own_points(tmp_path) -> None:
    """Check that k* = 5 over d and k* of 1 to 15 at one d give a line and marks, not a line that rises there."""
    fixed = [{"x": d, "y": 5, "line": 0} for d in (7, 12, 20)]
    others = [{"x": 20, "y": k, "line": line} for line, k in enumerate((1, 10, 15, 15), 1)]
    found = drawn(spread(7, 20) | {"truth": [*fixed, *others]}, tmp_path)
    line, *marks = truths(found)
    assert [x for x, _ in line] == sorted({x for x, _ in line})
    assert len({y for _, y in line}) == 1
    assert [len(mark) for mark in marks] == [1, 1, 1]
    assert found.count(">k*<") == 4


def test_a_sweep_draws_the_true_dimension_for_each_combination(sweep, tmp_path) -> None:
    """Check that of two noises over d, each with a k* of its own, no line goes from one k* to the other."""
    content, before, after = content_of(report(sweep, tmp_path / "report.html"))
    for group in content["groups"]:
        group["shared_dim"] = 5 if group["settings"]["data.noise"] else 2
    found = elements(before + json.dumps(content).replace("<", "\\u003c") + after, tmp_path)
    lines = truths(found.partition('id="sweep-panels"')[2].partition("</figure>")[0])
    assert [len(line) for line in lines] == [2, 2]
    assert all(len({y for _, y in line}) == 1 for line in lines)


def test_three_modalities_and_their_six_directions_are_told_apart(lone, tmp_path) -> None:
    """Check that each line of a panel is drawn, in a colour and dashes of its own, where x and y are not all."""
    content, before, after = content_of(report(lone, tmp_path / "report.html"))
    ways = [f"{a} → {b}" for a, b in ("xy", "yx", "xz", "zx", "yz", "zy")]
    for family, labels in (("id/mle", ["f(X)", "g(Y)", "h(Z)"]), ("matching/top_1", ways)):
        (chosen,) = (each for each in content["families"] if each["id"] == family)
        metric = chosen["lines"][0]["metric"]
        chosen["lines"] = [{"metric": metric, "label": label} for label in labels]
    group, training = content["groups"][0], content["trainings"][0]
    content["groups"] = [group | {"settings": {"encoder.output_dim": d}} for d in (2, 4)]
    content["trainings"] = [training | {"group": place} for place in (0, 1)]
    content["differing"], content["axes"] = (
        [{"key": "encoder.output_dim", "name": "d"}],
        ["encoder.output_dim"],
    )
    content["metrics"] = {name: values * 2 for name, values in content["metrics"].items()}
    content["similarities"], content["spectra"] = [None, None], [None, None]
    content["trajectories"]["curves"] = {
        name: curves * 2 for name, curves in content["trajectories"]["curves"].items()
    }
    found = elements(before + json.dumps(content).replace("<", "\\u003c") + after, tmp_path)
    figures = found.partition('id="sweep-panels"')[2].split("</figure>")
    for count in (3, 6):
        panel = next(text for text in figures if len(re.findall('class="key"', text)) == count)
        lines = re.findall(
            r'class="line"[^>]*?(?:stroke-dasharray="([^"]*)")? style="stroke: ([^;"]*)', panel
        )
        assert len(set(lines)) == count, lines
        assert len({colour for _, colour in lines}) == count
    over_training = found.partition('id="training"')[2].partition("</figure>")[0].partition('role="img"')[2]
    drawn_lines = re.findall(r'class="line"[^>]*', over_training.partition("</svg>")[0])
    assert len(set(drawn_lines)) == 6, drawn_lines


def test_a_mean_over_fewer_repetitions_than_the_table_says_has_their_number(sweep, tmp_path) -> None:
    """Check the table, what a chart of the sweep and the one over training read out, and the CSV."""
    content, before, after = content_of(report(sweep, tmp_path / "report.html"))
    first = [place for place, training in enumerate(content["trainings"]) if training["group"] == 0]
    for place in first[1:]:
        content["metrics"]["id/mle/x"][place] = None
        grid, values = content["trajectories"]["curves"]["id/mle/x"][place]
        content["trajectories"]["curves"]["id/mle/x"][place] = [grid, [None] * len(values)]
    read = (
        "const home = () => new KeyboardEvent('keydown', {key: 'Home'});"
        "const boxes = document.querySelectorAll('#sweep svg[role=img], #training > svg');"
        "boxes.forEach((box) => box.dispatchEvent(home()));"
        "document.body.append(html('pre', { id: 'made' }, csv()));"
    )
    behind = after.replace("})();\n</script>", f"{read}}})();\n</script>")
    page = before + json.dumps(content).replace("<", "\\u003c") + behind
    page = re.sub(
        '<meta http-equiv="Content-Security-Policy"[^>]*>', "", page
    )  # which allows no other script
    found = elements(page, tmp_path)
    rows = found.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    assert f"<small> (n = {len(first) - 2})</small>" in rows[0]
    assert rows[0].count("n = ") == 1
    assert not any("n = " in row for row in rows[1:])
    tooltips = found.partition('id="sweep-panels"')[2].split('class="tooltip"')[1:]
    over_training = found.partition('id="training"')[2].split('class="tooltip"')[1]
    for tooltip in (tooltips[0], over_training):
        assert tooltip.partition("</table>")[0].count("(n = 1)") == 1
    header, *lines = found.partition('id="made">')[2].partition("<")[0].splitlines()
    names = header.split(",")
    assert [line.split(",")[names.index("id/mle/x/n")] for line in lines] == ["1", "3", "3", "3"]
    assert {line.split(",")[names.index("id/mle/y/n")] for line in lines} == {"3"}

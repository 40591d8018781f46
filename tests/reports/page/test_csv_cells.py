"""Cells of the CSV that a report's page offers, from its own script."""

import csv
import json
import shutil
import subprocess

import pytest

from intrinsic_clip.reports.page.document import asset

NODE = shutil.which("node")
GROUPS = """
const data = {{ differing: [{{ key: 'name' }}] }};
const families = [{{ lines: [{{ metric: 'id/mle/x' }}] }}];
const groups = {texts}.map((text) => ({{ settings: {{ name: text }}, repetitions: 1 }}));
const final = () => ({{ y: -1.5, sd: 0, n: 1 }});
{function}
process.stdout.write(csv());
"""


@pytest.mark.skipif(NODE is None, reason="there is no Node.js")
def test_a_text_that_is_a_formula_has_an_apostrophe_and_numbers_have_none() -> None:
    script = asset("summary.js")
    function = script[script.index("function csv()") :].partition("\n}\n")[0] + "\n}"
    texts = ["=1+1", "+cmd", "-x", "@sum", "-0.5", "+3", "plain=", 'a,"b', -2, None]
    page = GROUPS.format(texts=json.dumps(texts), function=function)
    done = subprocess.run([str(NODE), "-e", page], capture_output=True, text=True, check=True, timeout=240)
    header, *rows = csv.reader(done.stdout.splitlines())
    assert header == ["name", "repetitions", "id/mle/x", "id/mle/x/std", "id/mle/x/n"]
    assert [row[0] for row in rows] == [
        *("'=1+1", "'+cmd", "'-x", "'@sum", "-0.5", "+3", "plain=", 'a,"b', "-2", "")
    ]
    assert {row[2] for row in rows} == {"-1.5"}

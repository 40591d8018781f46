"""The page of a measurement."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import intrinsic_clip as ic
from helpers.manifolds import gaussian
from helpers.shared_latent import QUICK, shared_latent
from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_page import page
from intrinsic_clip.reports.next_steps import next_steps

COMMAND = {
    "x": "my images.npy",
    "y": "y.npy",
    "run": None,
    "data": None,
    "encoder": None,
    "k": 20,
    "nan": "refuse",
}


@pytest.fixture(scope="module")
def measurement() -> dict:
    """Measure 300 pairs, as the command that named two files would."""
    numbers = ic.measure_embeddings(*shared_latent(300, 0.1, 0.1), estimators=["mle"], max_points=200)
    return {"config": COMMAND, "versions": {"torch": "2"}, **numbers}


class Outline(HTMLParser):
    """Collects what an accessibility check looks at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.tags: dict[str, list[dict[str, str | None]]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.setdefault(tag, []).append(dict(attrs))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))


def test_it_is_labelled_and_ordered(measurement) -> None:
    outline = Outline(page(measurement))
    assert outline.tags["html"] == [{"lang": "en"}]
    assert len(outline.tags["main"]) == len(outline.tags["h1"]) == 1
    assert all(
        after <= before + 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False)
    )
    assert len(outline.ids) == len(set(outline.ids))
    regions = [each for each in outline.tags["div"] if each.get("role") == "region"]
    assert len(regions) == len(outline.tags["table"])
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in regions)
    assert all(each.get("scope") in ("row", "col") for each in outline.tags["th"])
    assert "img" not in outline.tags


def test_its_charts_have_the_numbers_of_the_measurement(measurement) -> None:
    html = page(measurement)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
    assert data is not None
    drawn = {chart["id"]: chart for chart in json.loads(data[1])["charts"]}
    assert list(drawn) == ["spectrum", "scale", "sample-size", "kept"]
    curve = measurement["curves"]["retrieval/principal"]
    points = drawn["kept"]["series"][0]["points"]
    assert [(point["x"], point["y"]) for point in points] == list(
        zip(curve["at"], curve["value"], strict=True)
    )
    for name in drawn:
        assert f'id="chart-{name}"' in html
        assert f'id="legend-{name}"' in html


def test_without_pairs_it_shows_the_variance_kept() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 4))
    rows[:, 3] = 0
    numbers = ic.measure_embeddings(rows, estimators=["mle"])
    variance = charts(numbers)[-1]
    assert variance["id"] == "variance"
    assert variance["series"][0]["points"][2]["y"] == pytest.approx(100)
    assert variance["upright"] == [{"x": 3, "label": "3 hold 99 % of x"}]
    assert len(charts(numbers)[0]["series"][0]["points"]) == 3  # 0 has no logarithm


def test_it_says_what_to_do_next_in_words_that_can_be_typed(measurement) -> None:
    codes = [step.code for step in next_steps({**measurement, "notes": []})]
    exported = "intrinsic-clip measure 'x=my images.npy' y=y.npy export=cut.safetensors"
    assert codes[0].startswith(exported)
    assert (
        codes[1]
        == "intrinsic-clip apply cut.safetensors x=new.npy output=small.npy y=new_y.npy output_y=small_y.npy"
    )
    asked = {**measurement, "estimates": [{**measurement["estimates"][0], "asked": 1000}]}
    assert "queries=4000" in [step.code for step in next_steps(asked)][-1]
    assert "Read the 2 notes below first" in next_steps({**measurement, "notes": ["a", "b"]})[0].reason


@pytest.mark.parametrize(
    ("settings", "typed"),
    [
        ({"groups": "of what.npy", "groups_key": "id"}, "'groups=of what.npy' groups_key=id"),
        ({"groups": ["a.csv", "b.csv"]}, "'groups=[a.csv,b.csv]'"),
        ({"labels": "class", "columns": ["emb_*"], "nan": "drop"}, "'columns=[emb_*]' labels=class nan=drop"),
        ({"drop": "label", "subsample": 2000}, "drop=label subsample=2000"),
    ],
)
def test_what_to_do_next_is_about_the_same_rows(measurement, settings, typed) -> None:
    steps = next_steps({**measurement, "config": COMMAND | settings, "notes": []})
    assert steps[0].code.startswith(f"intrinsic-clip measure 'x=my images.npy' y=y.npy {typed} export=")


def test_no_export_is_proposed_of_pairs_that_ids_of_both_sides_make() -> None:
    x, y = shared_latent(300, 0.1, 0.1)
    ids = list(range(300))
    made = ic.measure_embeddings(x, y, groups={"x": ids, "y": ids[::-1]}, estimators=["mle"], max_points=200)
    codes = [step.code for step in next_steps({"config": COMMAND | {"groups": "id"}, **made})]
    assert not [code for code in codes if "export" in code or "apply" in code]
    assert ".save(" in next_steps({"config": {}, **made})[1].code  # rows in memory are at hand in their order


def test_it_says_which_settings_were_used(measurement) -> None:
    html = page(measurement)
    assert "<h2>Which dimension to believe</h2>\n<p>x: Estimates" in html
    assert "<th scope=row>k</th><td>20</td>" in html
    assert "not set: run, data, encoder" in html


@pytest.mark.slow
def test_page_is_whole_in_itself(command_line, tmp_path) -> None:
    x, y = shared_latent(600, 0.1, 0.1)
    np.save("<b>&.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=<b>&.npy", "y=y.npy", *QUICK) == 0
    (folder,) = tmp_path.glob("outputs/measure/*")
    html = (folder / "measure.html").read_text()
    assert (folder / "measure.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(
        r"(?:src|href)=\"?https?://|@import|url\(|<link (?!rel=\"icon\" href=\"data:,\")", html
    )
    assert "default-src 'none'" in html
    assert "&lt;b&gt;&amp;.npy" in html
    assert "<b>" not in html
    assert "dimensions keep retrieval within one standard error" in html


def test_one_dimension_is_in_the_singular() -> None:
    z = gaussian(300, 1)
    alone = ic.measure_embeddings(z @ gaussian(1, 4, seed=1), estimators=["mle"])
    assert charts(alone)[-1]["upright"] == [{"x": 1, "label": "1 holds 99 % of x"}]
    assert "1 of 4 principal components holds 99 % of the variance" in alone["advice"]["text"]
    curve = {"at": [1, 4], "value": [0.5, 0.5], "standard_error": [0.01, 0.01], "n": 150}
    pairs = {
        **alone,
        "curves": {**alone["curves"], "retrieval/principal": curve},
        "advice": {"dims": 1, "of": 4, "text": ""},
    }
    assert charts(pairs)[-1]["upright"] == [{"x": 1, "label": "1 of 4 is enough"}]

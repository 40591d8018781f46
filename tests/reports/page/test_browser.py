"""Pages as a reader meets them, in headless Chromium: they render, load nothing, and their controls work."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

import intrinsic_clip as ic
from helpers.manifolds import gaussian
from helpers.shared_estimate import ESTIMATED
from helpers.shared_latent import shared_latent
from helpers.two_models import measured_against
from intrinsic_clip.reports import measurement_page as measurements
from intrinsic_clip.reports import shared_page
from intrinsic_clip.reports.page.document import asset
from intrinsic_clip.reports.page.write import SCRIPTS, report

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
INSTALLED = bool(CHROMIUM and DRIVER)
HINT = "Chromium is not installed: apt-get install chromium chromium-driver"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not INSTALLED, reason=HINT)]
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--disable-dev-shm-usage", "--window-size=1400,1000",
)  # fmt: skip


class Page:
    """A page in the browser."""

    def __init__(self, driver: WebDriver, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def open(self, path: Path) -> None:
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.resolve().as_uri())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.one(selector))
        self.one(selector).click()

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def curves(self) -> dict[str, str]:
        """Return the lines of the chart over training: the name of each, and its path."""
        return {
            group.get_attribute("data-series"): group.find_element(By.CSS_SELECTOR, ".line").get_attribute(
                "d"
            )
            for group in self.all("#training .series")
        }

    def errors(self) -> list[str]:
        """Return the messages of the console, including violations of the content security policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Return the schemes of all requests of the page, including its own."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        ours = [event["params"] for event in sent if event["params"]["documentURL"].startswith("file:")]
        assert ours
        return {parameters["request"]["url"].partition(":")[0] for parameters in ours}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Page(driver, downloads)
    driver.quit()


@pytest.fixture
def shown(page: Page, sweep: Path, tmp_path: Path) -> Iterator[Page]:
    """Open the report of a sweep; afterwards check that it had no errors and used no network."""
    page.open(report(sweep, tmp_path / "page.html"))
    yield page
    assert page.errors() == []
    assert page.requests() <= {"file", "data", "blob"}


def final(sweep: Path, metric: str, d: int, noise: float) -> tuple[float, float]:
    """Return mean and standard deviation from results.json."""
    for path in sweep.glob("*/*/results.json"):
        results: dict[str, Any] = json.loads(path.read_text())
        if results["config"]["data"]["noise"] == noise:
            summary, place = results["metrics"][metric], results["config"]["encoder"]["output_dim"].index(d)
            return summary["mean"][place], summary["std"][place]
    raise AssertionError("no such run")


@pytest.mark.long
def test_every_section_is_drawn(shown: Page) -> None:
    assert shown.one("h1").text == "custom"
    assert "2 runs · 4 settings × 3 repetitions · 12 trainings" in shown.one("#what").text
    assert len(shown.all("#table tbody tr")) == 4
    assert len(shown.all("#sweep-panels svg[role=img]")) == 4
    assert len(shown.all("#similarities-panels svg[role=img]")) == 4
    assert len(shown.all("#spectra-chart .series")) == 8
    assert [text for text in shown.texts(".differs td:first-child") if "noise" in text] == ["data.noise"]
    assert "k* = 5" in shown.texts("#training text")
    width = shown.driver.execute_script("return document.documentElement.scrollWidth")
    assert width <= shown.driver.execute_script("return window.innerWidth")
    code = "\n".join(asset(f"{name}.js") for name in SCRIPTS)
    declared = re.findall(r"^(?:const|let|function) (\w+)", code, re.MULTILINE)
    leaked = "return arguments[0].filter((name) => Object.hasOwn(window, name))"
    assert len(declared) > 40
    assert shown.driver.execute_script(leaked, declared) == []


def test_the_table_has_the_numbers_and_sorts_them(shown: Page, sweep: Path) -> None:
    rows = [row.text for row in shown.all("#table tbody tr")]
    mean, std = final(sweep, "id/mle/x", 4, 0.5)
    decimals = 1 - int(np.floor(np.log10(std)))
    assert f"{mean:.{decimals}f} ± {std:.{decimals}f}" in rows[3]
    button = "#table th[title='Intrinsic dimension, MLE f(X)'] button"
    for order, sign in (("ascending", 1), ("descending", -1)):
        shown.click(button)
        assert shown.one("#table th[aria-sort]").get_attribute("aria-sort") == order
        keys = [tuple(text.split()[:2]) for text in shown.texts("#table tbody tr")]
        values = [final(sweep, "id/mle/x", int(d), float(noise))[0] * sign for d, noise in keys]
        assert values == sorted(values)


def test_the_csv_has_all_numbers_in_full(shown: Page, sweep: Path) -> None:
    shown.click("#csv")
    path = shown.downloads / "custom.csv"
    WebDriverWait(shown.driver, 10).until(lambda _: path.exists())
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 4
    for row in rows:
        where = int(row["encoder.output_dim"]), float(row["data.noise"])
        for metric in ("id/mle/x", "temperature", "in_sample/matching/top_1/y_to_x"):
            numbers = float(row[metric]), float(row[f"{metric}/std"])
            assert numbers == pytest.approx(final(sweep, metric, *where), rel=1e-9)


def test_the_sweep_goes_over_any_number_that_differs(shown: Page) -> None:
    assert "output dimension d" in shown.texts("#sweep-panels text")
    assert shown.texts("#sweep-legend .key") == ["noise = 0", "noise = 0.5"]
    Select(shown.one("#sweep-controls select")).select_by_visible_text("data.noise")
    assert "data.noise" in shown.texts("#sweep-panels text")
    assert shown.texts("#sweep-legend .key") == ["d = 2", "d = 4"]
    before = shown.one("#sweep-panels .line").get_attribute("d")
    Select(shown.one("#sweep-panels select")).select_by_visible_text("Mean cosine of pairs")
    assert shown.one("#sweep-panels .line").get_attribute("d") != before


def test_switches_metrics_and_modes_change_the_curves(shown: Page) -> None:
    means = shown.curves()
    assert len(means) == 8  # settings × sides
    shown.click("input[name=mode][value=each]")
    each = shown.curves()
    assert len(each) == 24
    shown.all("#switches summary")[0].send_keys(Keys.ENTER)
    shown.click("#switches input[data-training='1']")
    gone = set(each) - set(shown.curves())
    assert gone == {f"d = 2, noise = 0 · {side} · replicate 1" for side in ("f(X)", "g(Y)")}
    shown.click("#switches input[data-group='3']")
    assert len(shown.curves()) == 24 - 2 - 6
    assert len(shown.all("#similarities-panels svg[role=img]")) == 3
    shown.click("input[name=mode][value=mean]")
    fewer = shown.curves()
    changed = {name for name in fewer if fewer[name] != means[name]}
    assert {f"d = 2, noise = 0 · {side}" for side in ("f(X)", "g(Y)")} <= changed
    Select(shown.one("#training-controls select")).select_by_visible_text("Temperature τ")
    assert set(shown.curves()) == {"d = 2, noise = 0", "d = 2, noise = 0.5", "d = 4, noise = 0"}
    logarithmic = shown.curves()
    shown.click("#log-values")
    assert set(shown.curves().values()).isdisjoint(logarithmic.values())
    shown.all("#switches button")[1].click()
    assert shown.curves() == {}
    assert shown.all("#similarities-panels svg[role=img]") == []
    shown.all("#switches button")[0].click()
    assert len(shown.curves()) == 4


def test_hover_and_keys_read_out_the_number_at_a_step(shown: Page, sweep: Path) -> None:
    svg = shown.one("#training > svg")
    shown.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    ActionChains(shown.driver).move_to_element_with_offset(svg, svg.size["width"] // 2 - 60, 0).perform()
    tooltip = shown.one("#training .tooltip")
    last = max(int(text.replace(",", "")) for text in [tooltip.find_element(By.TAG_NAME, "strong").text[5:]])
    mean, std = final(sweep, "id/mle/x", 4, 0.0)
    decimals = 1 - int(np.floor(np.log10(std)))
    assert f"d = 4, noise = 0 · f(X) {mean:.{decimals}f} ± {std:.{decimals}f}" in tooltip.text.replace(
        "\n", " "
    )
    assert len(shown.all("#training .crosshair circle")) == 8
    svg.send_keys(Keys.HOME)
    assert tooltip.text.startswith("step 0")
    svg.send_keys(Keys.ARROW_RIGHT)
    between = int(tooltip.find_element(By.TAG_NAME, "strong").text[5:])
    assert 0 < between < last
    svg.send_keys(Keys.ESCAPE)
    assert not tooltip.is_displayed()


def test_it_fits_a_narrow_screen_and_follows_dark_mode(shown: Page) -> None:
    devtools = shown.driver.execute_cdp_cmd
    light = shown.one("body").value_of_css_property("background-color")
    devtools(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    try:
        widths = (
            "return [...document.querySelectorAll('.chart > svg')].map((svg) => svg.viewBox.baseVal.width)"
        )
        WebDriverWait(shown.driver, 10).until(lambda driver: max(driver.execute_script(widths)) < 400)
        assert shown.driver.execute_script("return document.documentElement.scrollWidth") == 400
        assert shown.one("body").value_of_css_property("background-color") != light
    finally:
        devtools("Emulation.clearDeviceMetricsOverride", {})
        devtools("Emulation.setEmulatedMedia", {"features": []})


def test_a_lone_run_and_one_without_curves(page: Page, lone: Path, tmp_path: Path) -> None:
    page.open(report(lone, tmp_path / "lone.html"))
    assert page.all("#sweep") == []
    assert len(page.curves()) == 2
    assert len(page.all("#table tbody tr")) == 1
    (folder,) = lone.glob("*/*")
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.csv", "*.safetensors"))
    page.open(report(tmp_path / "bare"))
    assert page.all("#similarities, #spectra") == []
    assert "no metrics over training" in page.one("#training").text
    assert page.errors() == []


CONTRAST = """
const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(channel);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const opaque = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return node === document.documentElement || !/, 0\\)$/.test(colour) ? colour : opaque(node.parentElement);
};
const texts = [...document.querySelectorAll('main *')].filter((node) =>
  [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) && node.checkVisibility());
return Math.min(...texts.map((node) => {
  const style = getComputedStyle(node);
  const pair = [node.closest('svg') ? style.fill : style.color, opaque(node)].map(luminance).sort((a, b) => a - b);
  return (pair[1] + 0.05) / (pair[0] + 0.05);
}));
"""

CLIPPED = """
return [...document.querySelectorAll('.chart > svg')].flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  const beyond = ({ left, right, top, bottom }) =>
    left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1;
  return [...svg.querySelectorAll('text')]
    .filter((text) => beyond(text.getBoundingClientRect()))
    .map((text) => text.textContent);
});
"""


@pytest.fixture
def measurement_page(page: Page, tmp_path: Path) -> Iterator[Page]:
    """Open the page of a measurement of pairs; afterwards check that it had no errors and used no network."""
    x, y = shared_latent(300, 0.1, 0.1)
    ic.measure_embeddings(x, y, estimators=["mle"], max_points=200).html(tmp_path / "measure.html")
    page.open(tmp_path / "measure.html")
    yield page
    assert page.errors() == []
    assert page.requests() <= {"file", "data"}


def check_names(page: Page) -> None:
    """Check that a chart's name says its axes, which the image hides, and not the title, which its heading says."""
    for figure in page.all("figure"):
        heading = figure.find_element(By.TAG_NAME, "h3").text
        image = figure.find_element(By.CSS_SELECTOR, "svg[role=img]")
        name = image.get_attribute("aria-label")
        drawn = [text.text.removesuffix(" (log)") for text in image.find_elements(By.TAG_NAME, "text")]
        y, _, x = name.removesuffix(". Arrow keys read out the values.").partition(" over ")
        assert heading not in name
        assert {x, y} <= set(drawn), name


def test_the_page_of_a_measurement(measurement_page: Page) -> None:
    page, run = measurement_page, measurement_page.driver.execute_script
    assert page.one("h1").text == "How many dimensions do they use?"
    assert len(page.all("figure svg[role=img][tabindex='0'][aria-label]")) == 4
    check_names(page)
    assert page.texts("#legend-kept .key") == ["principal directions", "canonical directions"]
    svg = page.one("#chart-kept > svg")
    svg.send_keys(Keys.HOME)
    assert page.one("#chart-kept .tooltip").text.startswith("dimensions 1\n")
    assert run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.one("main > .scroll").send_keys("")
    assert run("return document.activeElement.getAttribute('role')") == "region"
    assert run("return getComputedStyle(document.activeElement).outlineWidth") == "2px"


def test_the_page_of_a_measurement_on_a_phone_in_light_and_dark(measurement_page: Page) -> None:
    check_widths_and_modes(measurement_page)


def check_widths_and_modes(page: Page) -> None:
    """Check contrast in light and dark, and that a phone need not scroll sideways."""
    devtools, run = page.driver.execute_cdp_cmd, page.driver.execute_script
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    try:
        for width in (360, 1200):
            devtools("Emulation.setDeviceMetricsOverride", size | {"width": width, "mobile": width == 360})
            for mode in ("light", "dark"):
                media = {"features": [{"name": "prefers-color-scheme", "value": mode}]}
                devtools("Emulation.setEmulatedMedia", media)
                assert run(CONTRAST) >= 4.5
            assert run("return document.documentElement.scrollWidth") <= width
            assert run(CLIPPED) == []
    finally:
        devtools("Emulation.clearDeviceMetricsOverride", {})
        devtools("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_of_two_models(page: Page, tmp_path: Path) -> None:
    x, y = gaussian(120, 6), gaussian(120, 6, seed=1)
    measurement = measured_against({"x": x, "y": y}, {"x": x + 0.5 * y, "y": y})
    (tmp_path / "measure.html").write_text(measurements.page(measurement))
    page.open(tmp_path / "measure.html")
    assert len(page.all("figure svg[role=img][tabindex='0'][aria-label]")) == 10
    check_names(page)
    assert page.texts("#legend-both-spectrum .key") == ["x: old.npy", "against: new.npy"]
    page.one("#chart-both-neighbours > svg").send_keys(Keys.END)
    read = page.one("#chart-both-neighbours .tooltip").text
    assert read.startswith("neighbours kept 10\n")
    assert "by chance" in read
    page.click("#chart-both-neighbours + details > summary")
    assert len(page.all("#chart-both-neighbours + details[open] tbody tr")) == 11
    check_widths_and_modes(page)
    assert page.errors() == []
    assert page.requests() <= {"file", "data"}


def test_the_page_of_a_shared_dimension(page: Page, tmp_path: Path) -> None:
    (tmp_path / "shared.html").write_text(shared_page.page(ESTIMATED))
    page.open(tmp_path / "shared.html")
    assert page.one("h1").text == "How many dimensions do they share?"
    assert page.texts("#legend-spectra .key") == ["x", "x, shuffled pairs", "y"]
    check_names(page)
    assert "2 shared" in page.one("#chart-spectra").text
    assert "least gap 1.2" in page.one("#chart-ratios").text
    page.one("#chart-ratios > svg").send_keys(Keys.END)
    assert page.one("#chart-ratios .tooltip").text.split("\n")[0] == "dimensions 2"
    check_widths_and_modes(page)
    assert page.errors() == []
    assert page.requests() <= {"file", "data"}

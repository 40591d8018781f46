"""The picture of a measurement."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from helpers.manifolds import gaussian
from helpers.shared_latent import shared_latent
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.reports.measurement_picture import draw

pytestmark = pytest.mark.slow

CONFIG = {"run": None, "data": None, "encoder": None, "x": "image.npy", "y": "text.npy"}
BACKEND = """
import matplotlib
matplotlib.use("svg")
import intrinsic_clip.reports.measurement_picture
print(matplotlib.get_backend())
"""


def _measurement(*sides: np.ndarray) -> dict:
    return {
        **measure_embeddings(*map(torch.from_numpy, sides), estimators=["mle"], max_points=200),
        "config": CONFIG,
    }


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Collect the legend of each panel by its title, as it is drawn."""
    legends: dict[str, list[str]] = {}
    original = Axes.legend

    def legend(self, *args, **kwargs):
        legends[self.get_title()] = self.get_legend_handles_labels()[1]
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Axes, "legend", legend)
    return legends


def test_panels_of_pairs_show_both_sides_and_the_advice(drawn) -> None:
    measurement = _measurement(*shared_latent(600, 0.1, 0.1))
    picture = Image.open(io.BytesIO(draw(measurement)))
    assert picture.format == "PNG"
    dims = measurement["advice"]["dims"]
    assert drawn["Spectrum"] == ["x", "y"]
    assert drawn["Retrieval by cosine with fewer dimensions"] == [
        "principal directions",
        "canonical directions",
        f"{dims} of 64 are enough",
    ]


def test_a_plateau_is_named_where_the_curve_is_level(drawn) -> None:
    level, sloping = gaussian(600, 3).numpy(), shared_latent(600, 0.1, 0.1)[0]
    measurement = _measurement(level, sloping)
    draw(measurement)
    plateau = measurement["curves"]["scale/x"]["plateau"]["value"]
    assert measurement["curves"]["scale/y"]["plateau"] is None
    assert drawn["Intrinsic dimension against scale (GRIDE)"] == [f"x, plateau {plateau:.3g}", "y"]


def test_x_alone_shows_the_variance_kept(drawn) -> None:
    measurement = _measurement(shared_latent(600, 0.1, 0.1)[0])
    draw(measurement)
    assert drawn["Variance kept"] == ["x", f"{measurement['advice']['dims']} hold 99 % of x"]
    assert not any("Retrieval" in title for title in drawn)


def test_names_are_shown_as_they_are() -> None:
    measurement = _measurement(np.ones((50, 5)), np.ones((50, 5)))
    assert draw({**measurement, "config": {**CONFIG, "x": "5$_{a.npy", "y": "b^{$.npy"}}).startswith(
        b"\x89PNG"
    )


@pytest.mark.filterwarnings("error")
def test_points_without_variance_are_drawn_without_a_warning() -> None:
    assert draw(_measurement(np.ones((50, 5)), np.ones((50, 5)))).startswith(b"\x89PNG")


def test_the_backend_stays_the_users() -> None:
    process = subprocess.run([sys.executable, "-c", BACKEND], capture_output=True, text=True, check=True)
    assert process.stdout == "svg\n"

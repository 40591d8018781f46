"""Estimators by name: a new file is enough to add one, and wrong names are refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import intrinsic_clip
from helpers.manifolds import gaussian
from intrinsic_clip import dimension
from intrinsic_clip.dimension import DimensionEstimate, mle, nearest_neighbours, registry, twonn
from intrinsic_clip.measurement.measurements import measure_embeddings
from intrinsic_clip.probes import IntrinsicDimensionProbe

OTHERS = ("corrected_participation_ratio", "mean_mle", "spanning_tree")  # beside the default ones
NEW_FILE = '''
"""An estimator that somebody adds."""

from intrinsic_clip.dimension.mle import mle
from intrinsic_clip.dimension.registry import estimator


@estimator(neighbours="k", on_all_rows=True)
def half_mle(points, k=20):
    estimate = mle(points, k)
    return type(estimate)(estimate.value / 2, estimate.standard_error, None, estimate.n, k)
'''
USE = """
import torch
from intrinsic_clip import dimension
from intrinsic_clip.dimension import registry

points = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
registry.check_names(["mle", "half_mle"])
by_name = registry.prepare("half_mle", k=20, available=20)(points)
assert by_name.value == dimension.half_mle(points).value == dimension.mle(points).value / 2
"""


@pytest.fixture
def own_estimator() -> Iterator[None]:
    @registry.estimator(neighbours="wide")
    def own(points, k: int = 3) -> DimensionEstimate:
        return mle(points, k)

    yield
    del registry._entries["own"]


@pytest.mark.slow
def test_a_new_file_is_found(tmp_path: Path) -> None:
    source = Path(intrinsic_clip.__file__).parent
    copy = tmp_path / "intrinsic_clip"
    (copy / "dimension").mkdir(parents=True)
    for path in [*source.iterdir(), *(source / "dimension").glob("*.py")]:
        if path.name != "dimension":
            (copy / path.relative_to(source)).symlink_to(path)
    (copy / "dimension/half_mle.py").write_text(NEW_FILE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_registered_function_is_known_by_its_name(own_estimator: None) -> None:
    assert registry.check_names(["own", "twonn"]) == ["own", "twonn"]
    assert list(registry.registered()) == [*registry.DEFAULT, *sorted([*OTHERS, "own"])]
    assert registry.neighbours_needed("own", k=5, wide=40) == 40
    assert not registry.runs_on_all_rows("own")
    points = gaussian(200, 3)
    metrics = measure_embeddings(points, estimators=["own"])["metrics"]
    assert metrics["id/own/x"] == pytest.approx(mle(points, 100).value.item())
    probe = IntrinsicDimensionProbe(estimators=["own"])
    assert list(probe.names(["x", "y"])) == ["id/own/x", "id/own/y"]


def test_the_estimators_of_the_package_are_registered_in_their_order() -> None:
    assert tuple(registry.registered()) == (*registry.DEFAULT, *OTHERS)
    for name, function in registry.registered().items():
        assert getattr(dimension, name) is function


@pytest.mark.parametrize(
    ("name", "needed", "on_all_rows"),
    [
        ("mle", 7, True),
        ("twonn", 2, True),
        ("gride", 2, True),
        ("correlation_integral", 20, False),
        ("method_of_moments", 50, False),
        ("mada", 7, False),
        ("tle", 7, False),
        ("local_pca", 50, False),
        ("mean_mle", 7, True),
        ("spanning_tree", 1, False),
        ("corrected_participation_ratio", 1, True),
        ("DANCo", 1, False),
    ],
)
def test_neighbours_and_rows_of_each(name: str, needed: int, on_all_rows: bool) -> None:
    assert registry.neighbours_needed(name, k=7, wide=50) == needed
    assert registry.runs_on_all_rows(name) == on_all_rows


def test_prepared_with_as_many_neighbours_as_wanted_and_available() -> None:
    neighbours = nearest_neighbours(gaussian(100, 3), 12)
    for k in (5, 20):
        estimate = registry.prepare("mle", k, available=12)(neighbours)
        torch.testing.assert_close(estimate.value, mle(neighbours, min(k, 12)).value)
    torch.testing.assert_close(registry.prepare("twonn", 5, 12)(neighbours).value, twonn(neighbours).value)
    assert registry.prepare("TwoNN", 5, 12)(neighbours).value.isfinite()


def test_wrong_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="must name each estimator once"):
        registry.check_names(["mle", "mle"])
    with pytest.raises(
        ValueError, match=r"no estimator tonn; choose from mle, twonn, .*scikit-dimension .*DANCo"
    ):
        registry.check_names(["mle", "tonn"])
    monkeypatch.setitem(sys.modules, "skdim", None)
    with pytest.raises(ValueError, match=r"no estimator MOM; .*pip install scikit-dimension"):
        registry.check_names(["MOM"])


def test_wrong_registrations() -> None:
    def no_option(points) -> DimensionEstimate:
        return mle(points)

    with pytest.raises(
        ValueError, match='no_option needs an option k to be registered with neighbours="wide"'
    ):
        registry.estimator(neighbours="wide")(no_option)
    no_option.__name__ = "mle"
    with pytest.raises(ValueError, match=r"intrinsic_clip\.dimension\.mle has an estimator mle already"):
        registry.estimator(neighbours=1)(no_option)
    assert registry.registered()["mle"] is mle

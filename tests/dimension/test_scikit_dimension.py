"""Test the wrapper of scikit-dimension: its values, errors, failures and missing installation."""

import sys

import numpy as np
import pytest
import skdim
import torch

from helpers.manifolds import gaussian, manifold
from intrinsic_clip.dimension import scikit_dimension


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        ("DANCo", {"k": 5}),
        ("ESS", {"n_neighbors": 20}),
        ("FisherS", {}),
        ("KNN", {"k": 3}),
        ("MiND_ML", {}),
        ("PH", {"nsteps": 5}),
        ("CorrInt", {}),
    ],
)
def test_equals_scikit_dimension(estimator: str, options: dict) -> None:
    points = manifold("nonlinear", 120)
    kind = getattr(skdim.id, estimator)
    fit = {name: options[name] for name in options if name == "n_neighbors"}
    seed = {"random_state": 0} if "random_state" in kind._get_param_names() else {}
    reference = kind(**{n: v for n, v in options.items() if n not in fit}, **seed).fit(points, **fit)
    estimate = scikit_dimension(torch.from_numpy(points), estimator, **options)
    assert estimate.value.item() == pytest.approx(reference.dimension_)
    if estimator == "ESS":
        np.testing.assert_allclose(estimate.pointwise, reference.dimension_pw_)
    else:
        assert estimate.pointwise is None
    assert estimate.standard_error.isnan()
    assert (estimate.n, estimate.k, estimate.reason) == (120, None, None)


def test_replicates_equal_one_at_a_time() -> None:
    points = gaussian(2, 2, 90, 4)
    points[0, 1, 30:60] = points[0, 1, :30]
    points[0, 1, 70, 2] = torch.nan
    points[1, 0, :, 1:] = 3.0
    points[1, 1] = 0.0
    with pytest.warns(UserWarning, match="duplicates"):
        together = scikit_dimension(points, "MADA", standard_error=True)
    for index in ((0, 0), (0, 1)):
        good = points[index][[*range(30), *range(60, 70), *range(71, 90)] if index[1] else slice(None)]
        alone = scikit_dimension(good, "MADA", standard_error=True)
        torch.testing.assert_close(together.value[index], alone.value)
        torch.testing.assert_close(together.standard_error[index], alone.standard_error)
    assert together.pointwise[0, 1, 30:60].isnan().all()
    assert together.value[1, 0] == 1
    assert together.value[1, 1].isnan()


@pytest.mark.slow
def test_standard_error_is_of_the_size_of_the_spread() -> None:
    estimate = scikit_dimension(gaussian(60, 200, 3), "TwoNN", standard_error=True)
    assert estimate.value.std() == pytest.approx(
        estimate.standard_error.square().mean().sqrt().item(), rel=0.4
    )


def test_half_precision_and_constant_columns() -> None:
    points = gaussian(100, 3).half()
    padded = torch.cat([points, torch.ones(100, 2).half()], -1)
    expected = skdim.id.TwoNN().fit(points.double().numpy()).dimension_
    assert scikit_dimension(padded, "TwoNN").value.item() == pytest.approx(expected)


def test_a_failure_is_a_reason() -> None:
    with pytest.warns(UserWarning, match="GRIDE failed: ValueError: n2=64 needs"):
        estimate = scikit_dimension(gaussian(2, 30, 3), "GRIDE", n1=32)
    assert estimate.value.isnan().all()
    assert estimate.reason.startswith("GRIDE failed: ValueError: n2=64 needs at least")


def test_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="no estimator 'Danco', only CorrInt, DANCo"):
        scikit_dimension(gaussian(30, 3), "Danco")
    with pytest.raises(ValueError, match="MiND_ML has no option K, only k, D, ver"):
        scikit_dimension(gaussian(30, 3), "MiND_ML", K=3)
    with pytest.raises(ValueError, match="no option n_neighbors"):
        scikit_dimension(gaussian(30, 3), "DANCo", n_neighbors=3)


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skdim", None)
    with pytest.raises(ImportError, match="pip install scikit-dimension"):
        scikit_dimension(gaussian(30, 3))

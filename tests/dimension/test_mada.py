"""Test MADA against scikit-dimension, ties and bad input."""

import numpy as np
import pytest
import skdim
import torch

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import mada


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int) -> None:
    points = manifold(name, n)
    reference = skdim.id.MADA().fit(points)
    estimate = mada(torch.from_numpy(points))
    assert estimate.value.item() == pytest.approx(reference.dimension_, rel=1e-9)
    np.testing.assert_allclose(estimate.pointwise, reference.dimension_pw_, rtol=1e-7)
    assert (estimate.n, estimate.k, estimate.reason) == (n, 20, None)


@pytest.mark.parametrize("k", [2, 7, 50])
@pytest.mark.parametrize("combine", ["mean", "median"])
def test_options_equal_scikit_dimension(k: int, combine: str) -> None:
    points = gaussian(300, 4)
    reference = skdim.id.MADA().fit(points.numpy(), n_neighbors=k, comb=combine).dimension_
    assert mada(points, k, combine).value.item() == pytest.approx(reference, rel=1e-9)


def test_ties_make_only_the_mean_infinite() -> None:
    points = torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0))
    with pytest.warns(UserWarning, match="no farther"):
        estimate = mada(points, k=4)
    assert estimate.value.isnan()
    assert "no farther" in estimate.reason
    assert not estimate.pointwise.isinf().any()
    assert mada(points, k=20, combine="harmonic").value == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize(
    ("options", "message"), [({"k": 1}, "at least 2"), ({"combine": "mode"}, "combine must be")]
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mada(gaussian(50, 2), **options)

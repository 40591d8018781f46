"""Test the method of moments against scikit-dimension, and bad input."""

import numpy as np
import pytest
import skdim
import torch

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import method_of_moments


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int) -> None:
    points = manifold(name, n)
    reference = skdim.id.MOM().fit(points)
    estimate = method_of_moments(torch.from_numpy(points))
    assert estimate.value.item() == pytest.approx(reference.dimension_, rel=1e-6)
    np.testing.assert_allclose(estimate.pointwise, reference.dimension_pw_, rtol=1e-6)
    assert (estimate.n, estimate.k, estimate.reason) == (n, 100, None)


@pytest.mark.parametrize("k", [2, 7, 50])
@pytest.mark.parametrize("combine", ["mean", "median", "harmonic"])
def test_options_equal_scikit_dimension(k: int, combine: str) -> None:
    points = gaussian(300, 4)
    reference = skdim.id.MOM().fit(
        points.numpy(), n_neighbors=k, comb="mean" if combine == "harmonic" else combine
    )
    expected = reference.dimension_
    if combine == "harmonic":
        expected = 1 / np.mean(1 / reference.dimension_pw_)
    assert method_of_moments(points, k, combine).value.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"), [({"k": 1}, "at least 2"), ({"combine": "mode"}, "combine must be")]
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_of_moments(gaussian(50, 2), **options)

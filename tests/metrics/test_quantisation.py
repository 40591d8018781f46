"""Quantised rows against NumPy and scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from helpers.manifolds import gaussian
from intrinsic_clip.metrics.quantisation import ByteQuantiser, ProductQuantiser, signs


def test_bytes_are_rounded_to_256_levels_of_the_range() -> None:
    rows = gaussian(300, 5) * torch.tensor([1.0, 10.0, 0.1, 1.0, 0.0]) + 3
    quantiser = ByteQuantiser.fit(rows)
    codes = quantiser.codes(rows)
    assert codes.dtype == torch.uint8
    low, high = rows.numpy().min(0), rows.numpy().max(0)
    expected = np.round((rows.numpy() - low) / np.where(high > low, high - low, 1) * 255)
    np.testing.assert_allclose(codes.numpy(), expected, atol=1)
    step = (high - low) / 255
    assert (np.abs(quantiser(rows).numpy() - rows.numpy()) <= step / 2 + 1e-6).all()
    beyond = rows[:1] + 100
    torch.testing.assert_close(quantiser(beyond)[0, :4], rows.amax(0)[:4])  # clipped to the range fitted on


def test_signs_order_rows_as_hamming_distances_do() -> None:
    a, b = gaussian(20, 16), gaussian(30, 16, seed=1)
    distance = ((a.numpy() > 0)[:, None] != (b.numpy() > 0)[None]).sum(-1)
    np.testing.assert_array_equal((16 - (signs(a) @ signs(b).T).numpy()) / 2, distance)


def test_product_codes_name_the_nearest_centroids() -> None:
    rows = gaussian(400, 7)
    quantiser = ProductQuantiser.fit(rows, 3)
    codes = quantiser.codes(rows)
    assert codes.shape == (400, 3)
    assert sum(part.shape[1] for part in quantiser.centroids) == 7
    decoded = quantiser.decode(codes).numpy()
    start = 0
    for place, own in enumerate(quantiser.centroids):
        part = rows.numpy()[:, start : start + own.shape[1]]
        distance = ((part[:, None] - own.numpy()[None]) ** 2).sum(-1)
        assert (distance[np.arange(400), codes[:, place].numpy()] <= distance.min(1) + 1e-5).all()
        np.testing.assert_allclose(
            decoded[:, start : start + own.shape[1]], own.numpy()[codes[:, place].numpy()], atol=1e-6
        )
        start += own.shape[1]


def test_centroids_are_as_good_as_those_of_scikit_learn() -> None:
    rows = gaussian(3000, 4).float()
    quantiser = ProductQuantiser.fit(rows, 1)
    own = float((quantiser(rows) - rows).square().sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = KMeans(256, n_init=1, max_iter=10, random_state=0).fit(rows.numpy()).inertia_
    assert own < 1.1 * reference


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_a_mean_far_from_the_origin_costs_no_digits(offset: float) -> None:
    rows = gaussian(2000, 6)
    near, far = (
        quantiser(each) - each
        for each, quantiser in (
            (each, ProductQuantiser.fit(each, 3)) for each in (rows, rows.double() + offset)
        )
    )
    torch.testing.assert_close(far, near.to(far), atol=1e-4, rtol=0)


def test_few_rows_have_a_centroid_each() -> None:
    rows = gaussian(50, 4)
    torch.testing.assert_close(ProductQuantiser.fit(rows, 2)(rows), rows.double(), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="parts must lie between 1 and 4"):
        ProductQuantiser.fit(rows, 5)

"""Test uniformity against its definition and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import uniformity


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("t", [0.5, 2.0, 50.0])
def test_equals_the_definition(t: float, dtype: torch.dtype) -> None:
    x = gaussian(80, 5).to(dtype)
    rows = torch.nn.functional.normalize(x.double(), dim=-1).numpy()
    expected = math.log(np.exp(-t * pdist(rows, "sqeuclidean")).mean())
    assert uniformity(x, t).item() == pytest.approx(expected, rel=1e-9)


def test_closed_forms() -> None:
    assert uniformity(torch.full((100, 3), 0.3)).item() == pytest.approx(0, abs=1e-12)
    assert uniformity(torch.eye(7)).item() == pytest.approx(-4)  # all at squared distance 2
    opposite = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])
    assert uniformity(opposite, 1000.0).item() == pytest.approx(-4000)  # exp of it is no number
    assert uniformity(gaussian(3000, 500)).item() == pytest.approx(-4, abs=0.05)


def test_a_zero_vector_is_the_origin() -> None:
    x = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    expected = math.log((2 * math.exp(-2) + math.exp(-4)) / 3)
    assert uniformity(x).item() == pytest.approx(expected)


def test_replicates_and_blocks_equal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gaussian(2, 3, 50, 4)
    x[0, 1, 3, 2] = math.nan
    together = uniformity(x)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    for index in np.ndindex(2, 3):
        torch.testing.assert_close(uniformity(x[index]), together[index], equal_nan=True)
    assert together.isnan().tolist() == [[False, True, False], [False] * 3]
    torch.testing.assert_close(uniformity(1e-30 * x), together, equal_nan=True)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="n >= 2"):
        uniformity(torch.ones(1, 3))
    with pytest.raises(ValueError, match="t must be positive"):
        uniformity(torch.ones(4, 3), 0.0)

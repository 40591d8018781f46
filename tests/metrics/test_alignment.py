"""Test alignment, modality gap and pair similarities against values by hand."""

import math

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import alignment, modality_gap, pair_similarities
from intrinsic_clip.metrics.alignment import directions


def test_alignment_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    y = torch.tensor([[5.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    assert alignment(x, y).item() == pytest.approx((1 + math.sqrt(0.5) - 1) / 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_alignment_is_that_of_the_directions(dtype: torch.dtype) -> None:
    x, y = gaussian(3, 50, 6).to(dtype), gaussian(3, 50, 6, seed=1).to(dtype)
    expected = torch.nn.functional.cosine_similarity(x.double(), y.double(), dim=-1).mean(-1)
    torch.testing.assert_close(alignment(x, y), expected)
    torch.testing.assert_close(alignment(4 * x, y / 8), expected)
    assert alignment(x, -2 * x).tolist() == pytest.approx([-1.0] * 3)


def test_alignment_of_tiny_and_zero_vectors() -> None:
    x = gaussian(40, 3).float()
    assert alignment(1e-30 * x, x).item() == pytest.approx(1, abs=1e-6)
    x[:10] = 0.0
    assert alignment(x, x).item() == pytest.approx(0.75)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e160, 1e200, 1e300])
def test_directions_of_rows_whose_squares_overflow_or_vanish(scale) -> None:
    rows = torch.randn(3, 20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scaled = rows.clone()
    scaled[:, ::2] *= scale
    torch.testing.assert_close(directions(scaled), directions(rows), rtol=1e-14, atol=1e-14)
    assert alignment(scaled, rows).tolist() == pytest.approx([1.0] * 3)
    broken = torch.tensor([[0.0, 0.0], [torch.nan, 1.0], [3.0, 4.0]], dtype=torch.float64)
    found = directions(broken)
    assert found[0].tolist() == [0, 0]
    assert found[1].isnan().all()
    assert found[2].tolist() == [0.6, 0.8]
    assert directions(torch.empty(4, 0)).shape == (4, 0)


def test_modality_gap_by_hand() -> None:
    x = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert modality_gap(x, -x).item() == pytest.approx(math.sqrt(2))
    assert modality_gap(x, 3 * x.flip(0)).item() == pytest.approx(0, abs=1e-12)
    same = torch.ones(5, 3)
    assert modality_gap(same, -2 * same).item() == pytest.approx(2)


def test_modality_gap_of_replicates_and_broken_rows() -> None:
    x, y = gaussian(2, 3, 50, 4), gaussian(2, 3, 50, 4, seed=1) + 1
    together = modality_gap(x, y)
    assert together.shape == (2, 3)
    torch.testing.assert_close(together[1, 2], modality_gap(x[1, 2], y[1, 2]))
    torch.testing.assert_close(modality_gap(1e-30 * x, 1e30 * y), together)
    x[0, 0, 3, 1] = math.nan
    assert modality_gap(x, y).isnan().sum() == 1


def test_pair_similarities() -> None:
    x, y = gaussian(4, 30, 5), gaussian(4, 30, 5, seed=1)
    similarities = pair_similarities(x, y)
    scores = x @ y.mT
    torch.testing.assert_close(similarities.positive, scores.diagonal(dim1=-2, dim2=-1))
    partners = (scores - similarities.random[..., None]).abs().argmin(-1)
    torch.testing.assert_close(scores.gather(-1, partners[..., None]).squeeze(-1), similarities.random)
    assert (partners == partners[0]).all()
    assert sorted(partners[0].tolist()) == list(range(30))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_random_pairs_are_never_partners(n: int) -> None:
    rows = torch.eye(n)
    for seed in range(50):
        similarities = pair_similarities(rows, rows, seed=seed)
        assert similarities.positive.tolist() == [1.0] * n
        assert similarities.random.tolist() == [0.0] * n


def test_random_pairs_depend_on_the_seed_only() -> None:
    x, y = gaussian(30, 5), gaussian(30, 5, seed=1)
    state = torch.get_rng_state()
    first = pair_similarities(x, y, seed=3).random
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(pair_similarities(x, y, seed=3).random, first)
    assert not torch.equal(pair_similarities(x, y, seed=4).random, first)


def test_wrong_arguments() -> None:
    x = gaussian(10, 3)
    with pytest.raises(ValueError, match="alike and not empty"):
        alignment(x, gaussian(10, 4))
    with pytest.raises(ValueError, match="at least 2 rows"):
        pair_similarities(x[:1], x[:1])

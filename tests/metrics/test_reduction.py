"""Test retrieval with fewer dimensions: directions against scikit-learn, recall by hand, sufficient dimensions."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics import (
    Matching,
    canonical_directions,
    counterparts,
    linear_recovery,
    partner_ranks,
    principal_directions,
    retrieval_by_dimension,
    smallest_sufficient,
    top_matching,
)
from intrinsic_clip.metrics.reduction import RetrievalByDimension


def pairs(*shape: int, latent: int = 6, d: int = 16, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Return representations that share `latent` of their d dimensions, in a rotated space."""
    shared = gaussian(*shape, latent) @ torch.linalg.qr(gaussian(d, d, seed=1)).Q[:latent]
    return shared + noise * gaussian(*shape, d, seed=2), shared + noise * gaussian(*shape, d, seed=3)


def test_principal_directions_equal_scikit_learn() -> None:
    x = gaussian(100, 5) * torch.linspace(2, 0.5, 5) + 1
    basis = principal_directions(x)
    torch.testing.assert_close(basis.T @ basis, torch.eye(5, dtype=torch.float64))
    expected = TruncatedSVD(4, algorithm="arpack").fit(x.numpy()).components_
    np.testing.assert_allclose(np.abs(np.sum(basis.numpy()[:, :4].T * expected, 1)), 1, rtol=1e-6)
    torch.testing.assert_close(principal_directions(1e-200 * x).abs(), basis.abs())


def test_canonical_directions_equal_scikit_learn() -> None:
    z = gaussian(500, 2)
    x = torch.cat([z, gaussian(500, 3, seed=1)], -1) @ gaussian(5, 5, seed=2) + 4
    y = torch.cat([z + 0.5 * gaussian(500, 2, seed=3), gaussian(500, 1, seed=4)], -1) @ gaussian(3, 3, seed=5)
    canonical = canonical_directions(x, y, ridge=0)
    assert (canonical.x.shape, canonical.y.shape, canonical.correlations.shape) == ((5, 3), (3, 3), (3,))
    at_x, at_y = (x - canonical.mean_x) @ canonical.x, (y - canonical.mean_y) @ canonical.y
    torch.testing.assert_close(at_x.T @ at_x / 500, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(at_y.T @ at_y / 500, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(at_x.T @ at_y / 500, canonical.correlations.diag())
    reference = CCA(3, max_iter=5000, tol=1e-12).fit(x.numpy(), y.numpy())
    scores = reference.transform(x.numpy(), y.numpy())
    correlations = [np.corrcoef(scores[0][:, j], scores[1][:, j])[0, 1] for j in range(3)]
    np.testing.assert_allclose(canonical.correlations, correlations, rtol=1e-4)


def test_ridge_tames_canonical_directions_that_fit_by_chance() -> None:
    x, y = gaussian(30, 25), gaussian(30, 25, seed=1)
    assert canonical_directions(x, y, ridge=0).correlations[0].item() == pytest.approx(1)
    assert canonical_directions(x, y, ridge=10).correlations[0] < 0.5


def by_hand(x: Tensor, y: Tensor, m: int, k: int) -> tuple[float, float]:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    fitted, measured = order[: len(x) // 2], order[len(x) // 2 :]
    x, y = torch.nn.functional.normalize(x, dim=-1), torch.nn.functional.normalize(y, dim=-1)
    stacked = torch.cat([x[fitted], y[fitted]])
    axes = torch.linalg.svd(stacked, full_matrices=False).Vh[:m].T
    cut = [torch.nn.functional.normalize(rows[measured] @ axes, dim=-1) for rows in (x, y)]
    return tuple(share.item() for share in top_matching(partner_ranks(*cut), k))


def test_principal_retrieval_by_hand() -> None:
    x, y = pairs(200, noise=0.5)
    dims, ks = (1, 3, 6, 16), (1, 5)
    retrieval = retrieval_by_dimension(x, y, dims, ks=ks)
    assert (retrieval.n, retrieval.dims, retrieval.ks) == (100, dims, ks)
    for i, m in enumerate(dims):
        for j, k in enumerate(ks):
            expected = by_hand(x, y, m, k)
            assert retrieval.recall.x_to_y[i, j].item() == pytest.approx(expected[0])
            assert retrieval.recall.y_to_x[i, j].item() == pytest.approx(expected[1])
    for one, whole, error in zip(retrieval.recall, retrieval.full, retrieval.standard_error, strict=True):
        torch.testing.assert_close(one[-1], whole)  # all dimensions are only turned
        seen = 100 * torch.minimum(one, 1 - one) >= 10
        torch.testing.assert_close(error[seen], (one * (1 - one) / 100).sqrt()[seen])


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_what_is_shared_is_enough(basis: str) -> None:
    x, y = pairs(1200)
    retrieval = retrieval_by_dimension(x, y, range(1, 17), basis)
    enough = smallest_sufficient(retrieval)
    assert 4 <= enough.dims <= 6
    assert enough.recall >= 0.99 * enough.full
    assert retrieval.recall.x_to_y[0, 0] < 0.1


def test_canonical_retrieval_between_different_spaces() -> None:
    x, y = pairs(600)
    y = torch.cat([y @ torch.linalg.qr(gaussian(16, 16, seed=9)).Q, gaussian(600, 4, seed=8)], -1)
    retrieval = retrieval_by_dimension(x, y, (2, 6), "canonical")
    assert retrieval.recall.x_to_y[1] > 0.9
    assert retrieval.full.x_to_y.shape == (1,)
    with pytest.raises(ValueError, match="x has 16 dimensions and y 20"):
        retrieval_by_dimension(x, y, (2,))


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_directions_that_fit_by_chance_win_nothing(basis: str) -> None:
    x, y = gaussian(400, 50), gaussian(400, 50, seed=1)
    retrieval = retrieval_by_dimension(x, y, (50,), basis)
    assert retrieval.recall.x_to_y < 0.03


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_replicates_equal_one_at_a_time(basis: str) -> None:
    x, y = pairs(2, 3, 60, noise=0.4)
    x[0, 1] = 0.3
    y[1, 0, 5, 2] = math.nan
    together = retrieval_by_dimension(x, y, (2, 8), basis, ks=(1, 3))
    enough = smallest_sufficient(together, k=3)
    assert together.recall.x_to_y.shape == (2, 3, 2, 2)
    assert together.full.y_to_x.shape == (2, 3, 2)
    assert enough.dims.shape == enough.recall.shape == enough.full.shape == (2, 3)
    for index in np.ndindex(2, 3):
        alone = retrieval_by_dimension(x[index], y[index], (2, 8), basis, ks=(1, 3))
        for field in ("recall", "standard_error", "full"):
            for one, many in zip(getattr(alone, field), getattr(together, field), strict=True):
                torch.testing.assert_close(one, many[index], equal_nan=True)
        for one, many in zip(smallest_sufficient(alone, k=3), enough, strict=True):
            torch.testing.assert_close(one, many[index], equal_nan=True)
    assert together.recall.x_to_y[1, 0].isnan().all()
    assert enough.dims[1, 0] == -1
    assert together.recall.x_to_y[0, 1, 0].tolist() == pytest.approx([1 / 30, 3 / 30])  # collapsed: a guess


def test_directions_of_replicates() -> None:
    x, y = pairs(2, 3, 60)
    y[1, 1, 0, 0] = math.inf
    basis, canonical = principal_directions(y), canonical_directions(x, y)
    torch.testing.assert_close(basis[0, 2].abs(), principal_directions(y[0, 2]).abs())
    torch.testing.assert_close(
        canonical.correlations[0, 2], canonical_directions(x[0, 2], y[0, 2]).correlations
    )
    assert basis[1, 1].isnan().all()
    assert canonical.x[1, 1].isnan().all()
    assert canonical.correlations.isnan().sum() == 16


def test_candidates_are_drawn() -> None:
    x, y = pairs(300, noise=0.5)
    retrieval = retrieval_by_dimension(x, y, (4,), max_rows=50)
    assert retrieval.n == 50
    assert (
        retrieval.recall.x_to_y > retrieval_by_dimension(x, y, (4,)).recall.x_to_y
    )  # among fewer it is easier
    again = retrieval_by_dimension(x, y, (4,), max_rows=50)
    assert torch.equal(again.recall.x_to_y, retrieval.recall.x_to_y)


def curve(recall: list[float], full: float) -> RetrievalByDimension:
    values = torch.tensor(recall, dtype=torch.float64)[:, None]
    whole = torch.tensor([full], dtype=torch.float64)
    return RetrievalByDimension((8, 2, 4), (1,), (values, values), (values, values), (whole, whole), 100)


def test_smallest_sufficient_by_hand() -> None:
    enough = smallest_sufficient(curve([0.9, 0.5, 0.895], 0.9))
    assert (enough.dims, enough.full) == (4, 0.9)
    assert enough.recall.item() == pytest.approx(0.895)
    assert smallest_sufficient(curve([0.9, 0.5, 0.895], 0.9), share=0.5).dims == 2
    none = smallest_sufficient(curve([0.7, 0.5, 0.6], 0.9))
    assert none.dims == -1
    assert none.recall.isnan()


def test_wrong_arguments() -> None:
    x, y = pairs(20)
    for arguments, message in [
        ({"dims": (0,)}, "dims must lie between 1 and 16"),
        ({"dims": (17,)}, "dims must lie between 1 and 16"),
        ({"dims": ()}, "dims must lie between"),
        ({"dims": (2,), "ks": (11,)}, "the 10 rows recall is measured on"),
        *[
            ({"dims": (2,), "max_rows": rows}, "max_rows must be a whole number")
            for rows in (0, 1, -3, 2.5, None)
        ],
        ({"dims": (2,), "basis": "random"}, 'basis must be "principal" or "canonical"'),
    ]:
        with pytest.raises(ValueError, match=message):
            retrieval_by_dimension(x, y, **arguments)
    with pytest.raises(ValueError, match="n >= 4"):
        retrieval_by_dimension(x[:3], y[:3], (1,))
    with pytest.raises(ValueError, match="n >= 2"):
        canonical_directions(x[:1], y[:1])
    with pytest.raises(ValueError, match="ridge must not be negative"):
        canonical_directions(x, y, -1.0)
    with pytest.raises(ValueError, match="not empty"):
        principal_directions(x[:0])
    retrieval = retrieval_by_dimension(x, y, (2,))
    with pytest.raises(ValueError, match=r"for k in \[1\], not for 5"):
        smallest_sufficient(retrieval, k=5)
    with pytest.raises(ValueError, match="share must be positive"):
        smallest_sufficient(retrieval, share=0.0)


def test_data_frames_of_another_order_are_no_pairs() -> None:
    x = pd.DataFrame(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).numpy())
    turned = x.iloc[::-1]
    for paired in (
        canonical_directions,
        lambda x, y: retrieval_by_dimension(x, y, dims=(1,)),
        counterparts,
        linear_recovery,
    ):
        with pytest.raises(ConfigError, match="the same index in another order"):
            paired(x, turned)


def test_a_full_recall_of_zero_is_kept_by_no_number_of_dimensions() -> None:
    x = torch.eye(8)
    retrieval = retrieval_by_dimension(x, x.roll(1, 0), dims=(4, 8), seed=1)
    none = torch.zeros_like(retrieval.full.x_to_y)
    enough = smallest_sufficient(dataclasses.replace(retrieval, full=Matching(none, none)))
    assert int(enough.dims) == -1
    assert bool(enough.recall.isnan())
    assert float(enough.full) == 0

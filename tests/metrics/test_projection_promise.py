"""Projections that are fitted on one half of the rows keep of the other what they say."""

import pytest
import torch

from helpers.shared_latent import shared_latent
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.metrics import retrieval_by_dimension
from intrinsic_clip.metrics.projection_promise import promised_pair, promised_principal


@pytest.fixture(scope="module")
def both() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 400 pairs of which not all are matched."""
    x, y = shared_latent(400, 0.4, 0.1)
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_the_promise_is_the_recall_that_was_measured(both, basis) -> None:
    promised = promised_pair(*both, 6, basis).promise
    measured = retrieval_by_dimension(*both, (6,), basis)
    assert promised.value == float(torch.stack(tuple(measured.recall)).mean())
    assert promised.full == float(torch.stack(tuple(measured.full)).mean())
    assert promised.n == measured.n
    assert 0.1 < promised.value < 1
    assert 0 < promised.standard_error < 0.05


def test_canonical_maps_of_unequal_widths(both) -> None:
    x, y = both[0], both[1][:, :48]
    promised = promised_pair(x, y, 6, "canonical")
    assert promised.sides["x"].basis.shape == (64, 6)
    assert promised.sides["y"].basis.shape == (48, 6)
    assert promised.promise.full == float(
        torch.stack(tuple(retrieval_by_dimension(x, y, (6,), "canonical").full)).mean()
    )


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_whitened_dimensions_have_one_spread(both, basis) -> None:
    promised = promised_pair(*both, 6, basis, whiten=True)
    held_out = set(promised.held_out.tolist())
    fitted = [row for row in range(400) if row not in held_out]
    assert promised.fitted == len(fitted) == 200
    scores = {side: promised.sides[side](rows[fitted]) for side, rows in zip("xy", both, strict=True)}
    together = [torch.cat(list(scores.values()))] if basis == "principal" else list(scores.values())
    for each in together:
        assert each.square().mean(0) == pytest.approx(1, abs=1e-5)


def test_a_dimension_that_does_not_vary_cannot_be_whitened(both) -> None:
    flat = torch.cat([both[0][:, :3], torch.zeros(400, 2)], 1)
    assert promised_principal(flat, 3, whiten=True).sides["x"].basis.shape == (5, 3)
    with pytest.raises(ConfigError, match="dimension 4 of 4 does not vary"):
        promised_principal(flat, 4, whiten=True)
    with pytest.raises(ConfigError, match="dimension 4 of 4 does not vary"):
        promised_pair(flat, flat, 4, "principal", whiten=True)


def test_variance_is_that_of_held_out_rows(both) -> None:
    promised = promised_principal(both[0], 8)
    projection, rows = promised.sides["x"], both[0][promised.held_out].double()
    centred = rows - projection.mean
    kept = (centred @ projection.basis).square().sum() / centred.square().sum()
    assert promised.promise.value == pytest.approx(float(kept), abs=1e-6)
    assert promised_principal(both[0], 64).promise.value == pytest.approx(1)
    assert 0 < promised.promise.standard_error < 0.02


def test_copies_of_fitted_rows_are_not_held_out() -> None:
    """The variance that is promised is that of rows that the map has not seen, also where rows repeat."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(120, 64, generator=generator)
    x = rows.repeat_interleave(5, 0)[torch.randperm(600, generator=generator)]
    promised = promised_principal(x, 30)
    promise, kept = promised.promise, promised.sides["x"]
    assert promise.n == len(promised.held_out) == len(x[promised.held_out].unique(dim=0))
    assert 50 <= promise.n <= 70
    new = torch.randn(4000, 64, generator=generator).double() - kept.mean
    lost = (new - new @ kept.basis @ kept.inverse).square().sum() / new.square().sum()
    assert promise.value == pytest.approx(1 - float(lost), abs=4 * promise.standard_error)

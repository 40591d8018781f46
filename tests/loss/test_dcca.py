"""Deep CCA keeps its digits where outputs span few directions, and its replicates apart where one is not finite."""

import pytest
import torch
from torch import Tensor

from intrinsic_clip.loss import dcca_loss


def _of_few_directions(scale: float) -> tuple[Tensor, Tensor]:
    """Return 16 columns that span 5 directions, as float32 holds them."""
    generator = torch.Generator().manual_seed(0)
    latent, noise = torch.randn(2, 256, 5, generator=generator)
    to_x, to_y = torch.randn(2, 5, 16, generator=generator)
    return scale * latent @ to_x, scale * (latent + 0.5 * noise) @ to_y


@pytest.mark.parametrize("scale", [1.0, 3.0, 20.0, 300.0])
def test_outputs_in_few_directions_have_the_value_and_gradient_of_float64(scale: float) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        x, y = (rows.to(dtype).requires_grad_() for rows in _of_few_directions(scale))
        value = dcca_loss(x, y)
        assert value.dtype == dtype
        results.append([part.detach().double() for part in (value, *torch.autograd.grad(value, (x, y)))])
    assert -5 < results[0][0] < -4
    for single, double in zip(*results, strict=True):
        torch.testing.assert_close(single, double, rtol=1e-6, atol=1e-7 * float(double.abs().max()))


@pytest.mark.parametrize(
    ("bad", "dtype"), [(torch.nan, torch.float32), (torch.inf, torch.float32), (1e200, torch.float64)]
)
@pytest.mark.parametrize("components", [None, 2])
def test_a_replicate_without_correlations_leaves_the_others_alone(
    bad: float, dtype: torch.dtype, components: int | None
) -> None:
    x, y = torch.randn(2, 3, 64, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = _with_gradient(x, y, components)
    x[1, 5, 2] = bad
    actual = _with_gradient(x, y, components)
    for part, clean in zip(actual, expected, strict=True):
        assert part[1].isnan().all()
        assert torch.equal(part[[0, 2]], clean[[0, 2]])


def _with_gradient(x: Tensor, y: Tensor, components: int | None) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    losses = dcca_loss(x, y, components=components)
    return losses.detach(), torch.autograd.grad(losses.sum(), x)[0]

"""Encoders whose copies side by side would silently be others than each alone."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.replication import replicate

SEEDS = (1, 2)


class Keeping(nn.Module):
    """A linear map times something that its maker keeps as an attribute."""

    def __init__(self, kept: object) -> None:
        super().__init__()
        self.layer, self.kept = nn.Linear(6, 4), kept

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Choosing(nn.Module):
    """A module whose pass depends on its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.layer(x)
        return outputs if float(outputs.sum()) > 0 else -outputs


def _copies(build: Callable[[], nn.Module], seeds: tuple[int, ...] = SEEDS) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is deprecated
        return replicate(lambda d: build(), 6, seeds, (4,), (len(seeds),))


DRAWN = {
    "tensor": lambda: torch.randn(4),
    "list": lambda: [torch.zeros(4), torch.randn(4)],
    "dict": lambda: {"scale": torch.rand(())},
    "array": lambda: np.array(torch.randn(4)),
    "number": lambda: float(torch.rand(())),
    "module": lambda: [nn.Linear(2, 2)],
}


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_attributes_are_refused_by_name(kind) -> None:
    with pytest.raises(ValueError, match=r"attribute 1\.kept differs between replicates"):
        _copies(lambda: nn.Sequential(nn.Linear(6, 6), Keeping(DRAWN[kind]())))
    _copies(lambda: Keeping(DRAWN[kind]()), seeds=(1,))


def test_slopes_of_activations_are_no_exception() -> None:
    with pytest.raises(ValueError, match=r"attribute 1\.negative_slope differs"):
        _copies(lambda: nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(float(torch.rand(()))), nn.Linear(5, 4)))


def test_attributes_that_are_equal_or_only_count_are_taken() -> None:
    count = iter(range(10))
    for kept in (torch.arange(4), [torch.ones(2)], float("nan"), np.full(3, np.nan), "name", None):
        _copies(lambda kept=kept: Keeping(kept))
    _copies(lambda: Keeping(next(count)))


@pytest.mark.parametrize("seeds", [(1,), SEEDS])
@pytest.mark.parametrize(
    ("norm", "instead"),
    [("weight_norm", "parametrizations.weight_norm"), ("spectral_norm", "replicates=null")],
)
def test_norms_of_old_are_named(norm, instead, seeds) -> None:
    layer = getattr(nn.utils, norm)
    with pytest.raises(ValueError, match=rf"layer 0 has torch\.nn\.utils\.{norm}.*{instead}"):
        _copies(lambda: nn.Sequential(layer(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 4)), seeds)


def test_norms_that_are_parametrisations_are_taken() -> None:
    layer = nn.utils.parametrizations.weight_norm
    outputs = _copies(lambda: nn.Sequential(layer(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 4)))(
        torch.ones(3, 6)
    )
    assert outputs.shape == (2, 3, 4)


@pytest.mark.parametrize("seeds", [(1,), SEEDS])
@pytest.mark.parametrize(
    "build",
    [Choosing, lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4))],
    ids=["branch", "out="],
)
def test_what_cannot_be_mapped_is_refused_before_it_trains(build, seeds) -> None:
    with pytest.raises(ValueError, match="cannot be trained as replicates: leave replicates=null") as error:
        _copies(build, seeds)
    assert "\n" not in str(error.value)


def test_the_trial_pass_leaves_no_statistics_and_draws_nothing() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    encoder = _copies(lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    assert torch.equal(torch.rand(3), expected)
    assert all(not buffer.any() for name, buffer in encoder.named_buffers() if name.endswith("running_mean"))

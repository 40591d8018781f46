"""A measurement on an accelerator leaves its random numbers as they were."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from intrinsic_clip.probes.random_numbers import own_random_numbers


class Numbers(SimpleNamespace):
    """Random numbers of a device that this machine lacks: the state is what was drawn last."""

    def __init__(self, *place: torch.device) -> None:
        super().__init__(state="of training", place=place, device=lambda device: nullcontext())

    def get_rng_state(self, *place: torch.device) -> str:
        assert place == self.place
        return self.state

    def set_rng_state(self, state: str, *place: torch.device) -> None:
        assert place == self.place
        self.state = state

    def manual_seed(self, seed: int) -> None:
        self.state = f"of seed {seed}"


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_numbers_of_other_accelerators_are_kept(kind: str, monkeypatch) -> None:
    device = torch.device(kind)
    numbers = Numbers(*([] if kind == "mps" else [device]))
    monkeypatch.setattr(torch, kind, numbers)
    with own_random_numbers(device):
        assert numbers.state.startswith("of seed")
    assert numbers.state == "of training"
    with pytest.raises(KeyError), own_random_numbers(device):
        raise KeyError
    assert numbers.state == "of training"


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_numbers_of_the_cpu_are_kept(device: str) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with own_random_numbers(torch.device(device)):
        assert not torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.rand(3), expected)

"""Copies of an encoder trained side by side equal the copies alone, in value and in gradient."""

import pytest
import torch
from torch import nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders.replication import ReplicatedEncoder, ReplicatedFeedForward, replicate

BUILDERS = {
    "mlp": lambda d: encoders.mlp(6, d),
    "deep": lambda d: encoders.deep(6, d, width=8),
    "shallow": lambda d: encoders.shallow(6, d),
    "linear": lambda d: encoders.linear(6, d),
    "layer norm": lambda d: nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Tanh(), nn.Linear(9, d)),
}
SEEDS = (11, 12, 13)


def _alone(name: str, d: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return BUILDERS[name](d)


@pytest.mark.parametrize("name", BUILDERS)
def test_copies_have_the_values_and_gradients_of_each_alone(name: str) -> None:
    together = replicate(BUILDERS[name], 6, SEEDS, (4,), (3,))
    assert isinstance(together, ReplicatedEncoder if name == "layer norm" else ReplicatedFeedForward)
    x = torch.randn(3, 10, 6)
    outputs = together(x)
    outputs.square().sum().backward()
    gradients = [p.grad for p in together.parameters()]
    for r, seed in enumerate(SEEDS):
        alone = _alone(name, 4, seed)
        torch.testing.assert_close(outputs[r], alone(x[r]))
        alone(x[r]).square().sum().backward()
        for mine, theirs in zip(gradients, alone.parameters(), strict=True):
            torch.testing.assert_close(mine[r].reshape(theirs.shape), theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BUILDERS)
def test_initial_weights_are_bit_for_bit_those_of_the_copy_alone(name: str) -> None:
    together = replicate(BUILDERS[name], 6, SEEDS, (2, 5, 3), (3, 3))
    for place, d in enumerate((2, 5, 3)):
        for r, seed in enumerate(SEEDS):
            alone = _alone(name, d, seed)
            for mine, theirs in zip(together.parameters(), alone.parameters(), strict=True):
                row = mine[3 * place + r].reshape(-1, *theirs.shape[1:])
                assert torch.equal(row[: len(theirs)], theirs)
                assert not row[len(theirs) :].any()


def test_output_dimensions_share_their_hidden_weights() -> None:
    together = replicate(BUILDERS["mlp"], 6, SEEDS, (2, 5), (2, 3))
    for hidden in list(together.parameters())[:-2]:
        assert torch.equal(hidden[:3], hidden[3:])


@pytest.mark.parametrize("name", BUILDERS)
def test_surplus_outputs_stay_zero_under_adam_with_weight_decay(name: str) -> None:
    together = replicate(BUILDERS[name], 6, SEEDS, (2, 5), (2, 3))
    optimizer = torch.optim.Adam(together.parameters(), lr=0.1, weight_decay=0.1)
    x = torch.randn(10, 6)
    for _ in range(5):
        outputs = together(x)
        loss = (outputs @ outputs.mT).logsumexp(-1).sum() / torch.linalg.vector_norm(outputs, dim=-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not together(x)[0, ..., 2:].any()
    assert together(x)[1, ..., 2:].any()


@pytest.mark.parametrize("name", ["mlp", "layer norm"])
def test_inputs_may_lack_axes(name: str) -> None:
    together = replicate(BUILDERS[name], 6, SEEDS, (2, 5), (2, 3))
    shared, own = torch.randn(7, 6), torch.randn(3, 7, 6)
    assert together(shared).shape == together(own).shape == (2, 3, 7, 5)
    torch.testing.assert_close(together(shared), together(shared.expand(3, 7, 6)))
    torch.testing.assert_close(together(own), together(own.expand(2, 3, 7, 6)))


def test_one_copy_without_axes_is_the_encoder_itself() -> None:
    alone, together = _alone("mlp", 4, 11), replicate(BUILDERS["mlp"], 6, (11,), (4,), ())
    x = torch.randn(10, 6)
    torch.testing.assert_close(together(x), alone(x))


def test_one_copy_of_any_other_module_is_that_module() -> None:
    assert isinstance(replicate(BUILDERS["layer norm"], 6, (11,), (4,), ()), nn.Sequential)


def test_an_encoder_whose_outputs_mix_is_refused() -> None:
    def build(d: int) -> nn.Module:
        return nn.Sequential(nn.Linear(6, d), nn.LayerNorm(d))

    replicate(build, 6, SEEDS, (4,), (3,))
    with pytest.raises(ValueError, match="sweep over them with --multirun"):
        replicate(build, 6, SEEDS, (2, 4), (2, 3))


def test_widths_are_compared_without_dropout_and_leave_no_statistics() -> None:
    def build(d: int) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.Linear(9, d))

    together = replicate(build, 6, SEEDS, (2, 4), (2, 3))
    assert together.training
    means = [tensor for name, tensor in together.named_buffers() if name.endswith("running_mean")]
    assert len(means) == 1
    assert not means[0].any()

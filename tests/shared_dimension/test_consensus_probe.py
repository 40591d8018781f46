"""The consensus of a run's replicates: its place, refusal, shapes and encoders that it cannot read."""

from types import SimpleNamespace

import pytest
import torch

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.encoders.replication import ReplicatedFeedForward, ReplicatedLinear, replicate
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.vocabulary import describe
from intrinsic_clip.shared_dimension import consensus_probe
from intrinsic_clip.shared_dimension.consensus_probe import ConsensusProbe, Copies


def copies_of(replicates: Replicates, inputs: int = 12) -> ReplicatedFeedForward:
    dims = replicates.output_dims or (8,)
    seeds = replicates.indices or (0,)
    encoder = replicate(lambda d: encoders.mlp(inputs, d, 16, 1), inputs, seeds, dims, replicates.shape)
    assert isinstance(encoder, ReplicatedFeedForward)
    return encoder


def reading_only(first: int, encoder: ReplicatedFeedForward) -> ReplicatedFeedForward:
    """Make an encoder hardly depend on the inputs after the first ones."""
    layer = encoder.layers[0]
    assert isinstance(layer, ReplicatedLinear)
    with torch.no_grad():
        layer.weight[..., first:] *= 0.05
    return encoder


def module_of(f, g, replicates: Replicates) -> tuple[SimpleNamespace, SimpleNamespace]:
    data = SyntheticLinear(
        n_train=8,
        n_append=8,
        n_test=60,
        d_x=12,
        d_y=12,
        shared_dim=3,
        replicates=list(replicates.indices or (0,)),
    )
    return SimpleNamespace(datamodule=data), SimpleNamespace(f=f, g=g, replicates=replicates)


@pytest.mark.parametrize("output_dims", [None, (8, 6)])
def test_rank_is_the_number_of_inputs_that_replicates_read(output_dims) -> None:
    replicates = Replicates(tuple(range(4)), output_dims)
    f, g = (reading_only(3, copies_of(replicates)) for _ in range(2))
    probe = ConsensusProbe()
    subject = probe.of_split(*module_of(f, g, replicates), "test")
    assert {side: rows.shape for side, rows in subject.sides().items()} == {"x": (60, 12), "y": (60, 12)}
    numbers = probe.measure(subject)
    assert set(numbers) == set(probe.names(("x", "y")))
    assert numbers["consensus/rank"].value.tolist() == torch.full(replicates.shape, 3.0).tolist()
    assert numbers["consensus/rank"].reason is None
    assert bool((numbers["consensus/gap"].value > 3).all())


def test_untrained_replicates_agree_on_nothing() -> None:
    replicates = Replicates(tuple(range(4)))
    rows = torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
    f, g = (copies_of(replicates) for _ in range(2))
    numbers = ConsensusProbe().measure(Copies(replicates, f, g, {"x": rows, "y": rows}))
    assert numbers["consensus/rank"].value.isnan().all()
    assert "no clear gap" in numbers["consensus/rank"].reason
    assert numbers["consensus/gap"].value.isfinite().all()


def test_one_output_has_no_gap() -> None:
    replicates = Replicates((0, 1), (1, 8))
    rows = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    f, g = (reading_only(3, copies_of(replicates)) for _ in range(2))
    numbers = ConsensusProbe().measure(Copies(replicates, f, g, {"x": rows, "y": rows}))
    assert numbers["consensus/rank"].value[0].isnan().all()
    assert numbers["consensus/gap"].value[0].isnan().all()


def test_encoders_that_are_no_copies_are_refused() -> None:
    replicates = Replicates()
    linear = torch.nn.Linear(12, 8)
    with pytest.raises(ValueError, match="needs replicates of feed-forward encoders"):
        ConsensusProbe().of_split(*module_of(linear, linear, replicates), "test")


def test_metrics_that_take_too_much_memory_are_refused(monkeypatch) -> None:
    replicates = Replicates(tuple(range(4)))
    f, g = (copies_of(replicates) for _ in range(2))
    monkeypatch.setattr(consensus_probe, "MOST_BYTES", 4 * 4 * 59 * 12**2)
    with pytest.raises(ValueError, match=r"of 4 encoders at 60 rows of 12 columns .* max_points=59"):
        ConsensusProbe().of_split(*module_of(f, g, replicates), "test")
    assert ConsensusProbe(max_points=59).of_split(*module_of(f, g, replicates), "test").rows["x"].shape == (
        59,
        12,
    )


def test_numbers_are_declared() -> None:
    assert all(describe(name).declared for name in ConsensusProbe().names(("x", "y")))
    assert describe("consensus/rank").true_dimension


def test_each_of_three_encoders_has_a_rank_of_its_own() -> None:
    replicates = Replicates(tuple(range(4)), None)
    f, g, h = (reading_only(read, copies_of(replicates)) for read in (2, 3, 5))
    rows = torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
    probe = ConsensusProbe()
    subject = Copies(replicates, f, g, {"x": rows, "y": rows, "z": rows}, {"z": h})
    numbers = probe.measure(subject)
    assert set(numbers) == set(probe.names(("x", "y", "z")))
    ranks = [float(numbers[f"consensus/rank/{side}"].value[0]) for side in "xyz"]
    assert ranks == [2.0, 3.0, 5.0]

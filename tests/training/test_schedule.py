"""The learning rate by step, shuffled pairs, and recipes that join them."""

import signal

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from helpers.tiny_runs import TINY, struck
from intrinsic_clip.data.paired import Batches, Pairs
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.train import train

FAST = ["recipe=fast", "trainer.max_epochs=6"]


def _rates(compose, monkeypatch, *overrides: str) -> list[float]:
    """Train, and return the learning rate of each step."""
    rates: list[float] = []
    step = torch.optim.Adam.step

    def noted(optimizer, *arguments, **options):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    train(compose(*overrides))
    return rates


@pytest.mark.parametrize(
    "length", [["trainer.max_epochs=6"], ["trainer.max_epochs=9", "+trainer.max_steps=48"]]
)
def test_one_cycle_is_that_of_pytorch_over_all_steps(compose, monkeypatch, length) -> None:
    ours = _rates(compose, monkeypatch, "schedule=one_cycle", *length)[1:]  # the first is the trial's
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], momentum=0.9)
    scheduler = OneCycleLR(optimizer, 1e-3, total_steps=48)
    theirs = []
    for _ in range(48):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_cosine_ends_at_zero(compose, monkeypatch) -> None:
    rates = _rates(compose, monkeypatch, "schedule=cosine")[1:]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1e-3
    assert rates[-1] < 1e-5


def test_each_epoch_has_all_pairs_in_an_order_of_its_own(compose) -> None:
    def rows(epoch: int, *overrides: str) -> torch.Tensor:
        data = build(RunSpec.of(compose("shuffle=true", *overrides))).data
        data.setup()
        data.trainer = type("Trainer", (), {"current_epoch": epoch})()
        return data._shuffled()

    first = rows(0)
    assert torch.equal(first.sort().values, torch.arange(512))
    assert torch.equal(first, rows(0, "replicates=[3]"))
    for other in (rows(1), rows(0, "seed=1")):
        assert (first == other).float().mean() < 0.05
        assert torch.equal(other.sort().values, torch.arange(512))


def test_shuffled_pairs_stay_pairs_and_processes_share_a_batch() -> None:
    x = torch.arange(12.0).reshape(1, 12, 1).expand(3, 12, 2)
    pairs, order = Pairs(x, -x[0]), torch.randperm(12)
    whole = list(Batches(pairs, 4, order=lambda: order))
    halves = [list(Batches(pairs, 4, rank, 2, order=lambda: order)) for rank in range(2)]
    for batch, (x_batch, y_batch) in enumerate(whole):
        assert torch.equal(x_batch[1], -y_batch)
        assert torch.equal(x_batch[0, :, 0], order[4 * batch : 4 * batch + 4].float())
        assert torch.equal(torch.cat([half[batch][0] for half in halves], 1), x_batch)


@pytest.mark.slow
def test_a_resumed_training_follows_the_same_schedule_and_order(tmp_path, compose) -> None:
    ended = struck(tmp_path, 28, signal.SIGKILL, *TINY, *FAST)
    assert ended.code == -signal.SIGKILL, ended.err
    resumed, whole = train(compose(*FAST)), train(compose(*FAST, "output_dir=uninterrupted"))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]


@pytest.mark.slow
def test_a_replicate_of_a_recipe_ends_as_alone(compose) -> None:
    calm = [*FAST, "optimizer.lr=1e-4"]
    together, alone = train(compose(*calm, "replicates=3")), train(compose(*calm, "replicates=[2]"))
    for name in ("loss", "temperature"):
        values = [ended["metrics"][name]["values"] for ended in (together, alone)]
        assert values[0][2] == pytest.approx(values[1][0], rel=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+schedule._target_=torch.optim.SGD"], "torch.optim.SGD: is not a learning-rate scheduler"),
        (
            ["schedule=one_cycle", "schedule.pct_start=2"],
            "schedule: Expected float between 0 and 1 pct_start",
        ),
        (["schedule=one_cycle", "+schedule.surplus=2"], "schedule.surplus: unknown key; OneCycleLR takes"),
        (["schedule=one_cycle", "+schedule.total_steps=9"], "schedule.total_steps: is the number of steps"),
        (
            ["+schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"],
            "ReduceLROnPlateau: waits for a metric",
        ),
        (
            ["+schedule._target_=torch.optim.lr_scheduler.StepLR"],
            "schedule: StepLR.__init__() missing 1 required",
        ),
        (["shuffle=perhaps"], "shuffle: input should be a valid boolean"),
        (["recipe=slow"], "recipe=slow: no such choice; choose from fast, paper"),
    ],
)
def test_bad_settings_are_one_line(command_line, capsys, overrides, message) -> None:
    assert command_line("train", *TINY, *overrides) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

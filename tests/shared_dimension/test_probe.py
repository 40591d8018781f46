"""Runs hold an estimate of their data's shared dimension, the same as the verb's."""

import math
from dataclasses import replace
from types import SimpleNamespace

import torch

from intrinsic_clip.data import Pairs
from intrinsic_clip.data.paired import PairedData
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.vocabulary import describe
from intrinsic_clip.shared_dimension.estimate import shared
from intrinsic_clip.shared_dimension.probe import NUMBERS, SharedDimensionProbe, numbers_of, rows_of

QUICK = {"output_dim": 4, "trainings": 2, "steps": 20}
SPLITS = {"train": slice(0, 100), "append": slice(100, 110), "test": slice(110, 130)}


class Rows(PairedData):
    """Rows that are there already, cut into splits."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, row_axis: int = 0) -> None:
        super().__init__(batch_size=10)
        self.x, self.y, self.row_axis = x, y, row_axis

    def load(self, device):
        """Return the splits."""
        return {
            split: Pairs(self.x[..., rows, :], self.y[..., rows, :], row_axis=self.row_axis)
            for split, rows in SPLITS.items()
        }


def views(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(*shape, 130, 1, generator=generator)
    x, y = (torch.cat([z, torch.randn(*shape, 130, 2, generator=generator)], -1) for _ in "xy")
    return x, y


def after_test(probe: SharedDimensionProbe, data: object, replicates: Replicates) -> SharedDimensionProbe:
    """Call the probe as `trainer.test` does, which is in inference mode."""
    trainer = SimpleNamespace(
        is_global_zero=True, datamodule=data, progress_bar_callback=None, loggers=[], global_step=3,
        current_epoch=1,
    )  # fmt: skip
    with torch.inference_mode():
        probe.on_test_epoch_end(trainer, SimpleNamespace(replicates=replicates))
    return probe


def same(value: torch.Tensor, number: float) -> bool:
    return bool(value == number) or (math.isnan(number) and bool(value.isnan()))


def test_all_numbers_are_declared_under_titles_of_their_own() -> None:
    assert SharedDimensionProbe().own_names() == set(NUMBERS)
    assert all(describe(name).declared for name in NUMBERS)
    assert len({describe(name).full_title for name in NUMBERS}) == len(NUMBERS)


def test_it_is_the_estimate_of_all_rows_beside_the_first_repetitions(capsys) -> None:
    x, y = views()
    probe = after_test(
        SharedDimensionProbe(**QUICK, repeats=2, seed=5), Rows(x, y), Replicates((0, 1, 2), (3, 4))
    )
    assert set(probe.latest) == set(NUMBERS)
    for index in (0, 1):
        own = shared(x, y, output_dim=4, replicates=2, steps=20, seed=5 + index)
        for name, number in numbers_of(own).items():
            assert probe.latest[name].shape == (2, 3)
            assert all(same(value, number) for value in probe.latest[name][:, index]), name
            assert probe.latest[name][:, 2].isnan().all()
        if own.dimension is None:
            assert str(own) in probe.reasons["shared/dimension"]
    assert f"Shared dimension of the data: {own}\n  x: " in capsys.readouterr().out
    first = after_test(SharedDimensionProbe(**QUICK, rows=110), Rows(x, y), Replicates())
    assert first.latest["shared/gap"].shape == ()
    other = after_test(SharedDimensionProbe(**QUICK), Rows(x, y), Replicates((7,)))
    assert other.latest["shared/gap"].isnan().all()


def test_each_repetition_of_generated_data_has_rows_of_its_own() -> None:
    x, y = views(2)
    for place in (0, 1):
        rows = rows_of(Rows(x, y, row_axis=-2), place)
        assert torch.equal(rows[0], x[place])
        assert torch.equal(rows[1], y[place])


def test_a_failure_is_a_reason_and_no_error(recwarn) -> None:
    probe = after_test(
        SharedDimensionProbe(**QUICK), Rows(torch.ones(130, 3), torch.ones(130, 3)), Replicates((0,))
    )
    assert probe.latest["shared/dimension"].isnan().all()
    assert "constant" in probe.reasons["shared/dimension"]
    assert any("SharedDimensionProbe failed and is logged as NaN" in str(w.message) for w in recwarn)
    assert after_test(SharedDimensionProbe(**QUICK), None, Replicates()).latest == {}


def test_no_number_is_logged_where_none_can_be_trusted(monkeypatch) -> None:
    x, y = views()
    own = replace(shared(x, y, output_dim=4, replicates=2, steps=20), dimension=2, doubt=None)
    assert numbers_of(own)["shared/effective"] == own.effective
    doubtful = own.without_number("one pair of each group is needed")
    monkeypatch.setattr("intrinsic_clip.shared_dimension.probe.shared", lambda *_, **__: doubtful)
    probe = after_test(SharedDimensionProbe(**QUICK), Rows(x, y), Replicates())
    for name in ("dimension", "effective", "interval/low", "interval/high", "side/x"):
        assert probe.latest[f"shared/{name}"].isnan(), name
        assert "one pair of each group is needed" in probe.reasons[f"shared/{name}"]
    assert probe.latest["shared/gap"] == own.gap

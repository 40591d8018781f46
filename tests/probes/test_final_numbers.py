"""A run's test repeats what was measured when training ended, unless the weights have changed since."""

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import StochasticWeightAveraging

from helpers.tiny_runs import TINY
from intrinsic_clip.measurement.embeddings import Embeddings
from intrinsic_clip.probes import IntrinsicDimensionProbe, JacobianProbe, Probe
from intrinsic_clip.probes.final_numbers import FinalNumbers
from intrinsic_clip.training import fit
from intrinsic_clip.training.train import train

OTHERS = ["probes=full", "replicates=2", "trainer.max_epochs=3"]


@pytest.fixture
def measured(monkeypatch) -> list[tuple[str, str, str, int]]:
    """List what probes measure: class, fit or test, split and step."""
    measurements, measure = [], Probe._measure

    def counted(self, trainer, module, which):
        measurements.append((type(self).__name__, trainer.state.fn.value, which, trainer.global_step))
        return measure(self, trainer, module, which)

    monkeypatch.setattr(Probe, "_measure", counted)
    return measurements


@pytest.mark.slow
def test_the_numbers_are_those_of_a_second_measurement(compose, measured, monkeypatch, tmp_path) -> None:
    once = train(compose(*TINY, *OTHERS, f"output_dir={tmp_path / 'once'}"))
    last = [name for name, stage, split, step in measured if (split, step) == ("test", 24)]
    assert set(last) >= {"IntrinsicDimensionProbe", "JacobianProbe", "MatchingProbe"}
    assert len(last) == len(set(last))
    assert {stage for _, stage, _, _ in measured} == {"fit"}

    monkeypatch.setattr(FinalNumbers, "hold_for", lambda *arguments: False)
    twice = train(compose(*TINY, *OTHERS, f"output_dir={tmp_path / 'twice'}"))
    assert {name for name, stage, _, _ in measured if stage == "test"} == set(last)
    assert len(once["metrics"]) > 40
    for part in ("metrics", "reasons", "notes"):
        assert once[part] == twice[part], part


class Negate(Callback):
    """Change the weights when training has ended, as callbacks may that average or restore them."""

    def on_train_end(self, trainer, pl_module) -> None:
        with torch.no_grad():
            next(pl_module.f.parameters()).neg_()


@pytest.mark.parametrize("change", [Negate, lambda: StochasticWeightAveraging(1e-2, swa_epoch_start=1)])
def test_changed_weights_are_measured(compose, measured, monkeypatch, change) -> None:
    make = fit.make_trainer

    def with_callback(*arguments):
        trainer = make(*arguments)
        trainer.callbacks.append(change())
        return trainer

    monkeypatch.setattr(fit, "make_trainer", with_callback)
    train(compose(*TINY, "seed=3"))
    tested = {(name, split) for name, stage, split, _ in measured if stage == "test"}
    assert tested >= {("IntrinsicDimensionProbe", "train"), ("AlignmentProbe", "test")}


def test_what_must_be_equal() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, raw = (torch.randn(9, 3, generator=generator) for _ in range(3))
    final = FinalNumbers(Embeddings(x, y, raw, tau=torch.tensor(0.1), further={"z": y}), {"test": ""}, {})

    def holds(rows=None, **changed) -> bool:
        same = {"x": x.clone(), "y": y, "x_raw": raw, "tau": torch.tensor(0.1), "further": {"z": y.clone()}}
        return final.hold_for(Embeddings(**{**same, **changed}), rows or {"test": ""})

    assert holds()
    assert not holds({"test": "", "train": "in_sample/"})
    assert not holds(x=torch.nextafter(x, x + 1))
    assert not holds(x_raw=None)
    assert not holds(y=y[:8])
    assert not holds(tau=torch.tensor(0.2))
    assert not holds(further={})
    assert not holds(further={"z": x})
    assert not final.hold_for(Embeddings(x.clone().fill_(torch.nan), y), {"test": ""})


def test_only_runs_of_this_package_repeat_numbers() -> None:
    assert not IntrinsicDimensionProbe().repeats_final
    assert not JacobianProbe().repeats_final

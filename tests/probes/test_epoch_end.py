"""The end of an epoch is seen and not foreseen: training rows are the latest, whatever ends the epoch."""

from contextlib import nullcontext

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from helpers.foreign_module import BATCH, N_TRAIN, SmallClip, WithoutValidation, loader, rows, trainer
from helpers.lightning_name import IGNORED, Callback, CSVLogger, EarlyStopping, ModelCheckpoint, Trainer
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.dimension import mle
from intrinsic_clip.probes import (
    AlignmentProbe,
    IntrinsicDimensionProbe,
    JacobianProbe,
    Probe,
    TemperatureProbe,
    by_module,
    by_output,
)
from intrinsic_clip.probes import window as window_module
from probes.test_probes import SIZES, _module

pytestmark = pytest.mark.filterwarnings(*IGNORED, "ignore:.*IterableDataset")
STEPS = N_TRAIN // BATCH


class Seen(Probe):
    """Log how many rows were measured, and the mean of their first column."""

    def names(self, sides):
        return ["rows", "mean"]

    def measure(self, embeddings):
        return {"rows": float(len(embeddings.x)), "mean": embeddings.x[:, 0].mean()}


class Counting(WithoutValidation):
    """Module whose embeddings are the number of the step before which, or after which, they are taken."""

    def step(self, batch):
        outputs = super().step(batch)
        step = torch.full((len(batch[0]), 1), float(self.trainer.global_step))
        return outputs | {"step": step}


def at_step(module, batch):
    return torch.full((len(batch[0]), 1), float(module.trainer.global_step))


def place(module, batch):
    return batch[0]


def fit(probe, *callbacks, data=None, module=None, **options) -> Trainer:
    done = trainer(probe, *callbacks, **options)
    done.fit(module or Counting(), loader("train") if data is None else data)
    return done


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        trainer.should_stop |= trainer.global_step == self.step


def test_a_stream_is_measured_as_data_of_known_length_are() -> None:
    class Shrinks(WithoutValidation):
        def on_train_epoch_start(self) -> None:
            self.keep = 6 - 2 * self.current_epoch

    class Note(Callback):
        def on_train_epoch_end(self, trainer, module) -> None:
            logged.append(float(trainer.callback_metrics["in_sample/id/mle/x"]))

    generator = torch.Generator().manual_seed(0)
    z, mixing = torch.randn(600, 6, generator=generator), torch.randn(6, 12, generator=generator)
    data = TensorDataset(z @ mixing, z @ mixing[:, :9], torch.zeros(600, dtype=torch.int64))

    class Streamed(IterableDataset):
        def __iter__(self):
            yield from data

    expected = [float(mle(z[:, :keep]).value) for keep in (6, 4, 2)]
    for dataset in (data, Streamed()):
        logged: list[float] = []
        probe = IntrinsicDimensionProbe(lambda m, b: (b[0] @ mixing.pinverse())[:, : m.keep])
        fit(probe, Note(), data=DataLoader(dataset, batch_size=64), module=Shrinks(), epochs=3)
        assert logged == pytest.approx(expected, rel=1e-3)
    assert expected == pytest.approx([6, 4, 2], abs=0.4)


@pytest.mark.parametrize(
    ("options", "callbacks", "steps"),
    [
        ({"max_steps": 7}, [], 7),
        ({"epochs": -1, "max_steps": 12}, [], 12),
        ({"limit_train_batches": 3}, [], 6),
        ({"epochs": 9}, [StopAt(8)], 8),
        ({"accumulate_grad_batches": 2}, [], 6),
        ({"reload_dataloaders_every_n_epochs": 1}, [], 10),
        ({"limit_val_batches": 0, "overfit_batches": 2}, [], 4),
    ],
)
def test_whatever_ends_the_training_the_last_weights_and_batches_are_measured(
    options, callbacks, steps
) -> None:
    probe, taken = Seen(at_step), Seen(by_output("step"), prefix="taken/")
    fit(probe, taken, *callbacks, **options)
    assert float(probe.latest["in_sample/mean"]) == steps
    assert float(taken.latest["taken/in_sample/mean"]) > steps - STEPS


def test_the_window_is_bounded_and_of_the_latest_batches() -> None:
    probe = Seen(place, max_samples=2 * BATCH)
    module = Counting()
    fit(probe, module=module, epochs=1)
    assert float(probe.latest["in_sample/rows"]) == 2 * BATCH
    latest = rows(N_TRAIN, 0).tensors[0][-2 * BATCH :]
    assert float(probe.latest["in_sample/mean"]) == pytest.approx(float(latest[:, 0].mean()), rel=1e-4)


def test_no_row_is_measured_twice_where_steps_are_counted_across_epochs() -> None:
    probe = Seen(place, every_n_steps=2 * STEPS + 2)
    fit(probe, epochs=3)
    assert float(probe.latest["in_sample/rows"]) == N_TRAIN


def test_a_loader_that_writes_its_batches_to_a_ring_of_buffers() -> None:
    class Ring:
        def __init__(self) -> None:
            self.buffers = [
                [torch.empty(BATCH, 12), torch.empty(BATCH, 9), torch.empty(BATCH)] for _ in range(3)
            ]

        def __iter__(self):
            for index, batch in enumerate(loader("train")):
                for kept, fresh in zip(self.buffers[index % 3], batch, strict=True):
                    kept.copy_(fresh)
                yield self.buffers[index % 3]

    probe = Seen(place)
    fit(probe, data=Ring(), epochs=2)
    assert float(probe.latest["in_sample/rows"]) == N_TRAIN
    mean = float(rows(N_TRAIN, 0).tensors[0][:, 0].mean())
    assert float(probe.latest["in_sample/mean"]) == pytest.approx(mean, rel=1e-4)


def test_large_batches_fill_no_memory(monkeypatch) -> None:
    monkeypatch.setattr(window_module, "MAX_BYTES", 2 * BATCH * (12 + 9 + 2) * 4)
    probe = Seen(place)
    with pytest.warns(UserWarning, match="measures the latest 64 training rows") as caught:
        fit(probe, epochs=1)
    assert float(probe.latest["in_sample/rows"]) == 2 * BATCH
    assert [warning.filename for warning in caught if "the latest 64" in str(warning.message)] == [__file__]


def test_a_hooked_layer_that_is_changed_in_place_keeps_its_own_output() -> None:
    module = WithoutValidation()
    module.image = torch.nn.Sequential(torch.nn.Linear(12, 6), torch.nn.ReLU(inplace=True))
    probe = Seen(by_module("image.0"), every_n_steps=1)

    class Note(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
            with torch.no_grad():
                self.expected = float(module.image[0](batch[0])[:, 0].mean())

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            assert float(probe.latest["in_sample/mean"]) == pytest.approx(self.expected, rel=1e-4)

    fit(probe, Note(), module=module, epochs=1)


def test_an_early_stop_by_another_callback_is_followed_by_a_last_measurement(tmp_path) -> None:
    class Logging(Counting):
        def training_step(self, batch, batch_idx):
            outputs = super().training_step(batch, batch_idx)
            self.log("loss", outputs["loss"], on_step=False, on_epoch=True)
            return outputs

    probe = Seen(at_step, every_n_epochs=5)
    stop = EarlyStopping("loss", patience=1, min_delta=100.0)
    done = fit(probe, stop, module=Logging(), epochs=20, logger=CSVLogger(tmp_path))
    assert done.global_step == 2 * STEPS
    assert float(probe.latest["in_sample/mean"]) == 2 * STEPS
    assert float(done.callback_metrics["in_sample/mean"]) == 2 * STEPS
    assert "in_sample/mean" in next(tmp_path.glob("**/metrics.csv")).read_text()


class Logging(Counting):
    """Counting with a number of its own beside each of the probe's."""

    def training_step(self, batch, batch_idx):
        outputs = super().training_step(batch, batch_idx)
        self.log("loss", outputs["loss"])
        self.log("epoch_loss", outputs["loss"], on_step=False, on_epoch=True)
        return outputs


class StopAfter(Callback):
    """Ends the training, behind the probe, at the end of an epoch."""

    def on_train_epoch_end(self, trainer, module) -> None:
        trainer.should_stop |= trainer.current_epoch == 2


class Interrupt(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == 2 * STEPS + 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "callbacks"),
    [
        ({"epochs": 9}, [StopAfter()]),
        ({"epochs": 9}, [EarlyStopping("epoch_loss", patience=2, min_delta=100.0)]),
        ({"epochs": 9}, [StopAt(2 * STEPS + 2)]),
        ({"epochs": 3}, []),
        ({"epochs": 9, "max_steps": 2 * STEPS + 3}, []),
        ({"epochs": 9}, [Interrupt()]),
    ],
)
def test_each_row_has_the_epoch_of_its_step(tmp_path, options, callbacks) -> None:
    probes = [Seen(at_step, every_n_epochs=2), TemperatureProbe()]
    interrupted = any(isinstance(callback, Interrupt) for callback in callbacks)
    with pytest.raises(SystemExit) if interrupted else nullcontext():
        fit(*probes, *callbacks, module=Logging(), logger=CSVLogger(tmp_path), **options)
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert (table.groupby("step").epoch.nunique() == 1).all()
    assert table[table.loss.notna()].epoch.max() == 2
    if not interrupted:  # which leaves no moment for a last measurement
        assert table[table["in_sample/mean"].notna()].epoch.tolist() == [1, 2]
        assert table[table.temperature.notna()].epoch.max() == 2


def test_nothing_new_is_nothing_logged(tmp_path) -> None:
    probe = Seen(at_step, every_n_epochs=2)
    fit(probe, epochs=5, logger=CSVLogger(tmp_path))
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table["in_sample/mean"].dropna().tolist() == [2 * STEPS, 4 * STEPS, 5 * STEPS]


@pytest.mark.parametrize(
    ("options", "probe"),
    [
        ({"num_sanity_val_steps": 0, "check_val_every_n_epoch": 9}, AlignmentProbe(lambda m, b: m.embed(b))),
        ({}, AlignmentProbe(lambda m, b: m.embed(b), every_n_steps=1000)),
    ],
)
def test_a_probe_that_never_measures_says_so(options, probe) -> None:
    with pytest.warns(UserWarning, match="AlignmentProbe has measured nothing"):
        trainer(probe, **options).fit(SmallClip(), loader("train"), loader("val"))
    assert probe.latest == {}


def test_validations_in_other_epochs_than_those_due(tmp_path) -> None:
    probe = Seen(place, every_n_epochs=3)
    trainer(probe, epochs=9, check_val_every_n_epoch=2, logger=CSVLogger(tmp_path)).fit(
        SmallClip(), loader("train"), loader("val")
    )
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table[table["mean"].notna()].step.tolist() == [
        4 * STEPS - 1,
        6 * STEPS - 1,
    ]  # after 3 and 6, as of validations


class Plateau(SmallClip):
    """SmallClip with a scheduler that watches its dimension."""

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters())
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "alignment/cosine"},
        }


@pytest.mark.parametrize("watcher", ["checkpoint", "early stopping", "scheduler", "steps"])
def test_a_number_that_is_watched_is_there_from_the_first_epoch_on(tmp_path, watcher) -> None:
    probe = AlignmentProbe(lambda m, b: m.embed(b), every_n_epochs=2)
    callbacks = {
        "checkpoint": [probe, ModelCheckpoint(tmp_path, monitor="alignment/cosine")],
        "early stopping": [EarlyStopping("uniformity/x", patience=99), probe],
        "scheduler": [probe],
        "steps": [
            EarlyStopping("in_sample/modality_gap", patience=99),
            AlignmentProbe(lambda m, b: m.embed(b), every_n_steps=8),
        ],
    }[watcher]
    module = Plateau() if watcher == "scheduler" else SmallClip()
    done = Trainer(
        max_epochs=3,
        callbacks=callbacks,
        logger=False,
        accelerator="cpu",
        enable_checkpointing=watcher == "checkpoint",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    done.fit(module, loader("train"), loader("val"))
    assert done.current_epoch == 3


def test_the_page_tells_how_to_watch_what_is_not_measured_every_epoch(tmp_path) -> None:
    class Note(Callback):
        def on_validation_end(self, trainer, module) -> None:
            seen.append(float(trainer.callback_metrics["alignment/cosine"]))

    def stored(**options) -> set[int]:
        folder = tmp_path / str(len(options))
        keep = ModelCheckpoint(
            folder,
            monitor="alignment/cosine",
            save_top_k=9,
            filename="{epoch}",
            auto_insert_metric_name=False,
            **options,
        )
        probe = AlignmentProbe(by_output("images", "texts"), every_n_epochs=2)
        done = Trainer(
            max_epochs=4, callbacks=[probe, Note(), keep], logger=False, accelerator="cpu",
            num_sanity_val_steps=0, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        done.fit(SmallClip(), loader("train"), loader("val"))
        return {int(path.stem) for path in folder.iterdir()}

    seen: list[float] = []
    assert stored() == {0, 1, 2, 3}
    assert seen[1] == seen[2] != seen[3]  # epoch 2 is stored under the number of epoch 1
    assert stored(every_n_epochs=2) == {1, 3}


def test_the_page_tells_how_to_watch_the_temperature_within_an_epoch(tmp_path) -> None:
    stop = EarlyStopping("temperature", patience=9, check_on_train_epoch_end=True)
    keep = ModelCheckpoint(tmp_path, monitor="temperature", save_on_train_epoch_end=True)
    done = Trainer(
        max_epochs=2, callbacks=[TemperatureProbe(), stop, keep], logger=False, accelerator="cpu",
        val_check_interval=2, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    done.fit(SmallClip(), loader("train"), loader("val"))
    assert keep.best_model_score is not None
    assert done.current_epoch == 2


@pytest.mark.own_training
def test_a_contrastive_module_that_is_watched_and_resumes(tmp_path) -> None:
    def run(epochs: int, checkpoint: str | None) -> Trainer:
        done = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=CSVLogger(tmp_path),
            callbacks=[
                AlignmentProbe(every_n_epochs=5),
                ModelCheckpoint(tmp_path, monitor="alignment/cosine", save_last=True),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        done.fit(_module(), datamodule=SyntheticLinear(**SIZES), ckpt_path=checkpoint, weights_only=False)
        return done

    run(2, None)
    assert run(4, str(tmp_path / "last.ckpt")).current_epoch == 4


def test_the_jacobian_is_of_the_latest_batch() -> None:
    taken = []

    def maps(module, batch):
        taken.append(module.trainer.global_step)
        return module.image, batch[0]

    fit(JacobianProbe(maps, max_points=4), module=WithoutValidation())
    assert taken == [STEPS, 2 * STEPS]


def test_temperature_has_one_value_per_batch_that_steps(tmp_path) -> None:
    def steps(name: str, module=None, every: int = 1, **options) -> list[int]:
        probe = TemperatureProbe(every_n_steps=every)
        fit(probe, module=module, logger=CSVLogger(tmp_path / name), **options)
        table = pd.read_csv(next((tmp_path / name).glob("**/metrics.csv")))
        return table[table.temperature.notna()].step.tolist()

    class TwoOptimizers(WithoutValidation):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx) -> None:
            self.manual_backward(self.step(batch)["loss"])
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

        def configure_optimizers(self):
            return [torch.optim.Adam(part.parameters()) for part in (self.image, self.text)]

    assert steps("accumulated", accumulate_grad_batches=3) == [0, 1, 2, 3]  # five batches: three, and two
    assert steps("two", TwoOptimizers(), epochs=1) == [0, 1, 2, 3, 4]  # batches, as of self.log
    assert steps("third", TwoOptimizers(), every=3, epochs=1) == [2]


def test_a_step_may_return_names_that_mean_something_else() -> None:
    class Returning(WithoutValidation):
        def training_step(self, batch, batch_idx):
            outputs = super().training_step(batch, batch_idx)
            return {"loss": outputs["loss"], "losses": {"nce": outputs["loss"]}, "temperature": 0.07}

    probe = TemperatureProbe()
    fit(probe, module=Returning(), epochs=1)
    assert set(probe.latest) == {"temperature"}


@pytest.mark.parametrize("kind", [SmallClip, WithoutValidation])
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}, {"val_check_interval": 2}])
def test_probes_and_lightning_number_a_moment_alike(tmp_path, kind, options) -> None:
    class Logging(kind):
        def training_step(self, batch, batch_idx):
            outputs = super().training_step(batch, batch_idx)
            self.log("its_step", outputs["loss"])
            return outputs

        def on_validation_epoch_end(self) -> None:
            self.log("its_validation", 1.0)

        def on_train_epoch_end(self) -> None:
            self.log("its_epoch", 1.0)

    probes = [AlignmentProbe(by_output("images", "texts")), TemperatureProbe()]
    done = Trainer(
        max_epochs=3, callbacks=probes, logger=CSVLogger(tmp_path), log_every_n_steps=2, accelerator="cpu",
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip
    done.fit(Logging(), loader("train"), loader("val") if kind is SmallClip else None)
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))

    def steps(name: str) -> list[int]:
        return table[table[name].notna()].step.tolist()

    assert steps("temperature") == steps("its_step") == list(range(1, steps("its_epoch")[-1] + 1, 2))
    if kind is SmallClip:
        measured, theirs = steps("alignment/cosine"), steps("its_validation")
        assert measured == [step for step in theirs if step in measured]
        assert len(measured) == (3 if "val_check_interval" not in options else len(theirs))
    else:
        assert steps("in_sample/alignment/cosine") == steps("its_epoch")

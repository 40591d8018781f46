"""Every way to run a trainer works with any probe: a trial run, validate, test, predict, again, copied, compiled."""

import copy
import math
import pickle
import sys
import warnings

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from helpers.foreign_module import N_TRAIN, N_VAL, SmallClip, WithoutValidation, loader, rows, trainer
from helpers.lightning_name import (
    IGNORED,
    BatchSizeFinder,
    Callback,
    CSVLogger,
    DummyLogger,
    EMAWeightAveraging,
    LearningRateFinder,
    StochasticWeightAveraging,
    Trainer,
)
from helpers.mean_norm_probe import MeanNormProbe
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.metrics import alignment
from intrinsic_clip.probes import (
    AlignmentProbe,
    ClassificationProbe,
    ExamplesProbe,
    InformationProbe,
    IntrinsicDimensionProbe,
    JacobianProbe,
    MatchingProbe,
    RecoveryProbe,
    SimilarityProbe,
    SpectrumProbe,
    TemperatureProbe,
    by_module,
)
from probes.test_probes import SIZES, _module

pytestmark = pytest.mark.filterwarnings(*IGNORED, "ignore:.*logs nothing")
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
SOURCED = [
    AlignmentProbe, ClassificationProbe, InformationProbe, IntrinsicDimensionProbe, MatchingProbe, RecoveryProbe,
    SimilarityProbe, SpectrumProbe,
]  # fmt: skip


def both(module, batch):
    return module.embed(batch)


def every_probe() -> list[Callback]:
    jacobian = JacobianProbe(lambda module, batch: (module.image, batch[0]), max_points=4)
    return [*(kind(both) for kind in SOURCED), jacobian, TemperatureProbe(), ExamplesProbe()]


@pytest.mark.parametrize("logger", [None, True, False, [DummyLogger(), DummyLogger()]])
def test_a_trial_run_with_every_probe(tmp_path, logger) -> None:
    options = {"fast_dev_run": True, "logger": logger, "default_root_dir": tmp_path, **QUIET}
    Trainer(callbacks=every_probe(), **options).fit(SmallClip(), loader("train"), loader("val"))
    done = Trainer(callbacks=every_probe(), **options)
    done.fit(WithoutValidation(), loader("train"))
    assert "in_sample/alignment/cosine" in done.callback_metrics
    assert not list(tmp_path.iterdir())


@pytest.mark.own_training
def test_a_trial_run_of_a_contrastive_module() -> None:
    probes = [
        AlignmentProbe(),
        IntrinsicDimensionProbe(k=5),
        TemperatureProbe(every_n_steps=2),
        ExamplesProbe(),
    ]
    done = Trainer(fast_dev_run=True, callbacks=probes, **QUIET)
    done.fit(_module(), datamodule=SyntheticLinear(**SIZES))
    assert {"alignment/cosine", "id/mle/x", "temperature"} <= set(done.callback_metrics)


def test_a_logger_may_invent_attributes() -> None:
    class Inventive(DummyLogger):
        every_n_steps = "sometimes"

    probe = TemperatureProbe()
    trainer(probe, logger=[Inventive(), DummyLogger()], epochs=1).fit(
        SmallClip(), loader("train"), loader("val")
    )
    assert probe.latest["temperature"].isfinite()


def test_a_module_may_have_attributes_of_other_meanings() -> None:
    class Named(SmallClip):
        replicates, temperature = 4, torch.nn.Linear(2, 2)

    probes = [AlignmentProbe(both), TemperatureProbe(), InformationProbe(both)]
    trainer(*probes, epochs=1).fit(Named(), loader("train"), loader("val"))
    assert probes[0].latest["alignment/cosine"].shape == ()
    assert 0.3 < float(probes[1].latest["temperature"]) < 0.4
    assert probes[2].latest["information/infonce_bound"].isfinite()


def test_bare_bones() -> None:
    probes = every_probe()
    Trainer(barebones=True, max_epochs=1, accelerator="cpu", callbacks=probes).fit(
        SmallClip(), loader("train"), loader("val")
    )
    assert probes[0].latest["alignment/cosine"].isfinite()


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_validate_and_test_return_print_and_log_the_numbers(tmp_path, capsys, verb) -> None:
    name = "test/alignment/cosine" if verb == "test" else "alignment/cosine"
    module = SmallClip()
    done = trainer(AlignmentProbe(both), logger=CSVLogger(tmp_path))
    with torch.no_grad():
        expected = float(alignment(*module.eval().embed(rows(N_VAL, 1).tensors)))
    for _ in range(2):
        (results,) = getattr(done, verb)(module, loader("val"))
        assert results[name] == pytest.approx(expected, rel=1e-5)
        assert name in capsys.readouterr().out.replace(" ", "")
    done.logger.save()
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table[name].dropna().tolist() == pytest.approx([expected] * len(table[name].dropna()), rel=1e-5)


def test_the_numbers_are_returned_after_a_fit_too() -> None:
    done = trainer(AlignmentProbe(both))
    module = SmallClip()
    done.fit(module, loader("train"), loader("val"))
    fitted = float(done.callback_metrics["alignment/cosine"])
    (validated,) = done.validate(module, loader("val"), verbose=False)
    (tested,) = done.test(module, loader("val"), verbose=False)
    assert validated["alignment/cosine"] == pytest.approx(fitted, rel=1e-5)
    assert tested["test/alignment/cosine"] == pytest.approx(fitted, rel=1e-5)


@pytest.mark.own_training
def test_a_contrastive_module_returns_its_numbers_unless_its_own_file_has_them(tmp_path) -> None:
    for logger in (False, MetricsFile(str(tmp_path))):
        done = Trainer(
            max_epochs=1, callbacks=[AlignmentProbe()], logger=logger, **QUIET, enable_checkpointing=False
        )
        module, data = _module(), SyntheticLinear(**SIZES)
        done.fit(module, datamodule=data)
        (results,) = done.test(module, datamodule=data, verbose=False)
        assert ("alignment/cosine" in results) == (logger is False)
    logger.save()
    assert pd.read_csv(tmp_path / "metrics.csv").metric.tolist().count("alignment/cosine") == 2


def test_predicting_needs_no_probe() -> None:
    class Predicting(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            del self.logit_scale

        def predict_step(self, batch, batch_idx):
            return self.embed(batch)

    probes = [IntrinsicDimensionProbe(), TemperatureProbe(), AlignmentProbe(by_module("nowhere"))]
    assert len(trainer(*probes).predict(Predicting(), loader("val"))) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"limit_val_batches": 1},
        {"num_sanity_val_steps": -1},
        {"val_check_interval": 2},
        {"precision": "bf16-true"},
        {"precision": 64},
        {"inference_mode": False},
        {"deterministic": True},
    ],
)
def test_settings_of_the_trainer(options) -> None:
    probes = [AlignmentProbe(both), AlignmentProbe(by_module("image", "text"), prefix="hook/")]
    done = trainer(*probes, epochs=1, **options)
    done.fit(SmallClip(), loader("train"), loader("val"))
    first, second = done.callback_metrics["alignment/cosine"], done.callback_metrics["hook/alignment/cosine"]
    assert float(first) == pytest.approx(float(second), abs=1e-5)


def test_the_jacobian_in_inference_mode() -> None:
    probe = JacobianProbe(lambda module, batch: (module.image, batch[0]), max_points=4)
    (results,) = trainer(probe).validate(SmallClip(), loader("val"), verbose=False)
    assert 1 <= results["jacobian/participation/x"] <= 6


@pytest.mark.parametrize(
    "average", [EMAWeightAveraging(), StochasticWeightAveraging(1e-3, swa_epoch_start=1)]
)
def test_averaged_weights(average) -> None:
    probes = [AlignmentProbe(both), AlignmentProbe(by_module("image", "text"), prefix="hook/")]
    done = trainer(*probes, average, epochs=2)
    done.fit(SmallClip(), loader("train"), loader("val"))
    first, second = done.callback_metrics["alignment/cosine"], done.callback_metrics["hook/alignment/cosine"]
    assert float(first) == pytest.approx(float(second), rel=1e-4)


@pytest.mark.parametrize("is_first", [True, False])
def test_the_temperature_of_averaged_weights_is_theirs(is_first: bool) -> None:
    seen = []

    class Fast(SmallClip):
        def validation_step(self, batch, batch_idx):
            seen.append(math.exp(-self.logit_scale.item()))
            return super().validation_step(batch, batch_idx)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.05)

    class Noting(InformationProbe):
        def measure(self, embeddings):
            taus.append(float(embeddings.tau))
            return super().measure(embeddings)

    taus, average = [], EMAWeightAveraging(decay=0.9)
    callbacks = [average, Noting(both)] if is_first else [Noting(both), average]
    trainer(*callbacks, num_sanity_val_steps=0).fit(Fast(), loader("train"), loader("val"))
    assert taus == pytest.approx(seen[:: len(loader("val"))])


@pytest.mark.slow
def test_compiled_parts_and_modules() -> None:
    class Compiled(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            self.image = torch.compile(self.image, backend="eager")

    plain, probe = MeanNormProbe(by_module("image")), MeanNormProbe(by_module("image"))
    trainer(plain).validate(SmallClip(), loader("val"), verbose=False)
    for module in (Compiled(), torch.compile(SmallClip(), backend="eager")):
        trainer(probe).validate(module, loader("val"), verbose=False)
        assert float(probe.latest["mean_norm/x"]) == pytest.approx(
            float(plain.latest["mean_norm/x"]), rel=1e-4
        )
    inner, module = MeanNormProbe(by_module("image.0")), Compiled()
    trainer(inner, epochs=1).fit(module, loader("train"), loader("val"))
    expected = module.image._orig_mod[0](rows(N_VAL, 1).tensors[0]).norm(dim=1).mean()
    assert float(inner.latest["mean_norm/x"]) == pytest.approx(float(expected), rel=1e-4)


class Fails(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        raise RuntimeError("out of memory")


def test_a_probe_serves_another_fit_also_after_one_that_failed() -> None:
    probe, values = AlignmentProbe(by_module("image", "text")), []
    for callbacks in ([], [Fails()], []):
        module = SmallClip()
        try:
            trainer(probe, *callbacks, epochs=1).fit(module, loader("train"), loader("val"))
        except RuntimeError:
            assert callbacks
        values.append(float(probe.latest["alignment/cosine"]))
        assert not any(part._forward_hooks for part in module.modules())
    assert values[0] == values[2]


def test_probes_are_copied_and_pickled_before_and_during_a_fit() -> None:
    class Copies(Callback):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            copies.append((copy.deepcopy(probe), pickle.loads(pickle.dumps(probe))))
            pickle.loads(pickle.dumps(module.image))

    copies: list[tuple] = []
    probe = pickle.loads(pickle.dumps(AlignmentProbe(by_module("image", "text"))))
    trainer(probe, Copies(), epochs=1).fit(SmallClip(), loader("train"), loader("val"))
    expected = float(probe.latest["alignment/cosine"])
    for again in copies[-1]:
        trainer(again, epochs=1).fit(SmallClip(), loader("train"), loader("val"))
        assert float(again.latest["alignment/cosine"]) == expected


def test_a_hook_never_ends_a_training() -> None:
    class Dicts(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Module()
            self.table.forward = lambda rows: {"pooled": rows}

        def step(self, batch):
            self.table(batch[0])
            return super().step(batch)

    probe = MeanNormProbe(by_module("table"))
    with pytest.warns(UserWarning, match="the module 'table' returns dict, not a tensor"):
        trainer(probe, epochs=1).fit(Dicts(), loader("train"), loader("val"))
    assert probe.latest["mean_norm/x"].isnan()


def test_warnings_point_at_the_line_of_the_user() -> None:
    def repeated(module, batch):
        return batch[0].round()[:, :2]

    probes = [
        IntrinsicDimensionProbe(repeated),  # a warning from within an estimator
        MatchingProbe(by_module("image")),  # a failure
        RecoveryProbe(both),  # nothing to say
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 1
        trainer(*probes, epochs=1).fit(SmallClip(), loader("train"), loader("val"))
    assert {warning.lineno for warning in caught if "needs x and y" in str(warning.message)} == {line}
    texts = ("exact duplicates", "needs x and y", "logs nothing")
    for text in texts:
        places = {warning.filename for warning in caught if text in str(warning.message)}
        assert places == {__file__}, text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            torch.zeros(4, 2),
            "got Tensor: embeddings that exist already are measured by intrinsic_clip.dimension",
        ),
        (pd.DataFrame({"a": [1.0]}), "got DataFrame: embeddings that exist"),
        ("image", "got str: name a submodule as by_module"),
        (torch.nn.Linear(2, 2), "got Linear: name a submodule as by_module"),
        (lambda batch: batch, r"a function of \(module, batch\), got one of \(batch\)"),
        (lambda module, batch, extra: batch, r"got one of \(module, batch, extra\)"),
        (3, "got int$"),
    ],
)
def test_what_is_no_source_is_refused_at_once(source, message) -> None:
    with pytest.raises(ValueError, match=message):
        AlignmentProbe(source)


def test_a_partial_or_a_bound_method_is_a_source() -> None:
    class Embedder:
        def __call__(self, module, batch):
            return module.embed(batch)

        def method(self, module, batch, scale=2.0):
            return tuple(scale * rows for rows in module.embed(batch))

    for source in (Embedder(), Embedder().method):
        probe = AlignmentProbe(source)
        trainer(probe).validate(SmallClip(), loader("val"), verbose=False)
        assert not math.isnan(float(probe.latest["alignment/cosine"]))


def test_warnings_of_a_users_own_probe_keep_their_place() -> None:
    class Warns(MeanNormProbe):
        def measure(self, embeddings):
            warnings.warn("mine", stacklevel=1)
            return super().measure(embeddings)

    with pytest.warns(UserWarning, match="mine") as caught:
        trainer(Warns(both)).validate(SmallClip(), loader("val"), verbose=False)
    line = Warns.measure.__code__.co_firstlineno + 1
    assert [warning.lineno for warning in caught if "mine" in str(warning.message)] == [line]


@pytest.mark.parametrize("finder", [LearningRateFinder(num_training_steps=5), BatchSizeFinder(max_trials=1)])
def test_beside_callbacks_that_fit_beforehand(tmp_path, finder) -> None:
    class Tunable(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            self.lr, self.batch_size = 1e-3, 16

        def train_dataloader(self):
            return DataLoader(rows(N_TRAIN, 0), batch_size=self.batch_size)

    hook = AlignmentProbe(by_module("image"), every_n_steps=2, prefix="b/")
    options = {"epochs": 1, "default_root_dir": tmp_path, "logger": CSVLogger(tmp_path)}
    done = trainer(AlignmentProbe(both), TemperatureProbe(), hook, finder, **options)
    done.fit(Tunable(), val_dataloaders=loader("val"))
    assert {"alignment/cosine", "temperature", "b/in_sample/uniformity/x"} <= set(done.callback_metrics)

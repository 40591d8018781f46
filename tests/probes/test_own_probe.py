"""A user's own probe of fifteen lines runs everywhere that the package's probes do, and fails as softly."""

import doctest
import inspect
import json
import math
import re

import pytest
import torch

from helpers import mean_norm_probe
from helpers.foreign_module import N_VAL, SmallClip, loader, rows, trainer
from helpers.lightning_name import IGNORED, CSVLogger
from helpers.mean_norm_probe import MeanNormProbe
from intrinsic_clip.probes import (
    AlignmentProbe,
    Collector,
    Measured,
    Probe,
    SpectrumProbe,
    by_module,
    by_output,
)
from intrinsic_clip.probes.collection import shared_collector
from intrinsic_clip.runs.results import read_metrics
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.filterwarnings(*IGNORED)


def fit(probe, **options):
    module = SmallClip()
    done = trainer(probe, **options)
    done.fit(module, loader("train"), loader("val"))
    return module, done


def test_the_docstring_has_the_same_probe_and_it_is_short() -> None:
    def body(code: str) -> str:
        return (
            re.sub(r"\s+", "", code[code.index("class MeanNormProbe") :]).replace("'", '"').replace(",}", "}")
        )

    (example,) = [test for test in doctest.DocTestFinder(recurse=False).find(Probe)]
    assert body(example.examples[0].source) == body(inspect.getsource(mean_norm_probe))
    assert len(inspect.getsource(mean_norm_probe).splitlines()) <= 15
    assert doctest.DocTestRunner().run(_with_globals(example)).failed == 0


def _with_globals(example: doctest.DocTest) -> doctest.DocTest:
    example.globs = {"Probe": Probe}
    return example


def test_on_a_module_that_knows_nothing_of_this_package(tmp_path) -> None:
    probe = MeanNormProbe(by_module("image"))
    module, done = fit(probe, logger=CSVLogger(tmp_path))
    module.eval()
    expected = module.image(rows(N_VAL, 1).tensors[0]).norm(dim=-1).mean().item()
    assert float(probe.latest["mean_norm/x"]) == pytest.approx(expected, rel=1e-5)
    assert float(done.callback_metrics["mean_norm/x"]) == pytest.approx(expected, rel=1e-5)
    assert set(probe.latest) == {"mean_norm/x"}
    assert "mean_norm/x" in next(tmp_path.glob("**/metrics.csv")).read_text()


CONFIG = ["+probes.norm._target_=helpers.mean_norm_probe.MeanNormProbe", "+probes.norm.every_n_epochs=3"]


@pytest.mark.slow
@pytest.mark.parametrize("replicates", ["null", "2"])
def test_in_a_config(tmp_path, compose, replicates) -> None:
    metrics = train(compose(*CONFIG, "+probes.norm.in_sample=true", f"replicates={replicates}"))["metrics"]
    (folder,) = tmp_path.glob("outputs/custom/*")
    table = read_metrics(folder)
    assert table[table.metric == "mean_norm/y"].step.unique().tolist() == [0, 24, 48]
    written = json.loads((folder / "results.json").read_text())["metrics"]
    for name in ("mean_norm/x", "mean_norm/y", "in_sample/mean_norm/x"):
        assert metrics[name] == written[name]
        assert len(written[name]["values"]) == (1 if replicates == "null" else 2)
    # SimilarityProbe's own number for the representations that the loss sees.
    assert written["mean_norm/x"]["values"] == pytest.approx(written["relative_norm/x"]["values"])


@pytest.mark.slow
def test_an_error_in_measure_is_nan_with_a_reason_and_one_warning(tmp_path, compose, monkeypatch) -> None:
    def fail(self, embeddings):
        raise RuntimeError("no norm\ntoday")

    monkeypatch.setattr(MeanNormProbe, "measure", fail)
    with pytest.warns(UserWarning, match="MeanNormProbe") as caught:
        results = train(compose(*CONFIG, "replicates=2"))
    warned = [str(warning.message) for warning in caught if "MeanNormProbe" in str(warning.message)]
    assert warned == ["MeanNormProbe failed and is logged as NaN: RuntimeError: no norm today"]
    assert results["status"] == "completed"
    assert results["metrics"]["mean_norm/x"]["mean"] is None
    assert results["reasons"]["mean_norm/x"] == "RuntimeError: no norm today"
    assert results["notes"].count(warned[0]) == 1
    probe = MeanNormProbe(by_module("image", "text"), prefix="mine/")
    with pytest.warns(UserWarning, match="MeanNormProbe failed and is logged as NaN"):
        module, _ = fit(probe)
    assert module.logit_scale != 1.0
    assert {name: math.isnan(value) for name, value in probe.latest.items()} == {
        "mine/mean_norm/x": True,
        "mine/mean_norm/y": True,
    }
    assert set(probe.reasons) == set(probe.latest)


def _later(module, batch):
    """Give x of the first batches of a pass."""
    module.calls = getattr(module, "calls", 0) + 1
    if module.calls > 1:
        raise RuntimeError("no rows")
    return module.image(batch[0])


@pytest.mark.parametrize("source", [by_module("image.0", views=1), by_output("nothing"), _later])
def test_a_source_of_x_alone_fails_under_the_names_of_x(source, monkeypatch) -> None:
    probe = AlignmentProbe(source)
    if isinstance(source, by_module):
        monkeypatch.setattr(source, "rows", lambda batch: 1 / 0)
    with pytest.warns(UserWarning, match="AlignmentProbe failed"):
        _, done = fit(probe)
    assert {name: math.isnan(value) for name, value in probe.latest.items()} == {"uniformity/x": True}
    assert "uniformity/y" not in done.callback_metrics


def test_a_number_that_fails_later_keeps_no_standard_error() -> None:
    passes = []

    def source(module, batch):
        if passes and passes[-1] != (module.current_epoch, module.trainer.sanity_checking):
            raise RuntimeError("no rows")
        passes.append((module.current_epoch, module.trainer.sanity_checking))
        return module.image(batch[0])

    probe = SpectrumProbe(source)
    with pytest.warns(UserWarning, match="SpectrumProbe failed"):
        fit(probe, num_sanity_val_steps=0)
    assert any(name.startswith("spectrum_standard_error/") for name in probe.latest)
    assert all(math.isnan(value) for value in probe.latest.values())
    assert set(probe.reasons) == set(probe.latest)
    assert not [name for name in probe.latest if name.endswith("/y")]


def test_notes_are_those_of_the_last_measurement() -> None:
    class Doubting(MeanNormProbe):
        calls = 0

        def measure(self, embeddings):
            self.calls += 1
            self.warn_once("odd rows")
            if self.calls == 1:
                self.warn_once("first rows")
            return super().measure(embeddings)

    probe = Doubting(by_module("image", "text"))
    with pytest.warns(UserWarning, match="odd rows") as caught:
        fit(probe, epochs=2)
    assert probe.calls > 1
    assert [str(warning.message) for warning in caught].count("odd rows") == 1
    assert probe.notes == ["odd rows"]


def test_a_number_that_is_back_has_no_reason_any_more() -> None:
    class Recovering(MeanNormProbe):
        calls = 0

        def measure(self, embeddings):
            self.calls += 1
            if self.calls == 1:
                raise ValueError("not yet")
            return super().measure(embeddings)

    probe = Recovering(by_module("image"))
    with pytest.warns(UserWarning, match="not yet"):
        fit(probe, epochs=1)
    assert probe.reasons == {"mean_norm/x": "not yet"}
    fit(probe, epochs=1)
    assert probe.reasons == {}
    assert probe.latest["mean_norm/x"].isfinite()


def test_reasons_and_plain_numbers_may_be_returned() -> None:
    class Loose(MeanNormProbe):
        def names(self, sides):
            return ["a", "b", "c"]

        def measure(self, embeddings):
            return {"a": 1.5, "b": Measured(None, "never"), "c": Measured(torch.tensor(2.0), "a rough guess")}

    probe = Loose(by_module("image"))
    fit(probe, epochs=1)
    assert float(probe.latest["a"]) == 1.5
    assert probe.latest["b"].isnan()
    assert float(probe.latest["c"]) == 2.0
    assert probe.reasons == {"b": "never", "c": "a rough guess"}


def test_one_value_per_row_is_refused_as_it_is_no_number_of_a_replicate() -> None:
    class PerRow(MeanNormProbe):
        def measure(self, embeddings):
            return {"mean_norm/x": embeddings.x.norm(dim=-1)}

    probe = PerRow(by_module("image"))
    with pytest.warns(UserWarning, match=r"one value per replicate, shape \(\), got \(128,\)"):
        fit(probe, epochs=1)
    assert probe.latest["mean_norm/x"].isnan()


def test_a_probe_may_look_at_something_other_than_embeddings() -> None:
    class Labels:
        def __init__(self, labels) -> None:
            self.labels = labels

        def sides(self):
            return {"x": self.labels}

    class LabelCollector(Collector):
        def listen(self) -> None:
            pass

        def add(self, trainer, module, outputs, batch, place) -> None:
            self.labels = [*getattr(self, "labels", []), outputs["classes"]]

        def collected(self, trainer, module):
            return Labels(torch.cat(self.labels))

    class PrevalenceProbe(Probe):
        def names(self, sides):
            return ["prevalence"]

        def measure(self, embeddings):
            return {"prevalence": embeddings.labels.float().mean()}

        def collector(self, module, stage):
            return shared_collector(module, (type(self), stage), LabelCollector)

    probe = PrevalenceProbe(lambda module, batch: None)
    fit(probe, epochs=1)
    assert float(probe.latest["prevalence"]) == float(rows(N_VAL, 1).tensors[2].float().mean())


@pytest.mark.parametrize(
    ("given", "of_given"), [({}, "no number"), ({"mean_nrom/x": torch.ones(())}, "mean_nrom/x")]
)
def test_a_promised_number_that_is_not_given_is_nan_with_a_reason(monkeypatch, given, of_given) -> None:
    monkeypatch.setattr(MeanNormProbe, "measure", lambda self, embeddings: given)
    probe = MeanNormProbe(by_module("image"), prefix="mine/")
    with pytest.warns(UserWarning, match="MeanNormProbe") as caught:
        _, done = fit(probe, epochs=2)
    said = f"MeanNormProbe: names() promises mean_norm/x, which measure() has not given; it gave {of_given}"
    assert [str(each.message) for each in caught if "MeanNormProbe" in str(each.message)] == [said]
    assert set(probe.latest) == {"mine/mean_norm/x", *(f"mine/{name}" for name in given)}
    assert math.isnan(probe.latest["mine/mean_norm/x"])
    assert math.isnan(done.callback_metrics["mine/mean_norm/x"])
    assert probe.reasons == {"mine/mean_norm/x": "names() promises it, and measure() has not given it"}
    assert probe.notes == [said]

"""Two sources never become one number: probes, loaders, views and processes are told apart or refused."""

import copy
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, TensorDataset

from helpers.foreign_module import N_TRAIN, N_VAL, SmallClip, WithoutValidation, loader, rows, trainer
from helpers.lightning_name import IGNORED, Callback, CombinedLoader, MisconfigurationException
from helpers.mean_norm_probe import MeanNormProbe
from intrinsic_clip.dimension import twonn
from intrinsic_clip.probes import (
    AlignmentProbe,
    ClassificationProbe,
    IntrinsicDimensionProbe,
    SpectrumProbe,
    TemperatureProbe,
    by_module,
    by_output,
)
from intrinsic_clip.probes.loaders import padding_rows

pytestmark = pytest.mark.filterwarnings(*IGNORED)


def both(module, batch):
    return module.embed(batch)


def images(module, batch):
    return module.image(batch[0])


class SameNames(MeanNormProbe):
    """Another kind of probe that logs the names of MeanNormProbe."""


class SeveralLoaders(SmallClip):
    """SmallClip with several validation loaders."""

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return super().validation_step(batch, batch_idx)

    test_step = validation_step


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (
            [IntrinsicDimensionProbe(both), IntrinsicDimensionProbe(images)],
            "two IntrinsicDimensionProbe log id/mle/x: give one a prefix",
        ),
        ([AlignmentProbe(both), AlignmentProbe(both, seed=1)], "two AlignmentProbe log"),
        ([AlignmentProbe(both), AlignmentProbe(images, every_n_steps=2)], "two AlignmentProbe log"),
        ([MeanNormProbe(both), SameNames(both)], "MeanNormProbe and SameNames both log mean_norm/x"),
        (
            [ClassificationProbe(both), ClassificationProbe(images)],
            "two ClassificationProbe log classification",
        ),
        (
            [SpectrumProbe(images, prefix="a/"), SpectrumProbe(both, prefix="a/")],
            "two SpectrumProbe log a/spectrum",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "validate", "test"])
def test_two_probes_of_one_name_are_refused_when_the_trainer_starts(probes, message, verb) -> None:
    for ordered in (probes, probes[::-1]):
        with pytest.raises(MisconfigurationException, match=message):
            getattr(trainer(*ordered), verb)(SmallClip(), loader("train"))


def test_a_probe_that_is_listed_twice_is_refused() -> None:
    probe = AlignmentProbe(both)
    with pytest.raises(MisconfigurationException, match="listed twice"):
        trainer(probe, probe).validate(SmallClip(), loader("val"), verbose=False)


def test_probes_that_share_no_name_stand_beside_each_other() -> None:
    probes = [
        IntrinsicDimensionProbe(both, estimators=["mle"]),
        IntrinsicDimensionProbe(images, estimators=["twonn"]),
        IntrinsicDimensionProbe(images, prefix="image/", estimators=["mle"]),
        IntrinsicDimensionProbe(
            both, estimators=["mle"], every_n_steps=4
        ),  # the first one's rows at other times
        TemperatureProbe(),
        TemperatureProbe(tau=lambda module: torch.tensor(2.0), prefix="fixed/"),
    ]
    done = trainer(*probes)
    done.fit(SmallClip(), loader("train"), loader("val"))
    names = {
        "id/mle/x",
        "id/twonn/x",
        "image/id/mle/x",
        "in_sample/id/mle/x",
        "temperature",
        "fixed/temperature",
    }
    assert names <= set(done.callback_metrics)
    (results,) = done.test(SmallClip(), loader("val"), verbose=False)
    assert results["test/id/mle/x"] == pytest.approx(float(probes[0].latest["test/id/mle/x"]), rel=1e-5)


def test_names_that_depend_on_the_data_are_left_out_where_another_probe_has_them() -> None:
    class Loose(MeanNormProbe):
        def names(self, sides):
            return [f"{self.seed}"]

    first, second = Loose(both, seed=1), Loose(images, seed=2)
    done = trainer(first, second)
    with pytest.warns(UserWarning, match="mean_norm/x is logged by another probe"):
        done.validate(SmallClip(), loader("val"), verbose=False)
    assert done.callback_metrics["mean_norm/x"] == pytest.approx(float(first.latest["mean_norm/x"]), rel=1e-5)
    assert "mean_norm/x" not in second.latest


class LogsInStep(SmallClip):
    def validation_step(self, batch, batch_idx):
        self.log("alignment/cosine", 3.0)
        return super().validation_step(batch, batch_idx)


class LogsAtTheEnd(SmallClip):
    def on_validation_epoch_end(self) -> None:
        self.log("alignment/cosine", 3.0, logger=False, add_dataloader_idx=False)


class AlsoLogs(Callback):
    def on_validation_epoch_end(self, trainer, module) -> None:
        module.log("alignment/cosine", 3.0, logger=False, add_dataloader_idx=False)


@pytest.mark.parametrize(
    ("module", "callbacks"), [(LogsInStep, []), (LogsAtTheEnd, []), (SmallClip, [AlsoLogs()])]
)
def test_a_name_that_something_else_logs_too_is_warned_of(module, callbacks) -> None:
    with pytest.warns(
        UserWarning, match="alignment/cosine is logged by AlignmentProbe and by something else"
    ):
        trainer(AlignmentProbe(both), *callbacks, epochs=1).fit(module(), loader("train"), loader("val"))


class LogsItsScale(SmallClip):
    def training_step(self, batch, batch_idx):
        self.log("temperature", self.logit_scale.exp())
        return super().training_step(batch, batch_idx)


class AlsoLogsTau(Callback):
    def on_train_epoch_end(self, trainer, module) -> None:
        module.log("temperature", 3.0, logger=False)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize(("module", "callbacks"), [(LogsItsScale, []), (SmallClip, [AlsoLogsTau()])])
def test_a_temperature_that_something_else_logs_too_is_warned_of(module, callbacks, epochs: int) -> None:
    with pytest.warns(UserWarning, match="temperature is logged by TemperatureProbe and by something else"):
        trainer(TemperatureProbe(), *callbacks, epochs=epochs).fit(module(), loader("train"))


def test_a_temperature_of_its_own_is_not_warned_of() -> None:
    probes = [TemperatureProbe(), TemperatureProbe(prefix="second/")]
    trainer(*probes, epochs=3).fit(SmallClip(), loader("train"), loader("val"))
    assert not any("something else" in note for probe in probes for note in probe.notes)


def plane(n: int, k: int) -> DataLoader:
    generator = torch.Generator().manual_seed(k)
    x = torch.randn(n, k, generator=generator) @ torch.randn(k, 12, generator=generator)
    return DataLoader(TensorDataset(x, torch.zeros(n, 9), torch.zeros(n, dtype=torch.int64)), batch_size=32)


@pytest.mark.parametrize("verb", ["fit", "validate", "test"])
@pytest.mark.parametrize("named", [True, False])
def test_several_loaders_are_told_apart(verb, named) -> None:
    loaders = {"two": plane(256, 2), "six": plane(256, 6)}
    probe = IntrinsicDimensionProbe(lambda module, batch: batch[0], estimators=["mle"])
    done = trainer(probe, epochs=1)
    given = loaders if named else list(loaders.values())
    if verb == "fit":
        done.fit(SeveralLoaders(), loader("train"), given)
    else:
        getattr(done, verb)(SeveralLoaders(), given, verbose=False)
    start = "test/id/mle/x/" if verb == "test" else "id/mle/x/"
    names = list(loaders) if named else ["dataloader_idx_0", "dataloader_idx_1"]
    values = {name: float(done.callback_metrics[start + name]) for name in names}
    assert list(values.values()) == pytest.approx([2.0, 5.3], abs=0.4)
    assert start.rstrip("/") not in done.callback_metrics


def test_a_batch_that_holds_a_part_of_each_loader_is_the_sources_business() -> None:
    class Joint(SmallClip):
        def validation_step(self, batch, batch_idx):
            return super().validation_step(batch["a"], batch_idx)

    probe = MeanNormProbe(lambda module, batch: batch["b"][0])
    joint = CombinedLoader({"a": loader("val"), "b": loader("train")}, "min_size")
    done = trainer(probe)
    done.validate(Joint(), joint, verbose=False)
    expected = rows(N_TRAIN, 0).tensors[0][:N_VAL].norm(dim=1).mean()
    assert float(done.callback_metrics["mean_norm/x"]) == pytest.approx(float(expected), rel=1e-5)


class Views(WithoutValidation):
    """Encode two slightly different views of a batch, one after the other or joined."""

    def __init__(self, joined: bool = False, momentum: bool = False) -> None:
        super().__init__()
        self.joined, self.momentum = joined, momentum
        self.image = nn.Linear(12, 12)

    def training_step(self, batch, batch_idx):
        views = batch[0], batch[0] + 1e-4 * torch.randn_like(batch[0])
        if self.joined:
            first, second = self.image(torch.cat(views)).chunk(2)
        else:
            first, second = (self.image(view) for view in views)
        if self.momentum:
            with torch.no_grad():
                self.image(batch[0])
        return (first - second).square().mean() - first.var()


def expected_twonn(module: Views) -> float:
    return float(twonn(module.image(rows(N_TRAIN, 0).tensors[0]).detach()).value)


@pytest.mark.parametrize("joined", [True, False])
def test_views_are_told_apart(joined) -> None:
    module, probe = Views(joined), IntrinsicDimensionProbe(by_module("image", views=2))
    alignment = AlignmentProbe(by_module("image", views=2))
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.0)
    trainer(probe, alignment, epochs=1).fit(module, loader("train"))
    expected = expected_twonn(module)
    assert expected > 5
    assert float(probe.latest["in_sample/id/twonn/x"]) == pytest.approx(expected, rel=1e-3)
    assert float(probe.latest["in_sample/id/twonn/y"]) == pytest.approx(expected, rel=1e-2)
    assert float(alignment.latest["in_sample/alignment/cosine"]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("module", "source", "times"),
    [
        (Views(), by_module("image"), "called 2 times"),
        (Views(momentum=True), by_module("image", views=2), "called 3 times"),
    ],
)
def test_more_calls_than_the_source_knows_are_left_out_with_a_warning(module, source, times) -> None:
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.0)
    probe = IntrinsicDimensionProbe(source)
    with pytest.warns(UserWarning, match=times) as caught:
        trainer(probe, epochs=2).fit(module, loader("train"))
    assert sum(times in str(warning.message) for warning in caught) == 1
    assert float(probe.latest["in_sample/id/twonn/x"]) == pytest.approx(expected_twonn(module), rel=1e-3)


def test_a_recomputed_forward_pass_is_not_measured_again() -> None:
    class Checkpointed(WithoutValidation):
        def training_step(self, batch, batch_idx):
            x = torch.utils.checkpoint.checkpoint(self.image, batch[0], use_reentrant=False)
            return x.square().mean()

    seen = []

    class Noting(MeanNormProbe):
        def measure(self, embeddings):
            seen.append(len(embeddings.x))
            return super().measure(embeddings)

    with pytest.warns(UserWarning, match="recomputed forward pass"):
        trainer(Noting(by_module("image.0")), epochs=1).fit(Checkpointed(), loader("train"))
    assert seen == [N_TRAIN]


class MultiCrop(WithoutValidation):
    """Call the encoder once for each resolution: for all large crops joined, and for all small ones."""

    def __init__(self, part: str = "image") -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(12, 12)) if "." in part else nn.Linear(12, 12)

    def training_step(self, batch, batch_idx):
        return self.image(torch.cat(batch[:2])).mean() - self.image(torch.cat(batch[2:])).mean()


def crops() -> DataLoader:
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    return DataLoader(
        TensorDataset(*(x + 0.1 * torch.randn(64, 12, generator=generator) for _ in range(6))), batch_size=32
    )


@pytest.mark.parametrize("part", ["image", "image.0"])
@pytest.mark.parametrize("views", [1, 2, 6])
@pytest.mark.filterwarnings("ignore")
def test_calls_of_several_lengths_are_no_views_and_advise_a_function_that_can_be_pasted(part, views) -> None:
    module, probe = MultiCrop(part), MeanNormProbe(by_module(part, views=views))
    with pytest.warns(UserWarning, match="called 2 times in a step.*64 and 128 rows") as caught:
        trainer(probe, epochs=1).fit(module, crops())
    (message,) = (text for text in (str(warning.message) for warning in caught) if "called 2 times" in text)
    assert f"views={2 if views == 1 else 6}" not in message
    advised = re.search(r"such as (lambda module, batch: \(.*batch\[0\]\), .*batch\[1\]\)\))", message)
    alignment = AlignmentProbe(eval(advised[1]))
    trainer(alignment, epochs=1).fit(module, crops())
    assert float(alignment.latest["in_sample/alignment/cosine"]) > 0.9


@pytest.mark.filterwarnings("ignore")
def test_two_calls_of_one_length_stay_views_beside_others() -> None:
    class Mixed(MultiCrop):
        def training_step(self, batch, batch_idx):
            return sum(self.image(x).mean() for x in (*batch[:2], torch.cat(batch[2:])))

    probe = AlignmentProbe(by_module("image", views=2))
    with pytest.warns(UserWarning, match="called 3 times") as caught:
        trainer(probe, epochs=1).fit(Mixed(), crops())
    assert "views=3" not in "".join(str(warning.message) for warning in caught)
    assert float(probe.latest["in_sample/alignment/cosine"]) > 0.9


def test_joined_views_that_nobody_named_are_warned_of() -> None:
    class Pair(WithoutValidation):
        def training_step(self, batch, batch_idx):
            return self.image(torch.cat(batch[:2])).square().mean()

    x = torch.randn(64, 12)
    twice = DataLoader(TensorDataset(x, x + 1e-4), batch_size=32)
    with pytest.warns(UserWarning, match=r"64 rows for a batch of 32.*views=2"):
        trainer(MeanNormProbe(by_module("image")), epochs=1).fit(Pair(), twice)


@pytest.mark.parametrize("y", ["image", "tied"])
def test_one_module_is_not_two_modalities(y) -> None:
    module = SmallClip()
    module.tied = module.image
    with pytest.raises(MisconfigurationException, match=r"are one module: by_module\('image', views=2\)"):
        trainer(AlignmentProbe(by_module("image", y))).validate(module, loader("val"), verbose=False)


def test_views_that_do_not_come_are_a_reason() -> None:
    probe = MeanNormProbe(by_module("image", views=3))
    with pytest.warns(UserWarning, match="32 rows of 'image' are not 3 views"):
        trainer(probe, epochs=1).fit(WithoutValidation(), loader("train"))
    assert probe.latest["in_sample/mean_norm/x"].isnan()
    for views in (0, 1.5):
        with pytest.raises(ValueError, match="views must be a whole number"):
            by_module("image", views=views)


def test_what_other_probes_compute_is_no_call_of_the_step() -> None:
    probes = [IntrinsicDimensionProbe(both), AlignmentProbe(by_module("image", "text"))]
    done = trainer(*probes, epochs=1)
    done.fit(SmallClip(), loader("train"), loader("val"))
    assert not any("times in a step" in message for message in probes[1]._warned)
    assert probes[1].reasons == {}


def test_one_source_may_serve_probes_of_several_samples() -> None:
    source = by_module("image", "text")
    probes = [AlignmentProbe(source, max_samples=n, prefix=f"{n}/") for n in (64, 128)]
    trainer(*probes, epochs=1).fit(SmallClip(), loader("train"), loader("val"))
    assert all(value.isfinite() for probe in probes for value in probe.latest.values())


class OwnBatches(BatchSampler):
    """Batches of a sampler, as a loader's `batch_sampler` that Lightning makes anew with a distributed one."""


@pytest.mark.parametrize("batches", [None, BatchSampler, OwnBatches])
@pytest.mark.parametrize(("n", "expected"), [(129, [None, 64]), (128, [None, None]), (1, [None, 0])])
def test_rows_that_a_distributed_sampler_repeats_are_found(n, expected, batches) -> None:
    firsts = []
    for rank in range(2):
        data = TensorDataset(torch.arange(n))
        sampler = DistributedSampler(data, num_replicas=2, rank=rank, shuffle=False)
        by = {"sampler": sampler} if batches is None else {"batch_sampler": batches(sampler, 32, False)}
        loaders = CombinedLoader(DataLoader(data, **by), "sequential")
        fake = SimpleNamespace(world_size=2, _active_loop=SimpleNamespace(_combined_loader=loaders))
        firsts.append(padding_rows(fake, len(list(sampler))))
        assert padding_rows(fake, len(list(sampler)) + 1) is None
    assert firsts == expected


def test_by_output_and_hooks_survive_a_copy_of_the_probe() -> None:
    probe = MeanNormProbe(by_module("image"))
    trainer(probe, epochs=1).fit(SmallClip(), loader("train"), loader("val"))
    again = copy.deepcopy(probe)
    trainer(again, MeanNormProbe(by_output("images"), prefix="b/"), epochs=1).fit(
        SmallClip(), loader("train"), loader("val")
    )
    assert again.latest["mean_norm/x"] == pytest.approx(float(probe.latest["mean_norm/x"]), rel=1e-4)

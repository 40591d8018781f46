"""Probes on LightningModules that do not depend on this package."""

import json
import math
import random

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, TensorDataset

from helpers.foreign_module import BATCH, N_VAL, SmallClip, WithoutValidation, loader, rows, trainer
from helpers.lightning_name import (
    IGNORED,
    CSVLogger,
    EarlyStopping,
    LightningModule,
    MisconfigurationException,
)
from helpers.ranks import in_ranks, succeeded
from helpers.two_processes import measure_as_one_of_two
from intrinsic_clip.dimension import effective_rank, mle, twonn
from intrinsic_clip.measurement.embeddings import Embeddings
from intrinsic_clip.metrics import alignment, modality_gap
from intrinsic_clip.probes import (
    AlignmentProbe,
    ClassificationProbe,
    InformationProbe,
    IntrinsicDimensionProbe,
    JacobianProbe,
    MatchingProbe,
    RecoveryProbe,
    SimilarityProbe,
    SpectrumProbe,
    TemperatureProbe,
    by_function,
    by_module,
    by_output,
)
from intrinsic_clip.probes.collection import RowCollector

pytestmark = pytest.mark.filterwarnings(*IGNORED)


def both(module: SmallClip, batch):
    return module.embed(batch)


def validation_embeddings(module: SmallClip):
    data = rows(N_VAL, 1)
    module.eval()
    with torch.no_grad():
        return module.image(data.tensors[0]), module.text(data.tensors[1])


def fit(module: LightningModule, *probes, validation: bool = True, **options):
    done = trainer(*probes, **options)
    done.fit(module, loader("train"), loader("val") if validation else None)
    return done


@pytest.mark.parametrize(
    ("source", "normalised"),
    [
        (both, False),
        (by_function(both), False),
        (by_output("images", "texts"), True),
        (by_module("image", "text"), False),
    ],
)
def test_every_way_to_the_embeddings_gives_the_same_numbers(source, normalised) -> None:
    module, probe = SmallClip(), IntrinsicDimensionProbe(source)
    done = fit(module, probe)
    x, y = validation_embeddings(module)
    if normalised:
        x, y = normalize(x, dim=-1), normalize(y, dim=-1)
    expected = {"id/mle/x": mle(x), "id/mle/y": mle(y), "id/twonn/x": twonn(x), "id/twonn/y": twonn(y)}
    for name, estimate in expected.items():
        assert float(probe.latest[name]) == pytest.approx(float(estimate.value), rel=1e-4)
        assert float(done.callback_metrics[name]) == pytest.approx(float(estimate.value), rel=1e-4)
    assert float(probe.latest["id_standard_error/mle/x"]) == pytest.approx(
        float(expected["id/mle/x"].standard_error), rel=1e-4
    )
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize("odd", [1, N_VAL])
def test_pairs_that_are_not_finite_are_left_out_or_are_the_reason(odd) -> None:
    data = rows(N_VAL, 1)
    data.tensors[0][:odd, 0] = math.nan
    module = SmallClip()
    probes = [MatchingProbe(both), SpectrumProbe(both), AlignmentProbe(both), InformationProbe(both)]
    done = trainer(*probes)
    found = "hold NaN or infinity" if odd < N_VAL else "needs at least 2 finite rows"
    with pytest.warns(UserWarning, match=found):
        done.validate(module, DataLoader(data, batch_size=BATCH), verbose=False)
    if odd < N_VAL:
        with torch.no_grad():
            x, y = (side[odd:] for side in module.eval().embed(data.tensors))
        assert float(probes[2].latest["alignment/cosine"]) == pytest.approx(float(alignment(x, y)), rel=1e-4)
        assert not any(value.isnan().any() for probe in probes for value in probe.latest.values())
        assert (
            f"1 of {N_VAL} pairs hold NaN or infinity (1 in x) and were left out of all numbers"
            in probes[0].notes
        )
        norms = [note.partition("norms vary")[0] for note in probes[0].notes + probes[3].notes]
        assert norms[0] == "matching compares inner products as the loss of the paper does, and "
        assert "information/infonce_bound takes inner products as they are, and " in norms
    else:
        for name in ("alignment/cosine", "modality_gap", "uniformity/x"):
            assert probes[2].reasons[name] == f"{N_VAL} of {N_VAL} rows of x hold NaN or infinity"
        assert probes[3].latest["information/infonce_bound"].isnan()


def test_one_embedding_is_enough() -> None:
    module = SmallClip()
    probes = [IntrinsicDimensionProbe(by_module("image")), AlignmentProbe(by_module("image"))]
    fit(module, *probes)
    x, _ = validation_embeddings(module)
    assert float(probes[0].latest["id/mle/x"]) == pytest.approx(float(mle(x).value), rel=1e-4)
    assert "id/mle/y" not in probes[0].latest
    assert set(probes[1].latest) == {"uniformity/x"}


def test_all_probes_embed_the_rows_once() -> None:
    kinds = [
        IntrinsicDimensionProbe, MatchingProbe, AlignmentProbe, InformationProbe, SimilarityProbe,
        SpectrumProbe,
    ]  # fmt: skip
    module, probes = SmallClip(), [kind(both) for kind in kinds]
    fit(module, *probes, epochs=3)
    assert module.embedded == 3 * N_VAL // BATCH
    x, y = validation_embeddings(module)
    assert float(probes[2].latest["alignment/cosine"]) == pytest.approx(float(alignment(x, y)), rel=1e-4)
    assert float(probes[2].latest["modality_gap"]) == pytest.approx(float(modality_gap(x, y)), rel=1e-4)
    assert probes[3].latest["information/infonce_bound"].isfinite()


def test_cadence_of_validation_runs() -> None:
    seen = []

    class Noting(AlignmentProbe):
        def measure(self, embeddings):
            seen.append(len(embeddings.x))
            return super().measure(embeddings)

    fit(SmallClip(), Noting(both, every_n_epochs=2), epochs=5)
    assert seen == [N_VAL] * 3  # after epochs 2, 4 and the last
    seen.clear()
    trainer(Noting(both)).validate(SmallClip(), loader("val"), verbose=False)
    assert seen == [N_VAL]


def test_every_n_steps_measures_the_last_training_batches(tmp_path) -> None:
    probe = IntrinsicDimensionProbe(both, every_n_steps=4, max_samples=2 * BATCH, estimators=["mle"], k=5)
    module = SmallClip()
    fit(module, probe, epochs=4, logger=CSVLogger(tmp_path))
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    logged = table[table["in_sample/id/mle/x"].notna()]
    assert logged.step.tolist() == [3, 7, 11, 15, 19]  # as self.log numbers these moments
    assert "id/mle/x" not in table.columns
    # The first batch shows how many rows there are; then two of four are embedded each time.
    assert module.embedded == 1 + 2 * 5


@pytest.mark.parametrize("source", [both, by_output("images", "texts"), by_module("image", "text")])
def test_without_validation_training_rows_are_measured(source) -> None:
    probe = AlignmentProbe(source)
    fit(WithoutValidation(), probe, validation=False)
    assert -1 <= float(probe.latest["in_sample/alignment/cosine"]) <= 1


def test_a_function_sees_the_module_as_in_evaluation_and_leaves_it_as_it_was() -> None:
    modes = []

    def embed(module, batch):
        modes.append(module.image[2].training)
        return module.embed(batch)

    module = SmallClip()
    module.text.eval()  # frozen by the user: it must stay so
    trainer(AlignmentProbe(embed, every_n_steps=1)).fit(module, loader("train"))
    assert not any(modes)
    assert module.image[2].training


def test_a_sample_of_more_rows_is_the_same_each_time() -> None:
    values = [
        AlignmentProbe(both, max_samples=40, seed=s, prefix=p) for s, p in ((3, ""), (3, "b/"), (4, "c/"))
    ]
    fit(SmallClip(), *values)
    first, again, other = (float(probe.latest[f"{probe.prefix}alignment/cosine"]) for probe in values)
    assert first == again != other


class OneBuffer:
    """Loader that writes every batch to the same memory."""

    def __init__(self) -> None:
        self.buffers = [torch.empty(BATCH, 12), torch.empty(BATCH, 9), torch.empty(BATCH, dtype=torch.long)]

    def __iter__(self):
        for batch in loader("val"):
            for kept, fresh in zip(self.buffers, batch, strict=True):
                kept.copy_(fresh)
            yield self.buffers

    def __len__(self) -> int:
        return N_VAL // BATCH


class ReusesItsOutput(SmallClip):
    """SmallClip whose validation writes its outputs to the same memory at each step."""

    def validation_step(self, batch, batch_idx):
        if batch_idx == 0:
            self.output = torch.empty(BATCH, 12)
        return {"loss": self.output.sum(), "images": self.output.copy_(batch[0])}


@pytest.mark.parametrize(
    "source", [lambda module, batch: batch[0], lambda module, batch: batch[0][:, :], by_output("images")]
)
def test_rows_whose_memory_is_written_again_are_measured_as_they_were(source) -> None:
    probe = SpectrumProbe(source)
    jacobian = JacobianProbe(lambda module, batch: (module.image, batch[0]), max_points=8)
    trainer(probe, jacobian).validate(module := ReusesItsOutput(), OneBuffer(), verbose=False)
    truth = effective_rank(rows(N_VAL, 1).tensors[0])
    assert float(probe.latest["spectrum/effective_rank/x"]) == pytest.approx(float(truth), rel=1e-4)
    again = JacobianProbe(lambda module, batch: (module.image, batch[0]), max_points=8)
    trainer(again).validate(module, loader("val"), verbose=False)
    assert torch.equal(jacobian.latest["jacobian/participation/x"], again.latest["jacobian/participation/x"])


def test_a_slice_of_a_larger_tensor_keeps_no_more_than_its_rows() -> None:
    kept = []

    def first_token(module, batch):
        return batch[0][:, None].repeat(1, 50, 1)[:, 0]

    def collected(self, *arguments):
        kept.extend(part["x"].untyped_storage().nbytes() for part in self._parts)
        return original(self, *arguments)

    original = RowCollector.collected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowCollector, "collected", collected)
        trainer(SpectrumProbe(first_token)).validate(SmallClip(), loader("val"), verbose=False)
    assert kept == [BATCH * 12 * 4] * (N_VAL // BATCH)


def test_test_rows_have_names_of_their_own() -> None:
    probe, module = AlignmentProbe(both), SmallClip()
    trainer(probe).test(module, loader("val"), verbose=False)
    x, y = validation_embeddings(module)
    assert float(probe.latest["test/alignment/cosine"]) == pytest.approx(float(alignment(x, y)), rel=1e-4)


@pytest.mark.parametrize("source", [both, by_output("images", "texts"), by_module("image", "text")])
def test_mixed_precision(source) -> None:
    probe = IntrinsicDimensionProbe(source)
    fit(SmallClip(), probe, precision="bf16-mixed")
    assert 1 < float(probe.latest["id/mle/x"]) < 7


def test_probing_changes_nothing_in_training() -> None:
    weights = []
    for probes in ([], [IntrinsicDimensionProbe(both), AlignmentProbe(by_module("image"), every_n_steps=2)]):
        module = SmallClip()
        fit(module, *probes)
        weights.append(module.image[0].weight)
    assert torch.equal(*weights)


class WithHead(SmallClip):
    """SmallClip with batch statistics and dropout below the part whose Jacobian is taken."""

    validation_step = None

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Dropout(0.5))

    def training_step(self, batch, batch_idx):
        return self.step([self.backbone(batch[0]), *batch[1:]])


@pytest.mark.parametrize("options", [{}, {"every_n_steps": 2}])
def test_a_function_that_gives_maps_changes_nothing_in_training(options) -> None:
    modes = []

    def maps(module, batch):
        modes.append((module.backbone.training, torch.is_grad_enabled()))
        return module.image, module.backbone(batch[0])

    weights = []
    for probes in ([], [JacobianProbe(maps, max_points=8, **options)]):
        module = WithHead()
        fit(module, *probes, validation=False)
        weights.append(module.state_dict())
    assert modes
    assert set(modes) == {(False, False)}
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))


class LowRank(nn.Linear):
    """Linear layer with a low-rank update, which evaluation mode merges into the weight and training mode takes out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.weight.requires_grad_(False)
        self.update = nn.Parameter(0.1 * torch.randn(outputs, inputs))
        self.is_merged = False

    def train(self, mode: bool = True) -> "LowRank":
        super().train(mode)
        if self.is_merged == mode:
            self.weight.data += -self.update if mode else self.update
            self.is_merged = not mode
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(
            rows, self.weight if self.is_merged else self.weight + self.update, self.bias
        )


@pytest.mark.parametrize("frozen", [False, True])
def test_a_layer_that_does_more_than_change_its_mode_is_given_back_its_mode_by_itself(frozen: bool) -> None:
    class Adapted(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            self.image[0], self.text[0] = LowRank(12, 16), LowRank(9, 16)
            self.text.train(not frozen)

    updates = []
    for probes in ([], [AlignmentProbe(both)]):
        module = Adapted()
        trainer(*probes).fit(module, loader("train"))
        assert (module.image[0].is_merged, module.text[0].is_merged) == (False, frozen)
        assert (module.image.training, module.text.training) == (True, not frozen)
        updates.append(module.image[0].update)
    torch.testing.assert_close(*updates)


class Sampling(AlignmentProbe):
    """Probe that draws random numbers."""

    def measure(self, embeddings):
        torch.rand(3), np.random.rand(3), random.random()
        return super().measure(embeddings)


def with_noise(module, batch):
    seen = batch[0] + 0.1 * torch.randn_like(batch[0]) + np.random.rand() + random.random()
    return module.image(seen), module.image(batch[0])


@pytest.mark.parametrize(
    "probe",
    [
        lambda: AlignmentProbe(with_noise),
        lambda: AlignmentProbe(with_noise, every_n_steps=2),
        lambda: Sampling(by_module("image", "text")),
        lambda: JacobianProbe(lambda module, batch: (module.image, torch.rand_like(batch[0]))),
    ],
)
def test_random_numbers_of_a_measurement_are_not_those_of_the_training(probe) -> None:
    weights, after = [], []
    for probes in ([], [probe()]):
        module = SmallClip()
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        fit(module, *probes)
        weights.append(module.image[0].weight)
        after.append((torch.rand(()), np.random.rand(), random.random()))
    assert torch.equal(*weights)
    assert after[0] == after[1]


def test_batches_of_a_measurement_have_random_numbers_of_their_own() -> None:
    drawn = []

    def noise(module, batch):
        drawn.append((float(torch.rand(())), float(np.random.rand()), random.random()))
        return module.embed(batch)

    trainer(AlignmentProbe(noise)).validate(SmallClip(), loader("val"), verbose=False)
    assert [len(set(values)) for values in zip(*drawn, strict=True)] == [N_VAL // BATCH] * 3


def test_labels_and_latents() -> None:
    def embed(module, batch):
        x, y = module.embed(batch)
        return {"x": x, "y": y, "z": batch[0][:, :3], "labels": {"sign": batch[2]}}

    recovery, classes = RecoveryProbe(embed), ClassificationProbe(embed)
    fit(SmallClip(), recovery, classes, epochs=1)
    assert 0 < float(recovery.latest["recovery/linear/x"]) <= 1
    assert 0.5 < float(classes.latest["classification/linear/sign/x"]) <= 1
    assert 0.5 < float(classes.latest["classification/knn/sign/y"]) <= 1
    recovery, classes = RecoveryProbe(both), ClassificationProbe(by_output("images", labels="classes"))
    with pytest.warns(UserWarning, match="the true latent is not known"):
        fit(SmallClip(), recovery, classes, epochs=1)
    assert recovery.latest == {}
    assert "classification/knn/class/x" in classes.latest
    assert "classification/zero_shot/class/x" not in classes.latest


def test_zero_shot_where_captions_are_prompts() -> None:
    def embed(module, batch):
        prompts = torch.eye(6)[:2]
        return module.image(batch[0]), prompts[batch[2]], batch[2]

    classes = ClassificationProbe(embed)
    fit(SmallClip(), classes, epochs=1)
    assert 0 <= float(classes.latest["classification/zero_shot/class/x"]) <= 1


@pytest.mark.parametrize("given", [True, False])
def test_copies_of_an_image_neither_vote_nor_are_in_several_folds(given: bool) -> None:
    """Labels drawn at random are guessed from images beside five captions each; prompts keep their classes."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(60, 96, generator=generator), torch.randint(4, (60,), generator=generator)
    x, y = images.repeat_interleave(5, 0), torch.randn(300, 96, generator=generator)
    things = (torch.arange(60).repeat_interleave(5), torch.arange(300)) if given else None
    of_images = Embeddings(x, y, labels={"class": labels.repeat_interleave(5)}, things=things)
    probe = ClassificationProbe(both, k=5)
    measured = probe.measure(of_images)
    for method in ("knn", "linear"):
        assert float(measured[f"classification/{method}/class/x"]) < 0.5
    prompts = torch.eye(4, 96)[labels]
    accuracy = probe.measure(Embeddings(images, prompts, labels={"class": labels}))
    assert (
        float(accuracy["classification/knn/class/y"]) == float(accuracy["classification/linear/class/y"]) == 1
    )
    of_images.counterparts()
    assert probe.measure(of_images) == measured  # whatever has been asked before


def test_temperature_of_a_foreign_module(tmp_path) -> None:
    probe = TemperatureProbe()
    module = SmallClip()
    fit(module, probe, logger=CSVLogger(tmp_path))
    assert float(probe.latest["temperature"]) == pytest.approx(math.exp(-module.logit_scale.item()), rel=1e-6)
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table[table.temperature.notna()].step.tolist() == list(range(10))
    fixed = TemperatureProbe(tau=lambda module: torch.tensor(0.5))
    fit(SmallClip(), fixed)
    assert fixed.latest["temperature"] == 0.5


def test_temperature_that_cannot_be_found() -> None:
    module = SmallClip()
    module.logit_scale = None
    with pytest.raises(MisconfigurationException, match="pass tau=lambda module"):
        fit(module, TemperatureProbe())


def test_jacobian_of_a_foreign_module() -> None:
    probe = JacobianProbe(lambda module, batch: {"x": (module.image, batch[0]), "y": (module.text, batch[1])})
    module = SmallClip()
    fit(module, probe, epochs=1)
    assert 1 <= float(probe.latest["jacobian/rank/x"]) <= 6
    assert 1 <= float(probe.latest["jacobian/participation/y"]) <= 6
    assert module.training
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_other_callbacks_can_watch_the_dimension() -> None:
    stop = EarlyStopping("id/mle/x", patience=1, min_delta=100.0)
    done = fit(SmallClip(), IntrinsicDimensionProbe(both), stop, epochs=9)
    assert done.current_epoch == 2


def fails(module, batch):
    raise RuntimeError("no such layer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (fails, "RuntimeError: no such layer"),
        (
            lambda module, batch: module.image(batch[0])[:, 0],
            r"x must be a tensor \(n, d\), got shape \(32,\)",
        ),
        (lambda module, batch: {"z": 1}, "a dict with x"),
        (lambda module, batch: (batch[0], batch[1][:5]), "x has 32 rows and y 5"),
        (by_output("image"), "no 'image'; it holds loss, images, texts"),
        (lambda module, batch: batch[0].clone().fill_(math.nan), "needs at least 21 distinct points"),
    ],
)
def test_what_fails_is_warned_of_once_and_training_continues(tmp_path, source, reason) -> None:
    probe, module = IntrinsicDimensionProbe(source), SmallClip()
    with pytest.warns(UserWarning, match=reason) as caught:
        fit(module, probe, epochs=3, logger=CSVLogger(tmp_path))
    failures = [warning for warning in caught if "logged as NaN" in str(warning.message)]
    assert len(failures) == (0 if "distinct" in reason else 1)
    assert probe.latest["id/mle/x"].isnan()
    assert probe.reasons["id/mle/x"]
    assert module.logit_scale != 1.0
    assert "id/mle/x" in next(tmp_path.glob("**/metrics.csv")).read_text()


def test_a_pair_is_missed_where_there_is_one_embedding() -> None:
    probe = MatchingProbe(by_module("image"))
    with pytest.warns(UserWarning, match="needs x and y"):
        fit(SmallClip(), probe)
    assert probe.latest["matching/top_1/x_to_y"].isnan()


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (IntrinsicDimensionProbe(), "needs to know where the embeddings of SmallClip come from"),
        (
            IntrinsicDimensionProbe(by_module("vision")),
            "there is no module 'vision'; at the top are image, text",
        ),
    ],
)
def test_wrong_sources_are_refused_before_training(probe, message) -> None:
    with pytest.raises(MisconfigurationException, match=message):
        fit(SmallClip(), probe)


@pytest.mark.slow
def test_two_processes_measure_the_rows_of_both(tmp_path) -> None:
    assert succeeded(in_ranks(2, tmp_path, lambda: measure_as_one_of_two(tmp_path / "metrics.json")))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    module = SmallClip()
    x, y = validation_embeddings(module)
    assert metrics["alignment/cosine"] == pytest.approx(float(alignment(x, y)), rel=1e-5)
    assert metrics["id/mle/x"] == pytest.approx(float(mle(x).value), rel=1e-5)
    with torch.no_grad():
        uneven = alignment(*module.embed(rows(N_VAL + 1, 1).tensors))
    assert metrics["uneven"] == pytest.approx(float(uneven), rel=1e-6)
    assert metrics["failed"] == "RuntimeError: only here"


class OpenClip(LightningModule):
    """Small CLIP of open_clip, trained on noise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        vision = open_clip.CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=8, image_size=16)
        text = open_clip.CLIPTextCfg(context_length=8, vocab_size=50, width=32, heads=2, layers=1)
        self.clip = open_clip.CLIP(16, vision, text)
        self.loss = open_clip.ClipLoss()

    def training_step(self, batch, batch_idx):
        return self.loss(*self.clip(*batch))

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(*self.clip(*batch)))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def test_clip_of_open_clip() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(96, 3, 16, 16, generator=generator)
    texts = torch.randint(1, 50, (96, 8), generator=generator)
    batches = DataLoader(TensorDataset(images, texts), batch_size=32)

    def embed(module, batch):
        return module.clip.encode_image(batch[0]), module.clip.encode_text(batch[1])

    by_call, by_hook = (
        IntrinsicDimensionProbe(embed),
        IntrinsicDimensionProbe(by_module("clip.visual"), prefix="hook/"),
    )
    jacobian = JacobianProbe(
        lambda module, batch: (module.clip.encode_image, batch[0]), max_points=4, directions=8
    )
    tau = TemperatureProbe()
    module = OpenClip()
    trainer(by_call, by_hook, MatchingProbe(embed), jacobian, tau, InformationProbe(embed)).fit(
        module, batches, batches
    )
    module.eval()
    with torch.no_grad():
        expected = float(mle(module.clip.encode_image(images)).value)
    assert float(by_call.latest["id/mle/x"]) == pytest.approx(expected, rel=1e-4)
    assert float(by_hook.latest["hook/id/mle/x"]) == pytest.approx(expected, rel=1e-4)
    assert 1 <= float(jacobian.latest["jacobian/rank/x"]) <= 8
    assert float(tau.latest["temperature"]) == pytest.approx(
        math.exp(-module.clip.logit_scale.item()), rel=1e-6
    )

"""Probes of a ContrastiveModule: values, steps and names, and embeddings taken once."""

import math
import warnings
from functools import partial

import pytest
import torch
from pytorch_lightning import Trainer

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loss.similarity import PopulationSimilarity
from intrinsic_clip.loss.temperature import LearnedTemperature
from intrinsic_clip.probes import (
    AlignmentProbe,
    Embeddings,
    InformationEstimatesProbe,
    InformationProbe,
    IntrinsicDimensionProbe,
    MatchingProbe,
    SimilarityProbe,
    TemperatureProbe,
    take_embeddings,
)
from intrinsic_clip.runs.results import read_metrics
from intrinsic_clip.training.module import ContrastiveModule

SIZES = {"n_train": 256, "n_append": 32, "n_test": 60, "batch_size": 64}


class Counting(ContrastiveModule):
    """ContrastiveModule that counts how often embeddings are taken."""

    taken = 0

    def encode(self, x, y):
        self.taken += 1
        return super().encode(x, y)


def _module(f=None, g=None) -> Counting:
    f, g = f or encoders.mlp(20, 6), g or encoders.mlp(20, 6)
    adam = partial(torch.optim.Adam, lr=1e-3)
    return Counting(f, g, PopulationSimilarity(), LearnedTemperature(), adam)


def _trainer(folder, *probes, epochs=4) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=MetricsFile(str(folder)),
        callbacks=list(probes),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_names_steps_and_values(tmp_path) -> None:
    probes = [
        IntrinsicDimensionProbe(every_n_epochs=2, in_sample=True),
        MatchingProbe(every_n_epochs=2),
        AlignmentProbe(every_n_epochs=2),
        InformationProbe(every_n_epochs=2),
        SimilarityProbe(every_n_epochs=2),
        TemperatureProbe(every_n_steps=2),
    ]
    trainer, module, data = _trainer(tmp_path, *probes, epochs=5), _module(), SyntheticLinear(**SIZES)
    trainer.fit(module, datamodule=data)
    metrics = read_metrics(tmp_path)
    expected = {
        "id/mle/x", "id/mle/y", "id/twonn/x", "id/twonn/y", "matching/top_1/x_to_y", "matching/top_0.5pct/y_to_x",
        "alignment/cosine", "information/infonce_bound", "similarity/positive", "temperature", "loss",
    }  # fmt: skip
    assert expected <= set(metrics.metric)
    assert metrics[metrics.metric == "id/mle/x"].step.tolist() == [0, 8, 16, 20]
    assert metrics[metrics.metric == "in_sample/id/mle/x"].step.tolist() == [20]
    assert metrics[metrics.metric == "temperature"].step.tolist() == list(range(2, 21, 2))
    assert float(trainer.callback_metrics["id/mle/x"]) == pytest.approx(
        metrics[metrics.metric == "id/mle/x"].value.iloc[-1], rel=1e-5
    )
    trainer.test(module, datamodule=data, verbose=False)
    assert float(trainer.callback_metrics["alignment/cosine"]) == pytest.approx(
        float(probes[2].latest["alignment/cosine"])
    )


def test_estimates_of_information_and_why_some_are_not_there(tmp_path, monkeypatch) -> None:
    probe, module = InformationEstimatesProbe(every_n_epochs=2, directions=2), _module()
    _trainer(tmp_path, probe, AlignmentProbe(), epochs=2).fit(module, datamodule=SyntheticLinear(**SIZES))
    names = [f"information/{name}" for name in ("held_out", "nwj", "smile", "copula", "ksg")]
    assert list(probe.latest) == names
    assert all(probe.latest[name].isfinite() or probe.reasons[name] for name in names)
    assert set(read_metrics(tmp_path).metric) >= {*names, "distribution_gap"}

    rows = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    numbers = probe.measure(Embeddings(rows, rows))  # infinite information
    assert numbers["information/held_out"].value == pytest.approx(math.log(32), abs=0.05)
    assert [numbers[name].value.isnan().item() for name in names[1:]] == [True] * 4
    assert all(numbers[name].reason for name in names)

    probe = InformationEstimatesProbe()
    probe.estimators["information/nwj"] = lambda x, y: 1 / 0
    with pytest.warns(UserWarning, match="information/nwj"):
        numbers = probe.measure(Embeddings(rows, rows + torch.randn(64, 3)))
    assert numbers["information/nwj"].value is None
    assert numbers["information/ksg"].value is not None


def test_embeddings_are_taken_once_per_evaluation(tmp_path) -> None:
    module = _module()
    probes = (
        IntrinsicDimensionProbe(),
        MatchingProbe(),
        AlignmentProbe(),
        InformationProbe(),
        SimilarityProbe(),
    )
    trainer = _trainer(tmp_path, *probes, epochs=3)
    trainer.fit(module, datamodule=SyntheticLinear(**SIZES))
    assert module.taken == 4  # before training and after each of three epochs
    take_embeddings(trainer, module, "test")  # of as many rows as there are, however many were asked for
    assert module.taken == 4


def test_relative_norms_are_over_the_append_rows(tmp_path) -> None:
    module, data, probe = _module(), SyntheticLinear(**SIZES), SimilarityProbe()
    _trainer(tmp_path, probe, epochs=2).fit(module, datamodule=data)
    test, append = data.pairs("test"), data.pairs("append")
    for side, encoder in (("x", module.f), ("y", module.g)):
        held_out, over = (encoder(getattr(rows, side)).norm(dim=-1).mean() for rows in (test, append))
        torch.testing.assert_close(probe.latest[f"norm/{side}"], held_out)
        torch.testing.assert_close(probe.latest[f"relative_norm/{side}"], held_out / over)


def test_embeddings_follow_the_weights(tmp_path) -> None:
    module, data = _module(), SyntheticLinear(**SIZES)
    trainer = _trainer(tmp_path, AlignmentProbe(), epochs=1)
    trainer.fit(module, datamodule=data)
    test = data.pairs("test")
    expected = module(test.x, test.y)
    taken = take_embeddings(trainer, module, "test")
    torch.testing.assert_close((taken.x, taken.y), expected)
    with torch.no_grad():
        module.f[0].weight.mul_(-1)
    before = trainer.callback_metrics["alignment/cosine"]
    trainer.test(module, datamodule=data, verbose=False)
    assert float(trainer.callback_metrics["alignment/cosine"]) != pytest.approx(float(before), abs=1e-4)


def test_probing_changes_nothing_in_training(tmp_path) -> None:
    weights = []
    for probes in ([], [IntrinsicDimensionProbe(), MatchingProbe(), SimilarityProbe(), TemperatureProbe()]):
        torch.manual_seed(0)
        module = _module()
        _trainer(tmp_path, *probes).fit(module, datamodule=SyntheticLinear(**SIZES))
        weights.append(module.f[0].weight)
    assert torch.equal(*weights)


def test_collapsed_and_diverged_encoders_give_reasons_not_crashes(tmp_path) -> None:
    class Constant(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(value))

        def forward(self, rows):
            return rows[..., :6] * 0 + self.value

    probe = IntrinsicDimensionProbe()
    everything = [probe, MatchingProbe(), AlignmentProbe(), InformationProbe(), SimilarityProbe()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = _module(Constant(1.0), Constant(float("nan")))
        _trainer(tmp_path, *everything, epochs=1).fit(module, datamodule=SyntheticLinear(**SIZES))
    messages = " ".join(str(warning.message) for warning in caught)
    assert "exact duplicates" in messages
    assert "NaN or infinity" in messages
    assert "needs at least 21 distinct points" in probe.reasons["id/mle/x"]
    assert probe.latest["id/mle/y"].isnan().all()


def test_too_few_rows_for_k_give_a_reason(tmp_path) -> None:
    probe = IntrinsicDimensionProbe(k=20)
    with pytest.warns(UserWarning, match="needs at least 21 distinct points for k = 20"):
        _trainer(tmp_path, probe, epochs=1).fit(
            _module(), datamodule=SyntheticLinear(**{**SIZES, "n_test": 15})
        )
    assert "got 15" in probe.reasons["id/mle/x"]


def test_label_matching_is_logged_per_label_set(tmp_path) -> None:
    class Labelled(SyntheticLinear):
        def load(self, device):
            pairs = super().load(device)
            pairs["test"].labels["parity"] = torch.arange(60) % 2
            return pairs

    probe = MatchingProbe()
    _trainer(tmp_path, probe, epochs=1).fit(_module(), datamodule=Labelled(**SIZES))
    assert 0 <= float(probe.latest["matching/label_parity/x_to_y"]) <= 1


def test_the_similarity_is_in_the_name(tmp_path) -> None:
    module, data = _module(), SyntheticLinear(**SIZES)
    with torch.no_grad():  # unequal norms, so that the two similarities rank differently
        for encoder in (module.f, module.g):
            encoder[-1].bias.add_(torch.linspace(-1, 1, 6))
    probes = [MatchingProbe(ks=[1, 5]), MatchingProbe(ks=[1, 5], similarity="cosine")]
    _trainer(tmp_path, *probes, epochs=2).fit(module, datamodule=data)
    test = data.pairs("test")
    with torch.no_grad():
        x, y = module.f(test.x).double(), module.g(test.y).double()
        normalised = module(test.x, test.y)
    inner = x @ y.T
    cosine = inner / x.norm(dim=1)[:, None] / y.norm(dim=1)
    for probe, family, logits in zip(probes, ("matching", "retrieval"), (inner, cosine), strict=True):
        assert {name.split("/")[0] for name in probe.latest} == {family}
        for way, scores in (("x_to_y", logits), ("y_to_x", logits.T)):
            ranks = 1 + (scores > scores.diagonal()[:, None]).sum(1)
            for k in (1, 5):
                expected = float((ranks <= k).double().mean())
                assert float(probe.latest[f"{family}/top_{k}/{way}"]) == pytest.approx(expected)
            median = float(ranks.double().quantile(0.5))
            assert float(probe.latest[f"{family}/median_rank/{way}"]) == pytest.approx(median)
    assert float(probes[0].latest["matching/median_rank/x_to_y"]) != pytest.approx(
        float(probes[1].latest["retrieval/median_rank/x_to_y"])
    )
    # The population norm divides by one number, so the loss's own similarity ranks as the inner product does.
    loss_logits = normalised[0] @ normalised[1].T
    ranks = 1 + (loss_logits > loss_logits.diagonal()[:, None]).sum(1)
    assert float(probes[0].latest["matching/top_5/x_to_y"]) == pytest.approx(
        float((ranks <= 5).double().mean())
    )


def test_an_unknown_similarity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"similarity=\"dot\": input should be 'inner_product' or 'cosine'"):
        MatchingProbe(similarity="dot")

"""Noise on the inputs, and the weights that held-out rows choose."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.results import CHECKPOINT
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.checkpoints import read_checkpoint
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.regularisation import BestWeights, InputNoise, chosen
from intrinsic_clip.training.train import train

HELD_OUT = [
    "regularisation=held_out",
    "regularisation.validate_every_n_epochs=1",
    "objective/similarity=batch",
]
FEW = ["data.n_train=128", "optimizer.lr=2e-2", "probes.every_n_epochs=50", "encoder.output_dim=6"]


def test_noise_depends_on_the_step_and_is_that_of_all_replicates_and_processes() -> None:
    noise = InputNoise(0.5, seed=1)
    x, y = torch.zeros(3, 8, 4), torch.zeros(8, 2)
    noisy_x, noisy_y = noise.add(7, x, y)
    alone = noise.add(7, x[1], y)
    assert torch.equal(noisy_x[1], alone[0])
    assert torch.equal(noisy_y, alone[1])
    halves = [
        noise.add(7, x[0, part], y[part], rank, 2)[0] for rank, part in enumerate((slice(4), slice(4, 8)))
    ]
    assert torch.equal(torch.cat(halves), noisy_x[0])
    assert not torch.equal(noise.add(8, x, y)[0], noisy_x)
    many = InputNoise(0.5, seed=2).add(0, torch.zeros(5000, 10), y)[0]
    assert float(many.std()) == pytest.approx(0.5, rel=0.02)


def test_each_replicate_keeps_its_own_weights() -> None:
    better = torch.tensor([[True, False, True], [False, False, True]])
    new, old = torch.ones(6, 4, 5), torch.zeros(6, 4, 5)  # replicates flattened, as in an encoder
    assert torch.equal(chosen(new, old, better).sum((1, 2)), 20 * better.flatten().float())
    assert torch.equal(chosen(torch.ones(2, 3), torch.zeros(2, 3), better), better.float())
    assert float(chosen(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(True))) == 1


def test_what_all_replicates_share_is_the_latest() -> None:
    better = torch.tensor([[True, False, True], [False, False, True]])
    assert int(chosen(torch.tensor(7), torch.tensor(3), better)) == 7  # a count of steps
    assert torch.equal(chosen(torch.ones(4, 6), torch.zeros(4, 6), better), torch.ones(4, 6))


def test_symile_keeps_the_best_weights_of_each_replicate(compose) -> None:
    """It counts its steps, once for all replicates."""
    cfg = compose(
        "objective=symile", "data.n_train=64", "data.batch_size=16", "encoder.output_dim=4", "probes.every_n_epochs=50",
        "regularisation=held_out", "regularisation.input_noise=0", "regularisation.validate_every_n_epochs=1",
        "replicates=2", "trainer.max_epochs=2",
    )  # fmt: skip
    metrics = train(cfg)["metrics"]
    assert len(metrics["validation/loss"]["values"]) == 2
    assert all(epoch in (1, 2) for epoch in metrics["validation/epoch"]["values"])


def test_a_loss_that_is_not_a_number_gives_way_to_any() -> None:
    module, best = torch.nn.Linear(1, 1, bias=False), BestWeights(1)
    weight = module.weight = torch.nn.Parameter(torch.zeros(3, 1))
    nan, inf = float("nan"), float("inf")
    for epoch, losses in enumerate([[nan, 2.0, nan], [5.0, nan, nan], [inf, 3.0, inf], [6.0, 1.0, nan]], 1):
        weight.data.fill_(epoch)
        best._compare(module, torch.tensor(losses), epoch)
    assert best.latest["validation/loss"].tolist() == [5, 1, inf]
    assert best.latest["validation/epoch"].tolist() == [2, 4, 3]
    assert best._kept["weight"].flatten().tolist() == [2, 4, 3]


@pytest.mark.slow
def test_the_weights_are_those_of_the_epoch_with_the_lowest_loss(compose) -> None:
    overrides = [*HELD_OUT, *FEW, "trainer.max_epochs=12"]
    ours = train(compose(*overrides, "replicates=2"))["metrics"]
    epochs = [int(epoch) for epoch in ours["validation/epoch"]["values"]]
    assert min(epochs) < 12
    shorter = train(compose(*overrides, "replicates=2", f"trainer.max_epochs={epochs[0]}"))["metrics"]
    for name in ("validation/loss", "temperature", "id/mle/x", "in_sample/matching/top_1/x_to_y"):
        assert shorter[name]["values"][0] == ours[name]["values"][0], name


@pytest.mark.slow
def test_resuming_keeps_the_best_weights(compose, tmp_path) -> None:
    """Resume after the last epoch, when only the results are missing, with the state of an earlier epoch in between."""
    whole = train(compose(*HELD_OUT, *FEW))
    (path,) = tmp_path.glob("outputs/custom/*/results.json")
    path.unlink()
    assert train(compose(*HELD_OUT, *FEW))["metrics"] == whole["metrics"]
    kept = read_checkpoint(path.parent / CHECKPOINT)["callbacks"]["BestWeights"]["kept"]
    assert kept.keys() == build(RunSpec.of(compose(*HELD_OUT, *FEW))).module.state_dict().keys()


def test_without_regularisation_no_setting_enters_the_address(compose) -> None:
    assert "regularisation" not in config.resolve(compose())


def test_an_interrupted_training_keeps_the_same_weights(compose, tmp_path) -> None:
    def kept(epochs: int, checkpoint: Path | None = None) -> dict[str, torch.Tensor]:
        training = build(RunSpec.of(compose(*HELD_OUT, *FEW, "replicates=2")))
        best = next(probe for probe in training.probes if isinstance(probe, BestWeights))
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[best], **options)
        resumed = checkpoint if epochs > 3 else None
        trainer.fit(training.module, datamodule=training.data, ckpt_path=resumed, weights_only=True)
        if checkpoint is not None:
            trainer.save_checkpoint(checkpoint)
        return best.state_dict()["kept"] | best.latest

    kept(3, tmp_path / "three.ckpt")
    resumed, whole = kept(8, tmp_path / "three.ckpt"), kept(8)
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize("replicates", ["null", "2"])
def test_dropout_gives_the_same_numbers_again_and_resumed(compose, tmp_path, monkeypatch, replicates) -> None:
    settings = ["encoder._target_=helpers.own_encoders.with_dropout", f"replicates={replicates}"]
    whole = train(compose("output_dir=whole", *settings))["metrics"]
    losses, steps = ContrastiveModule._losses, iter(range(10_000))

    def interrupted(*arguments):
        if next(steps) == 20:
            raise KeyboardInterrupt
        return losses(*arguments)

    monkeypatch.setattr(ContrastiveModule, "_losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(compose(*settings))
    assert list(tmp_path.glob("outputs/custom/*/last.ckpt"))
    assert train(compose(*settings))["metrics"] == whole


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["regularisation=held_out"],
            "regularisation.validate_every_n_epochs: validates on the append rows, which",
        ),
        ([*HELD_OUT, "regularisation.input_noise=-1"], "regularisation.input_noise"),
        ([*HELD_OUT, "+regularisation.dropout=1"], "regularisation.dropout: unknown key"),
        (
            ["regularisation=held_out", "objective/similarity=cosine", "data.n_append=1"],
            "data.n_append=1: validation needs",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(compose, overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.check(RunSpec.of(compose(*overrides)).settings)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)

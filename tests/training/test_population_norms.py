"""Training with population norms other than the paper's: what enters a step, and resuming."""

from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.similarity import MovingAverageSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import LearnedTemperature
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build, check_renewable
from intrinsic_clip.training.module import ContrastiveModule

SIZES = {"n_train": 64, "n_append": 16, "n_test": 10, "batch_size": 32, "d_x": 8, "d_y": 7}
SIMILARITIES = {
    "batch": partial(PopulationSimilarity, over="batch"),
    "renewed": partial(PopulationSimilarity, over="renewed"),
    "stopped": partial(PopulationSimilarity, stop_gradient=True),
    "moving_average": partial(MovingAverageSimilarity, momentum=0.9),
}


def _fit(
    similarity: str, epochs: int = 2, checkpoint: Path | None = None, **limits: float
) -> ContrastiveModule:
    torch.manual_seed(0)
    module = ContrastiveModule(
        encoders.mlp(8, 5),
        encoders.mlp(7, 5),
        SIMILARITIES[similarity](),
        LearnedTemperature(),
        partial(torch.optim.Adam, lr=1e-2),
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **limits,
    )
    resumed = checkpoint if checkpoint is not None and checkpoint.exists() else None
    trainer.fit(module, datamodule=SyntheticLinear(**SIZES), ckpt_path=resumed, weights_only=True)
    if checkpoint is not None and resumed is None:
        trainer.save_checkpoint(checkpoint)
    return module


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_resumed_training_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, similarity: str) -> None:
    _fit(similarity, epochs=2, checkpoint=tmp_path / "two.ckpt")
    resumed = _fit(similarity, epochs=4, checkpoint=tmp_path / "two.ckpt").state_dict()
    whole = _fit(similarity, epochs=4).state_dict()
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize("similarity", ["batch", "renewed", "moving_average"])
def test_append_rows_take_no_part_in_training(similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _fit(similarity).state_dict()
    load = SyntheticLinear.load

    def with_other_append_rows(self, device):
        pairs = load(self, device)
        pairs["append"].x.mul_(3)
        return pairs

    monkeypatch.setattr(SyntheticLinear, "load", with_other_append_rows)
    after = _fit(similarity).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_renewed_rows_change_with_the_epoch_and_are_training_rows() -> None:
    module = _fit("renewed", epochs=1)
    x, y = module._population()
    assert x.shape == (16, 8)
    train = module.trainer.datamodule.pairs("train")
    drawn = module.similarity.draw(module.current_epoch, 64, 16)
    assert torch.equal(x, train.x[drawn])
    assert torch.equal(y, train.y[drawn])


def test_renewed_rows_are_not_the_first_batches_of_a_shuffled_epoch() -> None:
    """Both depend on seed and epoch, and the seeds are 0 by default: one permutation would give both."""
    module = _fit("renewed", epochs=1)
    data = module.trainer.datamodule
    data.shuffle_seed, module._renewed = module.similarity.seed, None
    x, _ = module._population()
    first = torch.cat([batch[0] for batch in data.train_dataloader().batches])[: len(x)]
    assert len(torch.cat([x, first]).unique(dim=0)) > len(x)
    every = torch.cat([x, data.pairs("train").x])
    assert len(every.unique(dim=0)) == 64  # training rows


def test_batches_one_by_one_train_as_an_epoch_at_once() -> None:
    """Limit the batches, which makes the data hand them out one by one, as to several processes."""
    for similarity in ("renewed", "moving_average"):
        at_once, one_by_one = _fit(similarity), _fit(similarity, limit_train_batches=2)
        for ours, theirs in zip(at_once.parameters(), one_by_one.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_step_that_moves_an_average_is_not_compiled() -> None:
    """Compiled, it gave another loss and temperature after a few epochs."""
    parts = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for similarity, compiled in (
        (MovingAverageSimilarity(), False),
        (PopulationSimilarity(over="batch"), True),
    ):
        module = ContrastiveModule(*parts, similarity, LearnedTemperature(), torch.optim.Adam, compiled=True)
        assert (module._step != module._losses) == compiled


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_held_out_rows_are_divided_by_what_the_choice_says(similarity: str) -> None:
    module = _fit(similarity).eval()
    data = module.trainer.datamodule
    test, append = data.pairs("test"), data.pairs("append")
    x_raw, y_raw = module.encode(test.x, test.y)
    norms = [outputs.norm(dim=-1).mean() for outputs in module.encode(append.x, append.y)]
    if similarity == "moving_average":
        norms = [module.similarity.x_norm, module.similarity.y_norm]
    for ours in (module(test.x, test.y), module.normalise(x_raw, y_raw)):
        torch.testing.assert_close(ours, (x_raw / norms[0], y_raw / norms[1]))


def test_every_choice_is_built_from_its_file(compose) -> None:
    shapes = {}
    for choice in ("batch", "renewed", "stopped", "moving_average"):
        spec = RunSpec.of(
            compose(f"objective/similarity={choice}", "replicates=3", "encoder.output_dim=[2,4]")
        )
        similarity = build(spec).module.similarity
        shapes[choice] = {name: tuple(buffer.shape) for name, buffer in similarity.named_buffers()}
    assert shapes == {
        "batch": {},
        "renewed": {},
        "stopped": {},
        "moving_average": {"x_norm": (2, 3), "y_norm": (2, 3)},
    }


def test_streamed_rows_cannot_be_drawn_anew(compose) -> None:
    spec, streamed = RunSpec.of(compose("objective/similarity=renewed")), SyntheticLinear(**SIZES)
    streamed.sizes["train"] = 0
    with pytest.raises(ConfigError, match=r"over=renewed: draws from training rows in memory"):
        check_renewable(spec, streamed)

"""Small towers: which input they read, and that they train, resume and replicate like any encoder."""

import pytest
import torch
from open_clip import tokenize

from intrinsic_clip import encoders
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.encoders.towers import ImageTower, TextTower
from intrinsic_clip.training.checkpoints import ResumePoint
from intrinsic_clip.training.train import train

PIXELS = [
    "experiment=openclipart_pixels",
    "data.n_train=64",
    "data.n_append=2",
    "data.n_test=40",
    "data.batch_size=32",
    "encoder.output_dim=6",
    "encoder.image_width=8",
    "encoder.image_stages=2",
    "trainer.max_epochs=2",
    "probes.dimension.k=5",
    "probes.every_n_epochs=1",
]
SMALL = {"image_width": 8, "image_stages": 2, "text_width": 32, "text_layers": 1}


def test_the_shape_of_a_row_determines_the_tower() -> None:
    assert isinstance(encoders.pixels_and_tokens((3, 64, 64), 5), ImageTower)
    assert isinstance(encoders.pixels_and_tokens((77,), 5), TextTower)
    for vectors in (20, (1, 64, 64)):
        with pytest.raises(ValueError, match=r"takes images \(3, h, w\) and token ids"):
            encoders.pixels_and_tokens(vectors, 5)


def test_one_to_five_million_parameters() -> None:
    for shape in ((3, 64, 64), (77,)):
        tower = encoders.pixels_and_tokens(shape, 64)
        assert 1e6 < sum(p.numel() for p in tower.parameters()) < 5e6


@pytest.mark.parametrize("side", [64, 63, 32])
def test_an_image_is_encoded_by_itself(side: int) -> None:
    tower = encoders.pixels_and_tokens((3, side, side), 5, **SMALL).eval()
    images = torch.rand(4, 3, side, side)
    assert tower(images).shape == (4, 5)
    torch.testing.assert_close(tower(images)[:1], tower(images[:1]))


def test_tokens_after_the_end_mark_are_ignored() -> None:
    tower = encoders.pixels_and_tokens((77,), 5, **SMALL).eval()
    ids = tokenize(["a dog", "wow! a dog", "a cat", "dog a"])
    outputs = tower(ids)
    assert outputs.shape == (4, 5)
    torch.testing.assert_close(outputs[:1], tower(ids[:1]))
    filled = ids.clone()
    filled[:, 10:] = 7  # never in a caption: after its end
    torch.testing.assert_close(outputs, tower(filled))
    assert all(not torch.allclose(outputs[0], other, atol=1e-4) for other in outputs[1:])


def test_only_the_beginning_of_a_long_caption_is_read() -> None:
    tower = encoders.pixels_and_tokens((77,), 5, **SMALL, text_length=6).eval()
    one, other = tokenize(["one two three four five six seven", "one two three four five eight"])
    torch.testing.assert_close(tower(one[None]), tower(other[None]))


@pytest.mark.parametrize("shape", [(3, 16, 16), (12,)])
def test_copies_train_as_each_alone(shape: tuple[int, ...]) -> None:
    def build(d: int) -> torch.nn.Module:
        return encoders.pixels_and_tokens(shape, d, **SMALL)

    together = replicate(build, shape, (11, 12), (4,), (2,))
    rows = torch.rand(2, 5, *shape) if len(shape) == 3 else torch.randint(1, 1000, (2, 5, *shape))
    alone = [replicate(build, shape, (seed,), (4,), ()) for seed in (11, 12)]
    for _ in range(2):
        outputs = together(rows)
        for part, encoder, own_rows in zip(outputs, alone, rows, strict=True):
            torch.testing.assert_close(part, encoder(own_rows), rtol=1e-4, atol=1e-5)
    outputs.square().sum().backward()
    assert all(p.grad is not None for p in together.parameters())


@pytest.mark.long
def test_a_resumed_training_sees_the_pictures_it_would_have_seen(compose, monkeypatch) -> None:
    whole = train(compose(*PIXELS, "output_dir=whole"))
    save = ResumePoint.on_train_epoch_end

    def save_and_stop(self, trainer, module) -> None:
        save(self, trainer, module)
        if trainer.current_epoch == 0:
            raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(ResumePoint, "on_train_epoch_end", save_and_stop)
        with pytest.raises(RuntimeError, match="stopped"):
            train(compose(*PIXELS))
    resumed = train(compose(*PIXELS))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]


@pytest.mark.long
def test_replicates_train_as_each_alone(compose) -> None:
    together = train(compose(*PIXELS, "replicates=2"))["metrics"]["alignment/cosine"]["values"]
    alone = train(compose(*PIXELS, "replicates=[1]"))["metrics"]["alignment/cosine"]["values"]
    assert together[1] == pytest.approx(alone[0], abs=1e-4)
    assert together[0] != pytest.approx(alone[0], abs=1e-4)


def test_features_are_refused_in_one_line(command_line, capsys) -> None:
    assert command_line("train", "data=openclipart", "encoder=pixels_and_tokens") == 2
    assert "data.images=true where the data have both" in capsys.readouterr().err

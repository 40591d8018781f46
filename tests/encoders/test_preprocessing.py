"""Test that encoders give the same output for pixels as whole numbers and as floats in [0, 1]."""

import pytest
import torch
from open_clip import tokenize

from helpers.captioned_folder import make
from helpers.tiny_runs import TINY, tiny_open_clip
from intrinsic_clip import encoders
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.encoders.preprocessing import check_images_and_tokens, in_unit_range
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.errors import ConfigError

BYTES = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TOKENS = tokenize(["a", "b", "c", "d", "e", "f"])


def test_open_clip(tmp_path) -> None:
    tiny_open_clip(tmp_path / "tiny")
    model = OpenClip(str(tmp_path / "tiny"))
    f, _ = OpenClip(str(tmp_path / "tiny"), trainable="all").encoders((3, 32, 32), (77,))
    for encode in (model.embed_images, lambda images: model.features(images, TOKENS)[0], f):
        assert torch.equal(encode(BYTES), encode(BYTES.float() / 255))


def test_whole_numbers_of_every_type_and_images_of_another_range() -> None:
    unit = BYTES.float() / 255
    deep = (BYTES.int() * 257).to(torch.uint16)
    for images in (BYTES.int(), BYTES.long(), deep):
        assert torch.allclose(in_unit_range(images), unit, atol=1e-6)
    assert torch.equal(in_unit_range(BYTES > 127), (BYTES > 127).float())
    with pytest.raises(
        ConfigError, match=r"torch.int32 from 0 to 65535; wanted are floats in \[0, 1\] or uint8"
    ):
        in_unit_range(BYTES.int() * 257)
    check_images_and_tokens(unit + 0.005, TOKENS)
    for wrong in (BYTES.float(), 2 * unit - 1, unit / 0):
        with pytest.raises(ConfigError, match=r"images are floats from .* wanted are floats in \[0, 1\]"):
            check_images_and_tokens(wrong, TOKENS)


@pytest.mark.parametrize("copies", [(), (2,)])
def test_towers_from_scratch(copies) -> None:
    def build(d: int) -> torch.nn.Module:
        return encoders.pixels_and_tokens((3, 32, 32), d, image_width=8, image_stages=2)

    def encoder() -> torch.nn.Module:
        return replicate(build, (3, 32, 32), range(copies[0] if copies else 1), (5,), copies)

    whole, parts = encoder(), encoder()
    for _ in range(2):  # other crops and colours at each call
        assert torch.equal(whole(BYTES), parts(BYTES.float() / 255))
    assert torch.equal(whole.eval()(BYTES), parts.eval()(BYTES.float() / 255))


@pytest.mark.slow
def test_a_training_and_all_its_probes(tmp_path, compose) -> None:
    from intrinsic_clip.training.train import train

    make(tmp_path / "photos", n=60)
    sizes = [override for override in TINY if not override.startswith("data.")]
    completed = [
        train(
            compose(
                *sizes,
                "data=captions_folder",
                f"data.folder={tmp_path / 'photos'}",
                f"data.pixels={pixels}",
                "data.image_size=16",
                "data.n_append=4",
                "data.n_test=24",
                "data.batch_size=16",
                "data.n_train=32",
                "encoder=pixels_and_tokens",
                "encoder.image_width=8",
                "encoder.image_stages=1",
                "probes=full",
                "probes.dimension.k=5",
                "trainer.max_epochs=2",
                "objective/similarity=cosine",
            )
        )["metrics"]
        for pixels in ("float", "uint8")
    ]
    assert completed[0] == completed[1]
    assert completed[1]["jacobian/rank/x"]["mean"] > 0

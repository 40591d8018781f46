"""Pretrained open_clip models: loaded from a folder or a file, and fed as they were trained."""

import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from helpers.opened_files import opened_files
from helpers.tiny_runs import tiny_open_clip
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.encoders.preprocessing import fit_context_length
from intrinsic_clip.errors import ConfigError


def test_pictures_are_prepared_as_open_clip_does(tmp_path) -> None:
    """Up to the rounding to 8 bits that its own way with PIL makes twice."""
    tiny_open_clip(tmp_path / "tiny")
    model = OpenClip(str(tmp_path / "tiny"))
    wanted = open_clip.transform.PreprocessCfg(**model.model.visual.preprocess_cfg)
    transform = open_clip.transform.image_transform_v2(wanted, is_train=False)
    for height, width in ((8, 8), (48, 96)):
        small = torch.rand(4, 3, 2, 4, generator=torch.Generator().manual_seed(0))
        images = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
        expected = torch.stack([transform(_picture(image)) for image in images])
        assert torch.allclose(model._prepared(images), expected, atol=0.03)


def _picture(image: torch.Tensor) -> Image.Image:
    return to_pil_image(image)


def test_the_model_is_loaded_at_first_use_and_once(tmp_path) -> None:
    with opened_files() as opened:
        model = OpenClip(str(tmp_path / "tiny"))
    assert opened == []
    tiny_open_clip(tmp_path / "tiny")
    images, tokens = torch.rand(2, 3, 32, 32), open_clip.tokenize(["a", "b c"], context_length=20)
    x, y = model.embed(images, tokens)
    (tmp_path / "tiny").rename(tmp_path / "elsewhere")
    for first, again in zip((x, y), model.load().embed(images, tokens), strict=True):
        assert torch.equal(first, again)
    f, _ = model.encoders((3, 32, 32), (77,))
    f(images).sum().backward()  # also where the weights were first used in inference mode
    assert f.head.weight.grad is not None


def test_embeddings_are_those_of_the_model_in_any_batch_size(tmp_path) -> None:
    tiny_open_clip(tmp_path / "tiny")
    images, tokens = (
        torch.rand(5, 3, 32, 32),
        open_clip.tokenize(["a", "b c", "d", "e", "f"], context_length=20),
    )
    one, other = (OpenClip(str(tmp_path / "tiny"), batch_size=size).embed(images, tokens) for size in (2, 64))
    for left, right in zip(one, other, strict=True):
        assert torch.allclose(left, right, atol=1e-6)
        assert torch.allclose(left.norm(dim=1), torch.ones(5))
    with torch.inference_mode():
        expected = (
            open_clip.create_model(f"local-dir:{tmp_path / 'tiny'}")
            .eval()
            .encode_text(tokens, normalize=True)
        )
    assert torch.allclose(one[1], expected, atol=1e-6)


def test_captions_are_cut_and_filled_as_the_tokenizer_does() -> None:
    captions = ["a dog", "one two three four five six seven eight nine ten"]
    whole = open_clip.tokenize(captions)
    for length in (6, 20, 100):
        assert torch.equal(
            fit_context_length(whole, length), open_clip.tokenize(captions, context_length=length)
        )


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_named_in_one_line(tmp_path) -> None:
    tiny_open_clip(tmp_path / "tiny")
    weights = str(tmp_path / "tiny" / "open_clip_model.safetensors")
    empty = tmp_path / "empty"
    empty.mkdir()
    for given, message in {
        ("ViT-B-33",): "open_clip has no such model, did you mean ViT-B-32?",
        ("ViT-B-32",): "not given; it has 22 tags",
        ("ViT-B-32", "openia"): "no tag of ViT-B-32 and no file; it has 22 tags, such as openai",
        ("ViT-B-32", weights): "these are no weights of ViT-B-32",
        (str(empty),): "cannot be loaded",
        (str(tmp_path / "tiny"), "openai"): "has its own weights; leave it out",
    }.items():
        with pytest.raises(ConfigError) as error:
            OpenClip(*given).load()
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_weights_that_cannot_be_downloaded(monkeypatch) -> None:
    """The message names the weights and the settings to use instead."""

    def unreachable(*args, **kwargs):
        raise RuntimeError(
            "Failed to download file (open_clip_model.safetensors) for laion/B-32. Last error: no route"
        )

    monkeypatch.setattr("open_clip.factory.download_pretrained", unreachable)
    with pytest.raises(ConfigError) as error:
        OpenClip("ViT-B-32", "laion2b_s34b_b79k").load()
    assert str(error.value) == (
        "encoder.pretrained=laion2b_s34b_b79k: the weights of ViT-B-32 cannot be downloaded (Failed to download file "
        "(open_clip_model.safetensors) for laion/B-32); where there is a local copy, encoder.pretrained=FILE or "
        "encoder.model=FOLDER reads it"
    )


def test_other_tokenizers_and_smaller_vocabularies_are_refused(tmp_path) -> None:
    tiny_open_clip(tmp_path / "few", vocab_size=100)
    tokens = open_clip.tokenize(["a dog"])
    with pytest.raises(ConfigError, match="knows 100 tokens, but the data's ids go to 49407"):
        OpenClip(str(tmp_path / "few")).embed(torch.rand(1, 3, 32, 32), tokens)
    with pytest.raises(ConfigError, match=r"takes images \(n, 3, h, w\) and token ids"):
        OpenClip(str(tmp_path / "few")).embed(torch.rand(1, 5), tokens)
    tiny_open_clip(tmp_path / "other", hf_tokenizer_name="somebody/else")
    with pytest.raises(ConfigError, match="has a tokenizer of its own"):
        OpenClip(str(tmp_path / "other")).load()

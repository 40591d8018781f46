"""Pretrained open_clip models as encoders: which parts are trained, also from the command line."""

import open_clip
import pytest
import torch
from torch import nn

from helpers.tiny_runs import TINY, files_below, tiny_open_clip
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.errors import ConfigError

ROWS = ((3, 32, 32), (77,))
SMALL = [
    "data=openclipart",
    "data.n_train=40",
    "data.n_append=4",
    "data.n_test=16",
    "data.batch_size=20",
    "probes.dimension.k=5",
    "trainer.max_epochs=2",
    "objective/similarity=cosine",
    "encoder=open_clip",
    "encoder.model=tiny",
]
TINY_CLIP = [override for override in TINY if not override.startswith(("encoder.", "trainer."))] + SMALL


@pytest.fixture(autouse=True)
def tiny(tmp_path) -> str:
    tiny_open_clip(tmp_path / "tiny", width=48)
    return str(tmp_path / "tiny")


def _pairs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, *ROWS[0], generator=generator), open_clip.tokenize(
        ["a", "a dog", "one two three four five six seven eight nine ten eleven " * 2, "b", "c", "d"]
    )


@pytest.mark.parametrize("trainable", ["heads", "towers", "all"])
def test_untrained_encoders_are_the_model(tiny, trainable) -> None:
    pairs = _pairs()
    expected = OpenClip(tiny).embed(*pairs)
    encoders = OpenClip(tiny, trainable=trainable, batch_size=4).encoders(*ROWS)
    for encoder, rows, unit in zip(encoders, pairs, expected, strict=True):
        with torch.no_grad():
            in_batches = encoder.eval()(rows)
        for outputs in (encoder.train()(rows), in_batches):
            torch.testing.assert_close(nn.functional.normalize(outputs, dim=1), unit, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output_dim", [None, 5])
def test_encoders_are_on_the_device_of_the_model(tiny, output_dim) -> None:
    for encoder in OpenClip(tiny, device="meta", output_dim=output_dim).encoders(*ROWS):
        assert {tensor.device.type for tensor in encoder.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("features", "output_dim", "heads"),
    [
        ("projected", None, ((32, 16), (48, 16))),
        ("projected", 5, ((16, 5), (16, 5))),
        ("tower", 5, ((32, 5), (48, 5))),
    ],
)
def test_heads_see_the_features_asked_for(tiny, features, output_dim, heads) -> None:
    encoders = OpenClip(tiny, features=features, output_dim=output_dim).encoders(*ROWS)
    for encoder, rows, sizes in zip(encoders, _pairs(), heads, strict=True):
        assert (encoder.head.in_features, encoder.head.out_features) == sizes
        assert encoder(rows).shape == (6, sizes[1])


@pytest.mark.parametrize("trainable", ["heads", "towers", "all"])
def test_what_gets_a_gradient(tiny, trainable) -> None:
    for encoder, rows in zip(OpenClip(tiny, trainable=trainable).encoders(*ROWS), _pairs(), strict=True):
        encoder(rows).square().sum().backward()
        moved = {
            part: [p.grad is not None for p in getattr(encoder, part).parameters()]
            for part in ("tower", "head")
        }
        assert all(moved["tower"]) if trainable != "heads" else not any(moved["tower"])
        assert all(moved["head"]) if trainable != "towers" else not any(moved["head"])
        assert encoder.tower.training == (trainable != "heads")


@pytest.mark.slow
def test_impossible_settings_are_refused(tiny, tmp_path) -> None:
    with pytest.raises(ConfigError, match="output_dim: must be given for new heads on features=tower"):
        OpenClip(tiny, features="tower").encoders(*ROWS)
    with pytest.raises(ConfigError, match="takes images"):
        OpenClip(tiny).encoders(20, 20)
    tiny_open_clip(tmp_path / "few", vocab_size=100)
    with pytest.raises(ConfigError, match="knows 100 tokens, open_clip's tokenizer 49408"):
        OpenClip(str(tmp_path / "few")).encoders(*ROWS)


def test_a_model_without_separate_projections(tmp_path) -> None:
    """The image tower of RN50 ends in attention pooling."""
    from intrinsic_clip.encoders.fine_tuning import fine_tuned

    def model() -> nn.Module:
        towers = {
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
            "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
        }
        clip = open_clip.CLIP(16, **towers)
        clip.visual.preprocess_cfg = {
            "size": 64,
            "mean": (0.5,) * 3,
            "std": (0.5,) * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        }
        return clip

    with pytest.raises(ConfigError, match="image tower has no projection"):
        fine_tuned(model(), "RN50", "projected", "heads", None, 4)
    f, _ = fine_tuned(model(), "RN50", "projected", "all", 5, 4)
    assert f(torch.rand(2, 3, 64, 64)).shape == (2, 5)


def test_projections_of_timm_and_of_custom_text_towers() -> None:
    towers = {
        "vision_cfg": {
            "timm_model_name": "resnet18",
            "timm_proj": "linear",
            "image_size": 32,
            "timm_pool": "",
        },
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    from intrinsic_clip.encoders.projections import take_projections

    model = open_clip.CustomTextCLIP(16, **towers).eval()
    images, ids = torch.rand(2, 3, 32, 32), open_clip.tokenize(["a", "b"], context_length=20)
    with torch.no_grad():
        expected = model.encode_image(images), model.encode_text(ids)
        f, g = take_projections(model, "custom")
        torch.testing.assert_close(f(model.encode_image(images)), expected[0])
        torch.testing.assert_close(g(model.encode_text(ids)), expected[1])


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["encoder.trainable=towers"],
        ["encoder.trainable=all", "encoder.output_dim=5"],
        ["encoder.features=tower", "encoder.output_dim=5"],
    ],
)
def test_trains_from_the_command_line(command_line, tmp_path, overrides) -> None:
    from intrinsic_clip.runs.tidy_table import collect

    assert command_line("train", *TINY_CLIP, *overrides) == 0
    table = collect(tmp_path / "outputs").set_index("metric")["value"]
    assert 0 <= table["matching/top_1/x_to_y"] <= 1
    assert table["temperature"] != 1


@pytest.mark.slow
def test_bad_input_is_one_line_and_nothing_written(command_line, capsys, tmp_path) -> None:
    before = files_below(tmp_path)
    for overrides, message in {
        ("replicates=2",): "are features=cached encoder=linear replicates=…",
        ("replicates=2", "encoder.trainable=all"): "sweeps over seed=… and encoder.output_dim=…\n",
        ("encoder.output_dim=[2,3]",): "encoder: a pretrained model is trained once in a run",
        ("features=cached", "features.model=tiny"): "encoder: takes images and captions",
        ("data=synthetic_linear",): "encoder: takes images",
        ("encoder.trainable=none",): "encoder.trainable=\"none\": input should be 'heads', 'towers' or 'all'",
        ("encoder.features=tower",): "encoder.output_dim: must be given",
        ("encoder.model=ViT-B-32",): "encoder.pretrained=: not given",
    }.items():
        assert command_line("train", *TINY_CLIP, *overrides) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert files_below(tmp_path) == before

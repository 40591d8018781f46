"""Features of a frozen model: equal to the model's own, computed once, trained on like any other data."""

import open_clip
import pytest
import torch

from helpers.opened_files import opened_files
from helpers.reading import check_read_once, read
from helpers.tiny_runs import TINY, files_below, tiny_open_clip
from intrinsic_clip.data.features.frozen import OpenClipFeatures
from intrinsic_clip.data.openclipart import OpenClipArt
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.errors import ConfigError

pytestmark = pytest.mark.slow

SIZES = {"n_train": 40, "n_append": 4, "n_test": 16, "batch_size": 20}
SMALL = [f"data.{key}={value}" for key, value in SIZES.items()] + ["probes.dimension.k=5"]
CACHED = ["data=openclipart", "features=cached", "features.model=tiny", *SMALL]


@pytest.fixture
def tiny(tmp_path) -> str:
    tiny_open_clip(tmp_path / "tiny", width=48)
    return str(tmp_path / "tiny")


@pytest.fixture
def source() -> OpenClipArt:
    return OpenClipArt(**SIZES, images=True)


def test_features_are_those_of_the_model(tiny, source, tmp_path) -> None:
    kept = str(tmp_path / "kept")
    projected = read(
        OpenClipFeatures(source, tiny, None, "projected", standardise=False, folder=kept, batch_size=7)
    )
    tower = read(OpenClipFeatures(source, tiny, None, "tower", standardise=False, folder=kept, batch_size=64))
    assert (projected.d_x, projected.d_y) == (16, 16)
    assert (tower.d_x, tower.d_y) == (32, 48)
    model = open_clip.create_model(f"local-dir:{tiny}").eval()
    for split in ("train", "append", "test"):
        pairs, before = source.pairs(split), tower.pairs(split)
        after = projected.pairs(split)
        x, y = OpenClip(tiny).embed(pairs.x, pairs.y)
        for features, expected in ((after.x, x), (after.y, y)):
            unit = torch.nn.functional.normalize(features, dim=1)
            torch.testing.assert_close(unit, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(before.x @ model.visual.proj, after.x, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(before.y @ model.text_projection, after.y, rtol=1e-4, atol=1e-4)
        assert torch.equal(after.labels["category"], pairs.labels["category"])


def test_the_constructor_opens_nothing_and_the_model_is_loaded_once(tiny, source, tmp_path) -> None:
    with opened_files() as opened:
        data = OpenClipFeatures(source, tiny, folder=str(tmp_path / "kept"))
        absent = OpenClipFeatures(source, "absent", folder=str(tmp_path / "other"))
    assert opened == []
    assert (data.d_x, data.d_y) == (None, None)
    with pytest.raises(ConfigError, match=r"^features.model=absent: open_clip has no such model"):
        absent.read()
    assert not (tmp_path / "other").exists()
    check_read_once(data, tiny, tmp_path / "kept")
    assert (data.d_x, data.d_y) == (32, 48)


def test_standardised_over_the_training_rows(tiny, source, tmp_path) -> None:
    train = OpenClipFeatures(source, tiny, folder=str(tmp_path / "kept")).pairs("train")
    for rows in (train.x, train.y):
        assert rows.mean(0).abs().max() < 1e-4
        assert float(rows.square().mean()) == pytest.approx(1, abs=1e-4)


def test_noise_tells_repeated_captions_apart_and_is_always_the_same(tiny, source, tmp_path) -> None:
    options = {"folder": str(tmp_path / "kept"), "standardise": False}
    plain = OpenClipFeatures(source, tiny, **options).pairs("train")
    noisy, again = (OpenClipFeatures(source, tiny, noise_y=0.1, **options).pairs("train") for _ in "12")
    assert torch.equal(noisy.y, again.y)
    assert torch.equal(noisy.x, plain.x)
    noise = noisy.y - plain.y
    assert float(noise.std()) == pytest.approx(0.1, rel=0.05)
    assert abs(float(noise.mean())) < 0.01


def test_what_changes_the_features_changes_their_folder(tiny, source, tmp_path) -> None:
    kept = tmp_path / "kept"

    def count(*arguments, images=source) -> int:
        read(OpenClipFeatures(images, *arguments, folder=str(kept)))
        return len(list(kept.iterdir()))

    assert count(tiny) == count(tiny, None, "tower") == 1
    assert count(tiny, None, "projected") == 2
    assert count(tiny, images=OpenClipArt(**SIZES | {"n_test": 17}, images=True)) == 3
    tiny_open_clip(tmp_path / "other", width=32)
    assert count(str(tmp_path / "other")) == 4


@pytest.mark.long
def test_the_second_run_needs_no_model(tiny, command_line, monkeypatch, tmp_path) -> None:
    """Check that another encoder loads no model, and that a finished run is recognised by its settings."""
    assert command_line("train", *TINY, *CACHED) == 0

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("intrinsic_clip.data.features.frozen.OpenClip", refuse)
    assert command_line("train", *TINY, *CACHED, "encoder=linear") == 0
    assert command_line("train", *TINY, *CACHED, "features.batch_size=3", "features.folder=elsewhere") == 0
    assert len(list(tmp_path.glob("outputs/custom/*/results.json"))) == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.long
def test_replicates_of_heads_on_frozen_towers(tiny, command_line, tmp_path) -> None:
    from intrinsic_clip.runs.tidy_table import collect

    overrides = [*TINY, *CACHED, "encoder=linear", "replicates=3", "encoder.output_dim=[2,4]"]
    assert command_line("train", *overrides) == 0
    table = collect(tmp_path / "outputs").query("metric == 'temperature'")
    assert table.value.nunique() == 6
    assert len(list(tmp_path.glob("outputs/features/*"))) == 1


@pytest.mark.long
def test_bad_input_is_one_line_and_nothing_written(command_line, capsys, tmp_path) -> None:
    for overrides, message in {
        ("features=cached",): "takes images (n, 3, h, w) and token ids",
        ("data=openclipart", "features=cached", "features.model=ViT-B-33"): "did you mean ViT-B-32?",
        ("data=openclipart", "features=cached"): "features.pretrained=: not given",
        (
            "data=openclipart",
            "features=cached",
            "features.features=head",
        ): "input should be 'tower' or 'projected'",
        (
            "data=openclipart",
            "features=cashed",
        ): "features=cashed: no such choice, did you mean cached? There are cached, packaged",
    }.items():
        assert command_line("train", *TINY, *overrides) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert files_below(tmp_path) == []

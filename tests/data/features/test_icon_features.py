"""Features of icons, with stand-ins for the towers."""

import json
from pathlib import Path

import pytest
import torch

from helpers.miniatures import SIZES
from helpers.reading import read
from intrinsic_clip import config
from intrinsic_clip.data.features.frozen import PackagedFeatures
from intrinsic_clip.data.features.icon_features import IconFeatures
from intrinsic_clip.data.formats.pixels import renders_svg
from intrinsic_clip.data.images.icons import Icons
from intrinsic_clip.errors import ConfigError


def make(folder: Path) -> Path:
    icons = {f"thing{i}": {"body": f'<path d="M{i % 12} {i // 12}h8v9h-9z"/>'} for i in range(24)}
    content = {"info": {"license": {"spdx": "MIT"}}, "icons": icons, "width": 24, "height": 24}
    (folder / "json").mkdir(parents=True)
    (folder / "json" / "one.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def towers(monkeypatch) -> None:
    """Replace both towers by means of pixels and lengths of captions."""

    def towers(data, batch_size, device):
        return lambda images, texts: (
            images.float().mean((2, 3)),
            torch.tensor([[float(len(text))] for text in texts]),
        )

    monkeypatch.setattr(PackagedFeatures, "towers", towers)
    monkeypatch.setattr("intrinsic_clip.data.features.frozen.packaged_weights", lambda: ("a", "b"))


@pytest.mark.skipif(not renders_svg(), reason="needs resvg-py")
def test_they_are_the_packaged_features_of_icons(tmp_path, towers) -> None:
    folder, features = str(make(tmp_path / "icons")), str(tmp_path / "features")
    data = read(IconFeatures(folder, features_folder=features, **SIZES))
    icons = Icons(folder=folder, pixels="uint8", **SIZES)
    other = read(PackagedFeatures(icons, folder=str(tmp_path / "others")))
    assert (data.d_x, data.d_y, data.sizes) == (other.d_x, other.d_y, other.sizes)
    for split in ("train", "append", "test"):
        assert torch.equal(data.pairs(split).x, other.pairs(split).x)
        assert torch.equal(data.pairs(split).y, other.pairs(split).y)
        assert set(data.pairs(split).labels) == {"collection"}
        assert data.read_captions(split) == other.read_captions(split)
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_a_missing_package_is_named_with_the_setting(tmp_path) -> None:
    with pytest.raises(
        ConfigError, match=r"data.folder=.*absent: .*expected the package @iconify/json: npm install"
    ):
        IconFeatures(str(tmp_path / "absent"), **SIZES).read()


def test_all_settings_of_the_file_are_taken(compose) -> None:
    settings = config.resolve(compose("data=icon_features", "data.n_train=100"))
    config.check(settings)
    assert settings["data"]["features_folder"] == "outputs/features"

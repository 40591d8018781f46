"""Icons of Iconify's collections, from miniatures of the npm package."""

import io
import json
import zlib
from pathlib import Path

import pytest

from helpers.miniatures import SIZES, image_bytes
from helpers.reading import check_read_once, read
from intrinsic_clip.data.formats import pixels
from intrinsic_clip.data.formats.pixels import renders_svg
from intrinsic_clip.data.images.icons import Icons, base_name, drawing
from intrinsic_clip.errors import ConfigError

N = 24


def body(number: int) -> str:
    return f'<path fill="currentColor" d="M{number % 12} {number // 12}h8v9h-9z"/>'


def make(folder: Path) -> Path:
    """Write a collection of things in three styles, and one under the GPL."""
    icons = {
        f"thing{i}{style}": {"body": body(i)} for i in range(N) for style in ("", "-outline", "-16-filled")
    }
    for place, icon in enumerate(icons.values()):
        icon["body"] += f"<!-- {place} -->"
    icons |= {"traffic-light": {"body": body(90)}, "old": {"body": body(91), "hidden": True}}
    for prefix, licence, listed in (("one", "MIT", icons), ("two", "GPL-3.0", {"gnu": {"body": body(92)}})):
        content = {
            "prefix": prefix,
            "info": {"license": {"spdx": licence}},
            "icons": listed,
            "width": 24,
            "height": 24,
        }
        (folder / "json").mkdir(parents=True, exist_ok=True)
        (folder / "json" / f"{prefix}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("home", "home"),
        ("home-outline", "home"),
        ("home-variant-16-filled", "home-variant"),
        ("home-two-tone", "home"),
        ("home-outline-rounded", "home"),
        ("arrow-2", "arrow-2"),
        ("twotone-qr-code-2", "qr-code-2"),
        ("round-wheelchair-pickup", "wheelchair-pickup"),
        ("outline", "outline"),
        ("light-bulb", "light-bulb"),
        ("man-medium-dark-skin-tone", "man"),
        ("skylight", "skylight"),
    ],
)
def test_base_names_lose_style_and_size(name: str, base: str) -> None:
    assert base_name(name) == base


def test_drawings_take_sizes_from_icon_or_collection_and_black_for_their_own_colour() -> None:
    text = drawing({"body": body(0), "width": 48, "top": -4}, {"width": 24, "height": 20})
    assert 'viewBox="0 -4 48 20"' in text
    assert "currentColor" not in text
    assert 'fill="#000000"' in text
    assert 'viewBox="0 0 16 16"' in drawing({"body": ""}, {})


def test_captions_are_words_and_a_traffic_light_stays_one(tmp_path: Path) -> None:
    pairs = list(Icons(folder=str(make(tmp_path)), **SIZES).list_pairs())
    captions = {pair.image.name: pair.caption for pair in pairs}
    assert len(pairs) == 3 * N + 1
    assert captions["thing3-16-filled"] == captions["thing3"] == "thing3"
    assert captions["traffic-light"] == "traffic light"
    assert {pair.labels["collection"] for pair in pairs} == {"one"}


def test_missing_packages_collections_and_licences(tmp_path: Path) -> None:
    def listed(**options) -> list:
        return list(Icons(**{"folder": str(tmp_path)} | SIZES | options).list_pairs())

    with pytest.raises(ConfigError, match=r"no such folder; expected the package @iconify/json: npm install"):
        listed(folder=str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"holds no json/<collection>.json; npm install @iconify/json"):
        listed()
    make(tmp_path)
    with pytest.raises(ConfigError, match=r"data.collections=three: .* has one, two"):
        listed(collections=["one", "three"])
    with pytest.raises(ConfigError, match=r"data.collections=two: its licence, GPL-3.0, is none of data.lic"):
        listed(collections=["two"])
    assert [pair.caption for pair in listed(collections=["two"], licences=["GPL-3.0"])] == ["gnu"]
    with pytest.raises(ConfigError, match=r"holds no icons under CC-BY-4.0"):
        listed(licences=["CC-BY-4.0"])
    (tmp_path / "json" / "two.json").write_text('{"icons": {}}')
    with pytest.raises(
        ConfigError, match=r"two.json: is no collection of icons \(KeyError: 'info'\); npm inst"
    ):
        listed()


def test_drawing_needs_a_package(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("intrinsic_clip.data.images.icons.renders_svg", lambda: False)
    with pytest.raises(ConfigError, match=r"data=icons: rendering .svg needs resvg_py: pip install resvg-py"):
        read(Icons(folder=str(tmp_path), **SIZES))


@pytest.fixture
def renderer(monkeypatch) -> None:
    """Stand in for the renderer where it is not installed: squares as large as the digest of the text says."""
    if renders_svg():
        return
    monkeypatch.setattr("intrinsic_clip.data.images.icons.renders_svg", lambda: True)
    monkeypatch.setattr(
        "intrinsic_clip.data.formats.pixels._rendered",
        lambda text, size: io.BytesIO(image_bytes(zlib.crc32(text.encode()), "PNG")),
    )


@pytest.mark.usefixtures("renderer")
def test_icons_of_a_base_name_stay_together(tmp_path: Path) -> None:
    folder = str(make(tmp_path / "package"))
    one = read(Icons(folder=folder, **SIZES))
    assert sum(one.sizes.values()) == N + 1
    assert one.pairs("test").x.shape == (8, 3, 16, 16)
    check_read_once(one, folder)
    captions = [caption for split in one.sizes for caption in one.read_captions(split)]
    assert sorted(captions) == sorted([*(f"thing{i}" for i in range(N)), "traffic light"])
    every = read(Icons(folder=folder, per_name=None, **SIZES | {"n_test": 12, "n_append": 6}))
    captions = {split: set(every.read_captions(split)) for split in every.sizes}
    assert not captions["train"] & captions["test"]
    assert not captions["train"] & captions["append"]
    assert every.sizes["test"] == 12


@pytest.mark.usefixtures("renderer")
def test_damaged_drawings_are_counted(tmp_path: Path, monkeypatch) -> None:
    render = pixels._rendered

    def damaged(text: str, size: int):
        if "thing1" in text or "M1 0" in text:
            raise ValueError
        return render(text, size)

    monkeypatch.setattr("intrinsic_clip.data.formats.pixels._rendered", damaged)
    folder = str(make(tmp_path))
    with pytest.raises(ConfigError, match=r"1 of 25 samples cannot be used.*\(corrupt image\)"):
        read(Icons(folder=folder, **SIZES))
    data = read(Icons(folder=folder, max_bad=0.1, **SIZES))
    assert sum(data.sizes.values()) == N
    assert all(len(data.pairs(split)) == data.sizes[split] for split in data.sizes)

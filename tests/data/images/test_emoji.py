"""Emoji and Tux Paint's stamps, from miniatures of the two npm packages and of the folder of stamps."""

import json
from pathlib import Path

import pytest
import torch
from open_clip import tokenize

from helpers.miniatures import SIZES, spoil, write_image
from helpers.reading import check_read_once, read
from intrinsic_clip.data.formats.pixels import read_pixels, renders_svg
from intrinsic_clip.data.images.emoji import Emoji
from intrinsic_clip.data.images.tuxpaint import TuxPaint
from intrinsic_clip.errors import ConfigError

N = 24


def make_packages(root: Path) -> Path:
    images, names = root / "emoji-datasource-google", root / "emojibase-data"
    listed, entries = [], {"en": [], "de": []}
    for i in range(N):
        code = f"1F{600 + i}"
        write_image(images / "img" / "google" / "64" / f"{code.lower()}-fe0f.png", i)
        listed.append({"unified": f"{code}-FE0F", "image": f"{code.lower()}-fe0f.png", "category": "Symbols"})
        for language, word in (("en", "face"), ("de", "Gesicht")):
            entry = {"label": f"{word} {i}", "hexcode": code, "tags": [f"{word} {i}", "a", "b", "c"]}
            entries[language].append(entry | {"group": i % 2, "subgroup": i % 4})
    entries["en"].append({"label": "regional indicator A", "hexcode": "1F1E6"})
    listed.append({"unified": "1F1E6", "image": "1f1e6.png"})
    (images / "emoji.json").write_text(json.dumps(listed))
    levels = {"groups": {"0": "faces", "1": "people"}, "subgroups": {str(i): f"sub {i}" for i in range(4)}}
    for name, content in (("meta/groups", levels), ("en/data", entries["en"]), ("de/data", entries["de"])):
        (names / name).parent.mkdir(parents=True, exist_ok=True)
        (names / f"{name}.json").write_text(json.dumps(content))
    return root


def pixels_of(data, caption: str) -> torch.Tensor:
    pairs = [data.pairs(split) for split in ("train", "append", "test")]
    x, y = (torch.cat([getattr(p, side) for p in pairs]) for side in ("x", "y"))
    (place,) = (y == tokenize([caption])).all(1).nonzero()[0]
    return x[place]


def test_emoji_in_two_languages(tmp_path: Path) -> None:
    folder = str(make_packages(tmp_path / "node_modules"))
    english, german = (
        read(Emoji(folder=folder, tags=2, **SIZES)),
        read(Emoji(folder=folder, language="de", tags=0, **SIZES)),
    )
    assert sum(english.sizes.values()) == sum(german.sizes.values()) == N
    file = tmp_path / "node_modules" / "emoji-datasource-google" / "img" / "google" / "64" / "1f607-fe0f.png"
    wanted = torch.tensor(read_pixels(file, 16, "pad")) / 255
    assert torch.equal(pixels_of(english, "face 7, a"), wanted)
    assert torch.equal(pixels_of(german, "Gesicht 7"), wanted)
    check_read_once(english, folder)
    labels = english.pairs("train").labels
    assert torch.equal(labels["group"], labels["subgroup"] % 2)


def test_missing_packages_and_languages(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such folder; expected node_modules .* npm install emoji-data"):
        read(Emoji(folder=str(tmp_path / "absent"), **SIZES))
    with pytest.raises(
        ConfigError, match=r"holds no emoji-datasource-google, which was expected: npm install"
    ):
        read(Emoji(folder=str(tmp_path), **SIZES))
    with pytest.raises(ConfigError, match=r"data.language=tlh: emojibase-data has de, en"):
        read(Emoji(folder=str(make_packages(tmp_path)), language="tlh", **SIZES))
    (tmp_path / "emoji-datasource-google" / "emoji.json").write_text('[{"image": "a.png"}]')
    with pytest.raises(ConfigError, match=r"is not as expected \(KeyError: 'unified'\); npm install"):
        read(Emoji(folder=str(tmp_path), **SIZES))


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#0{}0"/></svg>'


def make_stamps(root: Path) -> Path:
    for i in range(N):
        file = write_image(root / ("animals" if i % 2 else "food/fruit") / "wild" / f"{i}.png", i)
        text = f"A thing {i}.\nde.utf8=Ein Ding {i}.\n" + (
            f"ca@valencia.utf8=Una cosa {i}.\n" if i < 20 else ""
        )
        file.with_suffix(".txt").write_text(text)
        file.with_suffix(".dat").write_text("")
    for i in range(4):
        (root / "animals" / f"drawing{i}.svg").write_text(SVG.format(2 * i + 1))
        (root / "animals" / f"drawing{i}.txt").write_text(f"A drawing {i}.\n")
    return root


def test_stamps_in_several_languages(tmp_path: Path) -> None:
    folder = str(make_stamps(tmp_path))
    data = read(TuxPaint(folder=folder, **SIZES))
    assert sum(data.sizes.values()) == N
    assert torch.equal(
        pixels_of(data, "A thing 4."),
        torch.tensor(read_pixels(tmp_path / "food/fruit/wild/4.png", 16, "pad")) / 255,
    )
    check_read_once(data, folder)
    assert set(data.pairs("test").labels) == {"category", "subcategory"}
    assert sum(read(TuxPaint(folder=folder, language="ca@valencia", **SIZES)).sizes.values()) == 20
    pixels_of(read(TuxPaint(folder=folder, language="de", **SIZES)), "Ein Ding 3.")
    with pytest.raises(ConfigError, match=r"data.language=fr: no stamp .* it has ca@valencia, de, en"):
        read(TuxPaint(folder=folder, language="fr", **SIZES))
    with pytest.raises(
        ConfigError, match=r"no such folder; expected stamps .* apt-get install tuxpaint-stamps"
    ):
        read(TuxPaint(folder=str(tmp_path / "absent"), **SIZES))


def test_corrupt_stamps(tmp_path: Path, capsys) -> None:
    make_stamps(tmp_path)
    for way, file in enumerate(sorted((tmp_path / "animals" / "wild").glob("*.png"))):
        spoil(file, way)
    with pytest.raises(ConfigError, match=r"12 of 24 samples cannot be used"):
        read(TuxPaint(folder=str(tmp_path), **SIZES))
    read(TuxPaint(folder=str(tmp_path), max_bad=0.5, **SIZES | {"n_test": 4}))
    assert "12 of 24 samples skipped: 12 corrupt image" in capsys.readouterr().err


def test_drawings_need_a_package(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("intrinsic_clip.data.images.tuxpaint.renders_svg", lambda: False)
    with pytest.raises(ConfigError, match=r"needs resvg_py: pip install resvg-py; data.svg=false"):
        read(TuxPaint(folder=str(tmp_path), svg=True, **SIZES))


@pytest.mark.skipif(not renders_svg(), reason="resvg_py is not installed")
def test_drawings(tmp_path: Path) -> None:
    data = read(TuxPaint(folder=str(make_stamps(tmp_path)), svg=True, **SIZES))
    assert sum(data.sizes.values()) == N + 4
    assert pixels_of(data, "A drawing 2.")[:, 8, 8].mul(255).round().tolist() == [0, 85, 0]
    (tmp_path / "animals" / "drawing0.svg").write_text("<svg")
    with pytest.raises(ConfigError, match=r"1 of 28 samples cannot be used.*drawing0.svg \(corrupt image\)"):
        read(TuxPaint(folder=str(tmp_path), svg=True, **SIZES))

"""Verses in two versions, from miniatures of SWORD's modules."""

from pathlib import Path

import pytest
import torch

from helpers.reading import check_read_once, read
from helpers.sword_modules import write_module
from helpers.text_tower import install_text_tower, text_vector
from intrinsic_clip.data.features.verses import Verses
from intrinsic_clip.errors import ConfigError

SIZES = {"n_append": 2, "n_test": 6, "batch_size": 4}
CHAPTERS = [f"{book}.{chapter}" for book in ("Gen", "Ps", "Matt", "Rev") for chapter in (1, 2, 3)]


@pytest.fixture(autouse=True)
def read_texts(tmp_path_factory, monkeypatch) -> list[list[str]]:
    return install_text_tower(monkeypatch, tmp_path_factory.mktemp("tower"))


def make(library: Path) -> Path:
    """Write two versions with three verses a chapter, of which the second lacks one; a refrain ends two chapters."""
    for name in ("kjv", "web"):
        texts = {chapter: [f"{name} {chapter} {i}" for i in (1, 2, 3)] for chapter in CHAPTERS}
        texts["Ps.1"][2] = texts["Rev.3"][2] = f"{name} refrain"
        write_module(library, name, texts)
    return library


def test_verses_belong_to_those_of_their_number(tmp_path: Path) -> None:
    data = read(Verses(str(make(tmp_path / "sword")), **SIZES))
    assert (data.d_x, data.d_y) == (8, 8)
    assert (
        30 <= sum(data.sizes.values()) <= 36
    )  # a chapter that fits into a split in part is left out in part
    check_read_once(data, tmp_path / "sword")
    for split in data.sizes:
        pairs = data.pairs(split)
        for text, x, y in zip(data.read_captions(split), pairs.x, pairs.y, strict=True):
            assert torch.equal(x, text_vector(text))
            assert torch.equal(y, text_vector(text.replace("kjv", "web")))
    assert len(data.pairs("train").labels["book"].unique()) <= 4


def test_chapters_and_those_that_repeat_a_verse_stay_together(tmp_path: Path) -> None:
    folder = str(make(tmp_path / "sword"))
    for seed in range(6):
        data = read(Verses(folder, split_seed=seed, **SIZES))
        homes: dict[str, set[str]] = {}
        for split in data.sizes:
            for text in data.read_captions(split):
                chapter = "Ps.1" if "refrain" in text else text.split()[1].replace("Rev.3", "Ps.1")
                homes.setdefault(chapter, set()).add(split)
        assert all(len(splits) == 1 for splits in homes.values())


def test_missing_versions_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.y=KJV: must be another version than data.x"):
        Verses("absent", y="KJV", **SIZES)
    with pytest.raises(
        ConfigError, match=r"no such folder; expected mods.d .*: apt-get install sword-text-kjv"
    ):
        read(Verses(str(tmp_path / "absent"), **SIZES))
    with pytest.raises(
        ConfigError, match=r"data.folder=.*: has no module KJV; it has none in mods.d; apt-get"
    ):
        read(Verses(str(tmp_path), **SIZES))
    make(tmp_path)
    with pytest.raises(ConfigError, match=r"has no module RV1909; it has KJV, WEB; apt-get install"):
        read(Verses(str(tmp_path), y="RV1909", **SIZES))
    write_module(tmp_path, "other", {"Tob.1": ["a"], "Jdt.1": ["b"]})
    with pytest.raises(ConfigError, match=r"KJV and OTHER have no verse in common"):
        read(Verses(str(tmp_path), y="OTHER", **SIZES))

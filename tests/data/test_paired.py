"""A source keeps its arguments when it is constructed, is read once and loaded once."""

from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from helpers.opened_files import opened_files
from intrinsic_clip import config
from intrinsic_clip.data import PairedData, Pairs
from intrinsic_clip.errors import ConfigError

CONFIGS = sorted((config.conf_folder() / "data").glob("*.yaml"))
WITHOUT_FILES = ["openclipart", *(path.stem for path in CONFIGS if path.stem.startswith("synthetic"))]
TOGETHER = {"citeseq": {"protein": "absent.csv", "cells": "absent.csv"}}  # settings that need each other


class Counting(PairedData):
    """Two rows; counts how often it is read and loaded."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__(batch_size=1)
        self.fails, self.calls = fails, list[str]()

    def _read(self) -> None:
        self.calls.append("read")
        if self.fails:
            raise ConfigError("data.file=absent: no such file")
        self.sizes, self.d_x, self.d_y = {"train": 2, "append": 0, "test": 2}, 3, 4

    def load(self, device: torch.device) -> dict[str, Pairs]:
        self.calls.append("load")
        return {split: Pairs(torch.zeros(n, 3), torch.zeros(n, 4)) for split, n in self.sizes.items()}


def test_a_source_is_read_once_and_loaded_once() -> None:
    data = Counting()
    assert (data.sizes, data.d_x, data.d_y, data.calls) == ({}, None, None, [])
    data.read()
    data.read()
    assert (data.d_x, data.d_y, data.calls) == (3, 4, ["read"])
    data.setup()
    data.setup("fit")
    assert len(data.pairs("test")) == 2
    assert len(next(iter(data.train_dataloader()))) == 2
    assert data.calls == ["read", "load"]


def test_a_source_that_could_not_be_read_is_not_taken_as_read() -> None:
    data = Counting(fails=True)
    for attempt in (data.read, data.setup, lambda: data.pairs("test")):
        with pytest.raises(ConfigError, match="no such file"):
            attempt()
    data.fails = False
    assert len(data.pairs("test")) == 2
    assert data.calls == ["read"] * 4 + ["load"]


def _config_and_missing_keys(path: Path) -> tuple[DictConfig, set[str]]:
    """Return the config of a source, and its settings without a default."""
    own = OmegaConf.load(path)
    for base in own.pop("defaults", ["_self_"])[:-1]:  # as Hydra composes it
        own = OmegaConf.merge(OmegaConf.load(path.with_name(f"{base}.yaml")), own)
    whole = OmegaConf.merge({"seed": 0, "replicates": None}, {"data": own})
    return whole.data, {key.removeprefix("data.") for key in OmegaConf.missing_keys(whole)}


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_fits_its_class(path: Path) -> None:
    _, missing = _config_and_missing_keys(path)
    overrides = [f"data={path.stem}", *(f"data.{key}=absent" for key in missing)]
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        cfg = hydra.compose("train", overrides=overrides)
    config.check(config.resolve(cfg))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_constructor_opens_nothing_and_read_names_what_is_missing(path: Path) -> None:
    cfg, missing = _config_and_missing_keys(path)
    absent = missing | ({"folder"} & cfg.keys())
    cfg.update(TOGETHER.get(path.stem, {}) | {key: f"absent_{key}" for key in absent})
    source = hydra.utils.get_class(cfg.pop("_target_"))
    options = OmegaConf.to_container(cfg, resolve=True)
    with opened_files() as opened:
        data = source(**options)
    assert opened == []
    assert (data.d_x is None) == (data.d_y is None)
    if path.stem in WITHOUT_FILES:
        before = dict(data.sizes)
        data.read()
        assert data.sizes == before
        assert set(before) == {"train", "append", "test"}
        assert data.d_x is not None
        return
    with pytest.raises(ConfigError) as caught:
        data.read()
    assert str(caught.value).startswith("data.")
    assert "\n" not in str(caught.value)
    named = str(caught.value).partition("=")[0].removeprefix("data.")
    assert named in cfg


@pytest.mark.slow
@pytest.mark.parametrize("images", [False, True])
def test_the_shipped_features_are_read_once(images: bool, monkeypatch) -> None:
    from intrinsic_clip.data import openclipart

    reads: list[str] = []
    read_features = openclipart.read_features
    monkeypatch.setattr(openclipart, "read_features", lambda: reads.append("") or read_features())
    data = openclipart.OpenClipArt(n_train=20, n_append=2, n_test=5, batch_size=5, images=images)
    assert (data.d_x, data.d_y) == (((3, 64, 64), (77,)) if images else (None, None))
    assert reads == []
    data.read()
    data.read()
    assert (data.d_x, data.d_y) == (((3, 64, 64), (77,)) if images else (1280, 384))
    assert len(data.pairs("test")) == 5
    assert len(reads) == 1

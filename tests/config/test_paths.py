"""Paths are text, and `~` in them is the home folder, wherever they are set."""

import pytest
from omegaconf import OmegaConf

from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.config.paths import PATHS, TEXTS, check_writable, is_text, with_home
from intrinsic_clip.errors import ConfigError


@pytest.fixture(autouse=True)
def _home(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")


@pytest.mark.parametrize("key", sorted(path for path in PATHS if "*" not in path))
@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("~/a b.npy", "/home/ada/a b.npy"),
        ("~", "/home/ada"),
        ("a~b/~", "a~b/~"),
        ("~backup.npy", "~backup.npy"),
    ],
)
def test_home_is_expanded_in_every_path(key, path, expanded) -> None:
    cfg = OmegaConf.create()
    OmegaConf.update(cfg, key, path)
    assert OmegaConf.select(with_home(cfg), key) == expanded
    assert OmegaConf.select(cfg, key) == path  # the config that Hydra composed stays


def test_home_in_label_files_folders_of_models_and_interpolations() -> None:
    cfg = OmegaConf.create(
        {
            "data": {"labels": {"coarse": "~/cells.csv", "fine": "cells.csv"}, "x": "${where}/x.npy"},
            "encoder": {"model": "local-dir:~/model", "pretrained": None},
            "where": "~",
        }
    )
    expanded = with_home(cfg)
    assert expanded.data.labels == {"coarse": "/home/ada/cells.csv", "fine": "cells.csv"}
    assert (expanded.data.x, expanded.encoder.model) == ("/home/ada/x.npy", "local-dir:/home/ada/model")
    assert with_home(expanded) is expanded


def test_lists_of_columns_are_no_paths() -> None:
    cfg = OmegaConf.create({"data": {"labels": ["~a"], "captions": ["~/title", "text"]}})
    assert with_home(cfg) is cfg


@pytest.mark.parametrize(("path", "reason"), [("", "must name a file or folder"), ("a\0b", "holds a NUL")])
def test_what_no_path_can_be(path, reason) -> None:
    with pytest.raises(ConfigError, match=rf"data\.x=.*{reason}"):
        with_home(OmegaConf.create({"data": {"x": path}}))


def test_a_user_without_home(monkeypatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ConfigError, match=r"output_dir=~/runs: there is no home folder"):
        with_home(OmegaConf.create({"output_dir": "~/runs"}))


def test_the_settings_exist() -> None:
    known = set()
    for file in conf_folder().glob("**/*.yaml"):
        group = file.parent.relative_to(conf_folder()).parts
        keys = OmegaConf.load(file)
        known |= {".".join((*group, str(key))) for key in keys}
        known |= {f"{group[0]}.wandb.{key}" for key in keys.get("wandb", ()) if group}
    assert {key.removesuffix(".*") for key in PATHS | TEXTS} <= known


def test_what_has_to_be_given_is_a_path() -> None:
    configs = [OmegaConf.load(file) for file in conf_folder().glob("data/*.yaml")]
    asked = [f"data.{key}" for cfg in configs for key in cfg if OmegaConf.is_missing(cfg, key)]
    assert asked
    assert all(map(is_text, asked))


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "new" / "run")
    with pytest.raises(ConfigError, match="file: not a folder"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match="file name too long"):
        check_writable(tmp_path / ("x" * 5000) / "run")

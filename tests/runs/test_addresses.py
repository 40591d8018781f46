"""A run's address is its settings and the contents of its files, and does not depend on where code lives."""

import inspect
import pkgutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import intrinsic_clip
from intrinsic_clip.config import conf_folder, resolve
from intrinsic_clip.runs import addresses
from intrinsic_clip.runs.addresses import fingerprint, target_name
from intrinsic_clip.training.train import train


def _targets() -> list[str]:
    """Return the `_target_`s of this package in conf/."""
    nodes = [OmegaConf.to_container(OmegaConf.load(path)) for path in conf_folder().rglob("*.yaml")]
    targets = []
    while nodes:
        node = nodes.pop()
        nodes += [part for part in node.values() if isinstance(part, dict)]
        targets.append(node.get("_target_", ""))
    return sorted({target for target in targets if target.startswith("intrinsic_clip.")})


def test_moving_a_class_keeps_the_address(compose) -> None:
    settings = resolve(compose("data=synthetic_rotated"))
    moved = resolve(compose("data=synthetic_rotated"))
    moved["data"]["_target_"] = "intrinsic_clip.somewhere.else.SyntheticRotated"
    moved["probes"]["matching"]["_target_"] = "intrinsic_clip.elsewhere.MatchingProbe"
    assert fingerprint(moved) == fingerprint(settings)
    moved["data"]["_target_"] = "intrinsic_clip.data.SyntheticLinear"
    assert fingerprint(moved) != fingerprint(settings)
    moved["data"]["_target_"] = "mine.SyntheticRotated"
    assert fingerprint(moved) != fingerprint(settings)


@pytest.mark.slow
def test_names_of_choices_are_unique_in_the_package() -> None:
    names = {target_name(target) for target in _targets()}
    assert len(names) == len(_targets())
    homes = Counter()
    for module in pkgutil.walk_packages(intrinsic_clip.__path__, "intrinsic_clip."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            if name in names and getattr(value, "__module__", None) == module.name:
                assert inspect.isclass(value) or inspect.isfunction(value)
                homes[name] += 1
    assert homes == dict.fromkeys(names, 1)


def _embeddings(folder: Path, seed: int) -> list[str]:
    rows = np.random.default_rng(seed).normal(size=(2, 300, 8)).astype(np.float32)
    np.save(folder / "x.npy", rows[0])
    np.save(folder / "y.npy", rows[1])
    return ["data=embeddings", f"data.x={folder}/x.npy", f"data.y={folder}/y.npy", "data.n_train=200"]


@pytest.mark.slow
def test_files_rewritten_under_their_names_are_another_run(tmp_path, compose, capsys) -> None:
    overrides = [
        *_embeddings(tmp_path, 0),
        "data.n_append=20",
        "data.n_test=50",
        "trainer.max_epochs=1",
    ]
    first = train(compose(*overrides))
    assert train(compose(*overrides)) == first
    assert "Done already" in capsys.readouterr().out
    _embeddings(tmp_path, 1)
    second = train(compose(*overrides))
    assert "Done already" not in capsys.readouterr().out
    assert second["metrics"]["id/mle/x"] != first["metrics"]["id/mle/x"]
    _embeddings(tmp_path, 0)
    assert train(compose(*overrides)) == first


def test_files_moved_are_the_same_run(tmp_path, compose) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = (fingerprint(resolve(compose(*_embeddings(tmp_path / name, 0)))) for name in "ab")
    assert here == there


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["labels.csv", "captions.csv", "0.png"])
def test_labels_captions_and_images_count(tmp_path, compose, changed) -> None:
    overrides = _embeddings(tmp_path, 0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("captions.csv", "0.png"):
        (folder / name).write_text("before")
    (tmp_path / "labels.csv").write_text("before")
    arguments = {
        "labels.csv": [*overrides, f"+data.labels.class={tmp_path}/labels.csv"],
        "captions.csv": ["data=captions_folder", f"data.folder={folder}"],
        "0.png": ["data=captions_folder", f"data.folder={folder}"],
    }[changed]
    before = fingerprint(resolve(compose(*arguments)))
    (tmp_path / changed if changed == "labels.csv" else folder / changed).write_text("after")
    assert fingerprint(resolve(compose(*arguments))) != before


def test_a_setting_that_names_no_file_is_itself(tmp_path) -> None:
    assert addresses.with_contents({"language": "en", "prompt": "a {}"}, "data") == {
        "language": "en",
        "prompt": "a {}",
    }

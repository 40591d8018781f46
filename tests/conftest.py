"""Fixtures that compose and run small trainings."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors lose by threads, which wait for busy cores

import io
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import torch
import yaml
from omegaconf import DictConfig

from helpers.tiny_runs import TINY
from intrinsic_clip import config


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files in which all is slow or long, so that no worker is alone with one at the end."""
    quick = {item.path for item in items if not any(map(item.get_closest_marker, ("slow", "long")))}
    items.sort(key=lambda item: item.path in quick)


@pytest.fixture(autouse=True, scope="session")
def _each_yaml_file_is_parsed_once() -> Iterator[None]:
    """Remember what a file's text means: parsing is half of composing a config, which hundreds of tests do."""
    load, parsed = yaml.load, dict[tuple[str, str], bytes]()

    def load_once(stream: Any, Loader: Any) -> Any:
        if not isinstance(stream, io.TextIOWrapper):
            return load(stream, Loader)
        key = stream.read(), Loader.__qualname__
        if key not in parsed:
            stream.seek(0)
            parsed[key] = pickle.dumps(load(stream, Loader))
        return pickle.loads(parsed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "load", load_once)
        yield


@pytest.fixture(autouse=True)
def _random_numbers_are_the_same_each_time() -> None:
    """Seed the global generators, by TEST_SEED or 0, so that no test fails by the luck of its draws."""
    seed = int(os.environ.get("TEST_SEED", "0"))
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@pytest.fixture(autouse=True)
def _saved_pictures_are_empty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose each picture but save it empty, except in tests of pictures: drawing takes as long as a small run."""
    if "reports" in request.path.parts or request.node.get_closest_marker("pictures"):
        return
    from matplotlib.figure import Figure

    save = Figure.savefig

    def save_empty(figure: Figure, *arguments: Any, **options: Any) -> None:
        figure.clear()
        figure.set_layout_engine("none")
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save_empty)


@pytest.fixture(autouse=True)
def _away_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own folder, since runs write to ./outputs, and W&B no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def compose() -> Iterator[Callable[..., DictConfig]]:
    """Compose a tiny training config with overrides on top."""
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        yield lambda *overrides: hydra.compose("train", overrides=[*TINY, *overrides])


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `intrinsic-clip …` in this process; returns the exit code."""

    def run(*arguments: str) -> int:
        from intrinsic_clip.cli import program

        monkeypatch.setattr("sys.argv", ["intrinsic-clip", *arguments])
        try:
            program.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.fixture
def wandb_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Point W&B, which reads its environment once, to a service."""
    import wandb

    def point(url: str) -> None:
        wandb.teardown()
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)

    yield point
    wandb.teardown()

"""Fixtures that compose and run small trainings."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors lose by threads, which wait for busy cores

from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig

from helpers.tiny_runs import TINY
from intrinsic_clip import config


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

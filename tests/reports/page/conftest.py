"""Finished runs that the tests of pages share, trained once."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest

from helpers.tiny_runs import TINY
from intrinsic_clip import config
from intrinsic_clip.training.train import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Train runs below a new folder: `run(*runs)`, a list of overrides for each, returns the folder."""

    def trained(*runs: list[str]) -> Path:
        folder = tmp_path_factory.mktemp("outputs")
        with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
            for overrides in runs:
                train(hydra.compose("train", overrides=[*TINY, *overrides, f"output_dir={folder}"]))
        return folder

    return trained


@pytest.fixture(scope="session")
def sweep(run: Callable[..., Path]) -> Path:
    """Train two output dimensions × two noises × three repetitions, in two runs."""
    axes = ["replicates=3", "encoder.output_dim=[2,4]"]
    return run(axes, [*axes, "data.noise=0.5"])


@pytest.fixture(scope="session")
def lone(run: Callable[..., Path]) -> Path:
    """Train one run."""
    return run([])

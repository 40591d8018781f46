"""Small pieces of work that write files, and the numbers that they must end with however often they are disturbed."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig

from helpers.tar_files import write_shards
from helpers.tiny_runs import TINY, without_time
from intrinsic_clip import config
from intrinsic_clip.runs.results import completed_or_damage

FEW_PROBES = [
    "~probes.matching", "~probes.alignment", "~probes.information", "~probes.similarity", "~probes.examples",
    "probes.dimension.in_sample=false", "probes.dimension.k=5",
]  # fmt: skip
RUN = [
    *TINY, "data.n_train=128", "data.n_append=32", "data.n_test=40", "trainer.max_epochs=2", *FEW_PROBES,
]  # fmt: skip
STREAM = [
    "data=webdataset", 'data.shards="set/{00000..00001}.tar"', "data.n_append=4", "data.n_test=16", "data.batch_size=4",
    "data.image_size=16", "data.shuffle=6", "data.workers=0", "encoder=pixels_and_tokens", "encoder.image_width=8",
    "encoder.image_stages=2", "encoder.text_width=32", "encoder.text_layers=1", "encoder.output_dim=4",
    "trainer.max_epochs=2", "logger=csv", "progress=false", "threads=1", "checkpoint_seconds=0",
    *FEW_PROBES,
]  # fmt: skip
ROWS, WIDTH, BATCH = 40, 6, 7


@dataclass
class Scenario:
    """Work in a folder that can be started again.

    Attributes:
        name: of the scenario.
        work: does it in the working folder.
        prepare: writes the input to a folder; called once.
        spoil: changes what a power cut may change beside unsynced files.
    """

    name: str
    work: Callable[[], object]
    prepare: Callable[[Path], object] = field(default=lambda folder: None)
    spoil: Callable[[Path], object] = field(default=lambda folder: None)


@cache
def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name; configs are composed now, since that takes longer than the work."""
    listed = [
        Scenario("run", training(*RUN)),
        Scenario("chunks", training(*RUN, "trainer.max_epochs=1", "replicates=2", "replicates_per_chunk=1")),
        Scenario("stream", training(*STREAM), write_stream),
        Scenario("features", compute_features, spoil=spoil_features),
        Scenario("measure", measuring("x=x.npy", "y=y.npy"), write_arrays),
        Scenario("sweep", sweeping(*RUN, "trainer.max_epochs=1", "--multirun", "seed=0,1")),
    ]
    return {scenario.name: scenario for scenario in listed}


def composed(verb: str, *overrides: str) -> DictConfig:
    """Return the config of a verb."""
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        return hydra.compose(verb, overrides=list(overrides))


def training(*overrides: str) -> Callable[[], object]:
    """Return the verb `train` with a config that is composed already."""
    cfg = composed("train", *overrides)

    def work() -> None:
        from intrinsic_clip.cli.one_line import in_one_line
        from intrinsic_clip.training.train import train

        do_little()
        with in_one_line():
            train(cfg)

    return work


def measuring(*overrides: str) -> Callable[[], object]:
    """Return the verb `measure` with a config that is composed already."""
    cfg = composed("measure", *overrides, "progress=false", "estimators=[mle,twonn]", "k=5")

    def work() -> None:
        from intrinsic_clip.cli.one_line import in_one_line
        from intrinsic_clip.measurement.command import measure

        with in_one_line("measure"):
            measure(cfg)

    return work


def sweeping(*arguments: str) -> Callable[[], object]:
    """Return a sweep by the command line, since Hydra plans it."""

    def work() -> None:
        from intrinsic_clip.cli import program

        do_little()
        sys.argv = ["intrinsic-clip", "train", *arguments]
        program.main()

    return work


def do_little() -> None:
    """Draw an empty picture and ask git nothing: both take as long as all the rest of a small run."""
    from matplotlib.figure import Figure

    from intrinsic_clip.reports import run_picture
    from intrinsic_clip.runs import versions

    run_picture.run_figure = lambda *_: Figure(figsize=(0.2, 0.2))
    versions.versions = lambda *_: {"torch": "any"}


def write_stream(folder: Path) -> None:
    """Write two small shards."""
    write_shards(folder / "set", [16, 16])


def write_arrays(folder: Path) -> None:
    """Write two paired arrays."""
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(80, 3))
    for name in "xy":
        np.save(folder / f"{name}.npy", (shared @ draw.normal(size=(3, 5))).astype(np.float32))


def compute_features() -> None:
    """Compute an array of rows batch by batch, and save after each."""
    import torch

    from intrinsic_clip.cli.one_line import in_one_line
    from intrinsic_clip.data.features import row_cache

    def batch(start: int, stop: int) -> tuple[Any, Any]:
        rows = torch.arange(start, stop).float()[:, None]
        return (rows * torch.arange(1.0, WIDTH + 1)).sin(), (rows + torch.arange(3.0)).cos()

    row_cache.SAVE_SECONDS = 0
    with in_one_line():
        x, y = row_cache.load_or_compute_rows(Path("features"), ROWS, BATCH, lambda: batch, "features")
    whole = [side.numpy() for side in batch(0, ROWS)]
    if not (np.array_equal(x, whole[0]) and np.array_equal(y, whole[1])):
        raise AssertionError("other features were returned than were computed")


def spoil_features(folder: Path) -> None:
    """Overwrite the rows that are not counted as saved: a power cut may leave anything there."""
    progress = folder / "features" / "progress.json"
    done = json.loads(progress.read_text())["rows"] if progress.exists() else 0
    for name, width in (("x", WIDTH), ("y", 3)):
        path = folder / "features" / f"{name}.npy"
        if path.exists() and path.stat().st_size == 128 + ROWS * width * 4:
            with path.open("r+b") as file:
                file.seek(128 + done * width * 4)
                file.write(b"\xa5" * ((ROWS - done) * width * 4))


def numbers(folder: Path) -> dict[str, Any]:
    """Return all that must be the same after any disturbance, by file."""
    by_file: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name in ("results.json", "measure.json"):
            completed, _ = completed_or_damage(path.parent, path.name)
            assert completed is not None, path
            left_out = ("config", "seconds")  # `output_dir` may differ, and so may times
            by_file[name] = {k: v for k, v in without_time(completed).items() if k not in left_out}
        elif path.is_file() and path.name in ("metrics.csv", "embeddings.safetensors", "x.npy", "y.npy"):
            by_file[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return by_file


def left_over(folder: Path) -> list[str]:
    """Return files that only a process at work may have: temporary ones, and locks."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith(".tmp") or path.name == "lock"
    ]

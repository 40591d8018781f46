"""`intrinsic-clip train data=webdataset`: killed within an epoch, in two processes, and with the default probes."""

import signal
import warnings
from pathlib import Path

import pytest

from helpers.between_epochs import killed_between_epochs
from helpers.ranks import in_ranks, succeeded
from helpers.tar_files import place_in, write_shards
from helpers.tiny_runs import files_below, struck, tiny_open_clip
from intrinsic_clip.runs import results
from soak.warm_children import command_line as program

pytestmark = pytest.mark.slow

DATA = [
    "data=webdataset",
    "data.n_append=8",
    "data.n_test=30",
    "data.batch_size=8",
    "data.image_size=16",
    "data.shuffle=20",
    "trainer.max_epochs=2",
    "logger=csv",
    "progress=false",
    "threads=1",
]
TOWERS = [
    "encoder=pixels_and_tokens",
    "encoder.image_width=8",
    "encoder.image_stages=2",
    "encoder.text_width=32",
    "encoder.text_layers=1",
    "encoder.output_dim=4",
]


def train_on(shards: str, *overrides: str) -> list[str]:
    return [*DATA, *TOWERS, f'data.shards="{shards}"', *overrides]


def finished(folder: Path) -> dict:
    completed = results.read_completed(folder)
    assert completed is not None
    return completed


def test_the_default_probes_measure_what_is_held_out(tmp_path: Path, command_line) -> None:
    shards = write_shards(tmp_path / "set", [40, 40])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="pytorch_lightning|torch")
        warnings.filterwarnings("ignore", "id/.*: 30 rows are too few")
        assert command_line("train", *train_on(shards, "data.workers=0", "trainer.max_epochs=1")) == 0
    completed = finished(next(tmp_path.glob("outputs/custom/*")))
    assert not [name for name in completed["metrics"] if "in_sample" in name]
    assert completed["reasons"] == {}
    assert all(value is not None for metric in completed["metrics"].values() for value in metric["values"])


@pytest.mark.long
def test_killed_within_an_epoch_resumes_with_the_next_sample(tmp_path: Path, command_line, capsys) -> None:
    shards = write_shards(tmp_path / "set", [90, 5, 105, 88], spoilt=frozenset([100]))
    settings = train_on(shards, "data.epoch_batches=40")
    killed = struck(tmp_path, 17, signal.SIGKILL, *settings, "checkpoint_seconds=0")
    assert killed.code == -signal.SIGKILL, killed.err
    (checkpoint,) = tmp_path.glob("outputs/custom/*/last.ckpt")
    place = place_in(checkpoint)
    assert (place["epoch"], 0 < place["whole"] < 40) == (0, True)

    assert command_line("train", *settings) == 0
    assert command_line("train", *settings, "output_dir=whole") == 0
    resumed, whole = (finished(next(tmp_path.glob(f"{top}/custom/*"))) for top in ("outputs", "whole"))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]
    for name in ("metrics.csv", "embeddings.safetensors"):
        one, other = (next(tmp_path.glob(f"{top}/custom/*/{name}")) for top in ("outputs", "whole"))
        assert one.read_bytes() == other.read_bytes(), name
    reports = [line for line in capsys.readouterr().err.splitlines() if "samples skipped" in line]
    assert len(reports) == 2
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    "length", [["trainer.max_epochs=3"], ["trainer.max_epochs=-1", "+trainer.max_steps=8"]]
)
def test_killed_between_epochs_resumes_with_the_next_epoch(
    tmp_path: Path, command_line, length: list[str]
) -> None:
    shards = write_shards(tmp_path / "set", [50, 40])
    settings = train_on(shards, "data.epoch_batches=3", "data.workers=0", "checkpoint_seconds=0", *length)
    assert command_line("train", *settings, "output_dir=whole") == 0
    with killed_between_epochs(1):
        assert command_line("train", *settings) == 130
    assert command_line("train", *settings) == 0
    resumed, whole = (finished(next(tmp_path.glob(f"{top}/custom/*"))) for top in ("outputs", "whole"))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]
    one, other = (next(tmp_path.glob(f"{top}/custom/*/metrics.csv")) for top in ("outputs", "whole"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.long
def test_two_processes_measure_what_one_does(tmp_path: Path, command_line) -> None:
    """With one batch per epoch both see the same rows in it, in any order."""
    shards = write_shards(tmp_path / "set", [50, 2, 50])
    tiny_open_clip(tmp_path / "tiny", width=48)
    model = ["encoder=open_clip", "encoder.model=tiny", "encoder.trainable=all", "data.image_size=32"]
    epochs = ["data.batch_size=64", "data.workers=1", "trainer.max_epochs=5", "optimizer.lr=1e-3"]
    settings = [*DATA, *model, *epochs, f'data.shards="{shards}"', "objective/similarity=cosine"]
    two = [*settings, "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=5", "output_dir=two"]
    assert succeeded(in_ranks(2, tmp_path, lambda: program(["train", *two])))
    assert command_line("train", *settings) == 0
    shared, alone = (finished(next(tmp_path.glob(f"{top}/custom/*"))) for top in ("two", "outputs"))
    assert shared["metrics"].keys() == alone["metrics"].keys()
    for name, metric in alone["metrics"].items():
        assert shared["metrics"][name]["mean"] == pytest.approx(metric["mean"], rel=1e-3, abs=1e-4), name
    assert shared["config"]["trainer"]["devices"] == 2


@pytest.mark.parametrize("sizes", [[300], [100] * 3])
def test_too_many_bad_samples_stop_the_run_before_anything_is_written(
    tmp_path: Path, command_line, capsys, sizes: list[int]
) -> None:
    shards = write_shards(tmp_path / "set", sizes, spoilt=frozenset(range(0, 300, 10)))
    before = files_below(tmp_path)
    assert command_line("train", *train_on(shards)) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "30 of 300 samples cannot be used, more than data.max_bad=0.01 allows; the first: " in error[0]
    assert error[0].count("(corrupt image)") == 5
    assert files_below(tmp_path) == before

"""metrics.csv is quoted, keeps enough steps, and begins with what it held at the checkpoint, or is named as damaged."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loggers.replicated import log_steps
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.results import read_metrics
from intrinsic_clip.runs.sealed import Damaged

NAMES = [
    "loss",
    "label_a,b/x",
    'label_"c"/x',
    "label_d\ne/x",
    "label_f\r\ng/x",
    "label_größe/x",
    " h ",
    "label_\u2028/x",
]


def test_names_with_commas_quotes_and_new_lines_are_read_as_they_are(tmp_path) -> None:
    file = MetricsFile(str(tmp_path))
    file.log_metrics({name: float(i) for i, name in enumerate(NAMES)}, step=3)
    replicates = Replicates((4, 7))
    file.log_each({name: torch.tensor([[1.0, 2.0]]) for name in NAMES}, replicates, [5], epoch=1)
    file.save()
    table = read_metrics(tmp_path)
    assert table[table.step == 3].metric.tolist() == NAMES
    assert table[table.step == 3].value.tolist() == list(range(len(NAMES)))
    later = table[table.step == 5]
    assert later.metric.tolist() == [name for name in NAMES for _ in "12"]
    assert later.replicate.tolist() == [4, 7] * len(NAMES)
    assert later.value.tolist() == [1, 2] * len(NAMES)


def test_plain_rows_are_written_as_ever(tmp_path) -> None:
    file = MetricsFile(str(tmp_path))
    file.log_metrics({"loss": 0.1 + 0.2, "epoch": 0, "name": "ignored"}, step=1)
    file.log_metrics({"id/mle/x": 5}, step=None)
    file.save()
    assert (tmp_path / "metrics.csv").read_text() == (
        "step,epoch,metric,output_dim,replicate,value\n1,0,loss,,,0.30000000000000004\n,,id/mle/x,,,5\n"
    )


def _begun(folder) -> tuple[int, str]:
    """Write two epochs, the second after the checkpoint; return size and checksum at the checkpoint."""
    file = MetricsFile(str(folder))
    file.log_metrics({"loss": 1.5, "epoch": 0}, step=1)
    checkpoint = file.flush(), file.sha256
    file.log_metrics({"loss": 0.5, "epoch": 1}, step=2)
    file.save()
    return checkpoint


def test_it_is_cut_back_and_continued_with_the_same_checksum(tmp_path) -> None:
    size, sha256 = _begun(tmp_path)
    whole = (tmp_path / "metrics.csv").read_bytes()
    again = MetricsFile(str(tmp_path))
    again.truncate(size, sha256)
    assert (tmp_path / "metrics.csv").read_bytes() == whole[:size]
    again.log_metrics({"loss": 0.5, "epoch": 1}, step=2)
    again.flush()
    assert (tmp_path / "metrics.csv").read_bytes() == whole
    other = MetricsFile(str(tmp_path))
    assert (other.flush(), other.sha256) == (len(whole), again.sha256)


@pytest.mark.parametrize("change", ["shorter", "empty", "gone", "flipped", "edited and longer"])
def test_a_file_that_does_not_begin_as_at_the_checkpoint_is_damaged_and_never_filled_up(
    tmp_path, change
) -> None:
    size, sha256 = _begun(tmp_path)
    path = tmp_path / "metrics.csv"
    whole = path.read_bytes()
    changes = {
        "shorter": whole[: size - 1],
        "empty": b"",
        "flipped": whole[: size - 2] + b"7" + whole[size - 1 :],
        "edited and longer": whole.replace(b"1.5", b"1.25"),
    }
    path.write_bytes(changes.get(change, b""))
    if change == "gone":
        path.unlink()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(
        Damaged, match=r"metrics.csv: damaged \(.*\); delete it and last.ckpt to train the run anew"
    ):
        MetricsFile(str(tmp_path)).truncate(size, sha256)
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_checkpoint_of_version_0_knows_the_size_alone(tmp_path) -> None:
    size, _ = _begun(tmp_path)
    with pytest.raises(Damaged, match=r"damaged \(100 bytes shorter than at the last checkpoint\)"):
        MetricsFile(str(tmp_path)).truncate(len((tmp_path / "metrics.csv").read_bytes()) + 100)
    MetricsFile(str(tmp_path)).truncate(size)
    assert len((tmp_path / "metrics.csv").read_bytes()) == size
    MetricsFile(str(tmp_path / "new")).truncate(0)


def test_a_full_disk_names_the_file(tmp_path) -> None:
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    file = MetricsFile(str(tmp_path))
    file.log_metrics({"loss": 1.5}, step=1)
    with pytest.raises(OSError, match=r"No space left on device: '.*metrics.csv'"):
        file.flush()


@pytest.mark.parametrize(
    ("replicates", "apart", "kept"),
    [
        (1, 1, range(1, 2001)),
        (8, 1, range(8, 2001, 8)),
        (8, 100, range(100, 2001, 100)),
        (7, 100, range(100, 2001, 100)),
        (5, 2, [n + n % 2 for n in range(5, 2001, 5)]),
    ],
)
def test_steps_that_are_far_apart_already_are_not_thinned_out_again(
    tmp_path, replicates: int, apart: int, kept: Sequence[int]
) -> None:
    """Of every 100th step only those were kept that 8 or 7 divides too."""
    file, steps = MetricsFile(str(tmp_path)), range(apart, 2001, apart)
    trainer = SimpleNamespace(
        loggers=[file], current_epoch=0, estimated_stepping_batches=2000, train_dataloader=None
    )
    module = SimpleNamespace(replicates=Replicates(tuple(range(replicates))))
    log_steps(trainer, module, {"loss": torch.zeros(len(steps), replicates)}, steps, apart=apart)
    file.save()
    assert read_metrics(tmp_path).query("replicate == 0").step.tolist() == list(kept)

"""Chunks are few and of even size, and running out of memory names the setting that helps."""

from itertools import chain
from typing import Any

import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import results
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training import finish, fit
from intrinsic_clip.training.build import Training
from intrinsic_clip.training.chunks import check_finished, groups
from intrinsic_clip.training.finish import gather_results
from intrinsic_clip.training.train import train


@pytest.mark.parametrize(
    ("most", "expected"), [(None, [5]), (9, [5]), (5, [5]), (4, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5)]
)
def test_groups(most: int | None, expected: list[int]) -> None:
    chunks = groups([3, 4, 5, 8, 9], most)
    assert [len(chunk) for chunk in chunks] == expected
    assert list(chain(*chunks)) == [3, 4, 5, 8, 9]


def test_a_chunk_that_is_done_is_checked_before_the_others_are_trained(tmp_path) -> None:
    for name in ("metrics.csv", "embeddings.safetensors"):
        (tmp_path / name).write_bytes(b"as it was written")
    results.write_results(tmp_path, {"status": "completed"}, files=("metrics.csv", "embeddings.safetensors"))
    check_finished(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"as it was wrItten")
    with pytest.raises(
        ConfigError, match=r"metrics.csv: damaged .*; delete the folder to train the run anew"
    ):
        check_finished(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(ConfigError, match=r"metrics.csv: missing; delete the folder to train the run anew"):
        check_finished(tmp_path)


@pytest.mark.slow
def test_out_of_memory_says_what_takes_less(tmp_path, compose, monkeypatch) -> None:
    def exhausted(*args: object) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: 9 bytes"
        )

    monkeypatch.setattr(fit, "fit_and_test", exhausted)
    with pytest.raises(
        ConfigError, match="out of memory with 8 replicates side by side; replicates_per_chunk=4"
    ):
        train(compose("replicates=8"))
    with pytest.raises(RuntimeError, match="allocate memory"):  # one training cannot be divided
        train(compose())


@pytest.mark.slow
def test_chunks_of_unequal_size_keep_the_same_steps(tmp_path, compose) -> None:
    train(compose("replicates=3", "replicates_per_chunk=2", "trainer.max_epochs=4"))
    (folder,) = tmp_path.glob("outputs/custom/*")
    metrics = results.read_metrics(folder)
    kept = metrics[metrics["metric"] == "temperature"].groupby("replicate")["step"].agg(list)
    assert len(kept) == 3
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) >= 10


@pytest.mark.slow
def test_reasons_and_notes_of_all_chunks_are_kept(tmp_path, compose, monkeypatch) -> None:
    def gathered(spec: RunSpec, training: Training, timings: dict[str, Any]) -> dict[str, Any]:
        gathered = gather_results(spec, training, timings)
        reasons = {"temperature": f"none of {spec.replicates}"}
        first = {"id_mle/x": "too few"} if 0 in (spec.replicates.indices or ()) else {}
        return {**gathered, "reasons": reasons | first, "notes": ["common", *first.values()]}

    monkeypatch.setattr(finish, "gather_results", gathered)
    completed = train(compose("replicates=5", "replicates_per_chunk=2", "trainer.max_epochs=1"))
    assert completed["reasons"] == {
        "temperature": "chunks of replicates 0, 1 | 2, 3: none of 2 replicates; "
        "chunk of replicates 4: none of 1 replicate",
        "id_mle/x": "chunk of replicates 0, 1: too few",
    }
    assert completed["notes"] == ["each chunk: common", "chunk of replicates 0, 1: too few"]


@pytest.mark.slow
def test_the_setting_is_no_part_of_the_address(tmp_path, compose) -> None:
    few = ("replicates=2", "trainer.max_epochs=1")
    first = train(compose(*few, "replicates_per_chunk=1"))
    assert train(compose(*few)) == first
    assert len(list(tmp_path.glob("outputs/custom/*"))) == 1

"""Read finished runs: lone, with replicates, with several output dimensions, damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs import Run
from intrinsic_clip.runs.stored_embeddings import join_embeddings, write_embeddings
from intrinsic_clip.training.train import train

N, K = 6, 2
HEADER = "step,epoch,metric,output_dim,replicate,value\n"


def write_run(folder: Path, replicates=None, output_dim=4, **arrays: np.ndarray) -> Run:
    """Write the files of a finished run and read them."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"seed": 0, "replicates": replicates, "encoder": {"output_dim": output_dim}}
    results = {"status": "completed", "config": config, "metrics": {"loss": {"mean": 1.0}}}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "metrics.csv").write_text(HEADER + "1,0,loss,,,2.5\n2,0,loss,,,1.5\n")
    if arrays:
        save_file(arrays, folder / "embeddings.safetensors")
    return Run.load(folder)


def representations(
    *shape: int, labels: bool = False, z_shape: tuple[int, ...] = ()
) -> dict[str, np.ndarray]:
    """Draw x, y, x_raw and y_raw of a shape, and z of another."""
    draw = np.random.default_rng(0)
    arrays = {name: draw.normal(size=shape).astype(np.float32) for name in ("x", "y", "x_raw", "y_raw")}
    if z_shape:
        arrays["z"] = draw.normal(size=z_shape)
    if labels:
        arrays["label_kind"] = np.arange(shape[-2])
    return arrays


@pytest.mark.slow
def test_a_trained_run_is_read_whole(tmp_path, compose) -> None:
    returned = train(compose("data.n_test=60"))
    (folder,) = tmp_path.glob("outputs/custom/*")
    run = Run.load(str(folder))
    assert run.folder == folder
    assert run.metrics == returned["metrics"]
    assert (run.settings["encoder"]["output_dim"], run.output_dim) == (6, 6)
    assert len(run.replicates) == 1
    history = run.history()
    assert history[history.metric == "loss"].step.tolist() == list(range(1, 49))
    stored = load_file(folder / "embeddings.safetensors")
    embeddings = run.embeddings()
    for name in ("x", "y", "x_raw", "y_raw", "z"):
        assert np.array_equal(getattr(embeddings, name), stored[name])
    assert embeddings.labels == {}


def test_a_lone_run_has_one_embedding_with_labels_and_latent(tmp_path) -> None:
    arrays = representations(N, 4, labels=True, z_shape=(N, K))
    run = write_run(tmp_path, **arrays)
    assert list(run.kept_embeddings) == [(None, None)]
    for embeddings in (run.embeddings(), run.embeddings(d=4), run.embeddings(replicate=0)):
        assert np.array_equal(embeddings.x_raw, arrays["x_raw"])
        assert np.array_equal(embeddings.z, arrays["z"])
        assert embeddings.labels["kind"].tolist() == list(range(N))


@pytest.mark.parametrize("z_shape", [(N, K), (3, N, K)])
def test_each_replicate_has_its_own_rows_and_its_own_latent_or_a_shared_one(tmp_path, z_shape) -> None:
    arrays = representations(3, N, 4, z_shape=z_shape)
    run = write_run(tmp_path, replicates=[5, 6, 9], **arrays)
    assert list(run.kept_embeddings) == [(None, 5), (None, 6), (None, 9)]
    embeddings = run.embeddings(replicate=9)
    assert np.array_equal(embeddings.y, arrays["y"][2])
    assert np.array_equal(embeddings.z, arrays["z"] if len(z_shape) == 2 else arrays["z"][2])
    assert np.array_equal(run.embeddings().x, arrays["x"][0])


def test_narrow_output_dimensions_are_trimmed(tmp_path) -> None:
    arrays = representations(2, 3, N, 5, z_shape=(3, N, K))
    for name in ("x", "y", "x_raw", "y_raw"):
        arrays[name][0, ..., 2:] = 0  # the widest has 5
    run = write_run(tmp_path, replicates=3, output_dim=[2, 5], **arrays)
    assert run.output_dim is None
    assert list(run.kept_embeddings) == [(d, r) for d in (2, 5) for r in range(3)]
    narrow, wide = run.embeddings(d=2, replicate=1), run.embeddings(d=5, replicate=1)
    assert np.array_equal(narrow.x, arrays["x"][0, 1, :, :2])
    assert np.array_equal(wide.x, arrays["x"][1, 1])
    assert np.array_equal(narrow.z, arrays["z"][1])
    assert np.array_equal(wide.z, arrays["z"][1])


def test_of_large_embeddings_the_first_replicate_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("intrinsic_clip.runs.stored_embeddings.MAX_BYTES", 100)
    arrays = representations(2, 3, N, 5, labels=True, z_shape=(3, N, K))
    run = write_run(tmp_path, replicates=3, output_dim=[2, 5])
    write_embeddings(tmp_path, arrays, replicated=True)
    assert list(run.kept_embeddings) == [(2, 0), (5, 0)]
    assert np.array_equal(run.embeddings(d=5).y, arrays["y"][1, 0])
    assert np.array_equal(run.embeddings(d=5).z, arrays["z"][0])
    assert len(run.embeddings().labels["kind"]) == N
    with pytest.raises(
        ConfigError, match="no embeddings of d=5 replicate=1 were kept, only those of d=2 replicate=0, "
    ):
        run.embeddings(d=5, replicate=1)


def test_chunks_are_joined_in_their_order(tmp_path) -> None:
    arrays = representations(2, 3, N, 5, labels=True, z_shape=(3, N, K))
    folders = [tmp_path / "0", tmp_path / "1"]
    for folder, chosen in zip(folders, (slice(0, 2), slice(2, 3)), strict=True):
        folder.mkdir()
        part = {k: v if k == "label_kind" else v[..., chosen, :, :] for k, v in arrays.items()}
        write_embeddings(folder, part, replicated=True)
    run = write_run(tmp_path, replicates=3, output_dim=[2, 5])
    join_embeddings(folders, tmp_path)
    assert np.array_equal(run.embeddings(d=5, replicate=2).x_raw, arrays["x_raw"][1, 2])
    assert np.array_equal(run.embeddings(d=5, replicate=2).z, arrays["z"][2])
    assert run.embeddings().labels["kind"].tolist() == list(range(N))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "embeddings.safetensors: no such file or directory"),
        (b"damaged", "embeddings.safetensors: damaged "),
        (b"", "embeddings.safetensors: damaged "),
        ({"x": np.zeros((N, 4))}, "embeddings.safetensors: damaged, or of another run "),
        (representations(5, N, 4), "embeddings.safetensors: damaged, or of another run "),
    ],
)
def test_a_spoilt_embeddings_file_is_one_line(tmp_path, content, reason) -> None:
    arrays = content if isinstance(content, dict) else {}
    run = write_run(tmp_path, replicates=2, **arrays)
    if isinstance(content, bytes):
        (tmp_path / "embeddings.safetensors").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        run.embeddings()
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "metrics.csv: no such file or directory"),
        (b"", "metrics.csv: damaged "),
        (b"\xff\xfe\x00", "metrics.csv: damaged "),
        (HEADER.encode() + b"1,0,loss,,,2.5,7,8\n2,0\n1,2,3,4,5,6,7,8,9,10\n", "metrics.csv: damaged "),
        (b"step,metric\n1,loss\n", "metrics.csv: damaged (no column epoch)"),
    ],
)
def test_a_spoilt_metrics_file_is_one_line(tmp_path, content, reason) -> None:
    run = write_run(tmp_path)
    assert run.history().value.tolist() == [2.5, 1.5]
    (tmp_path / "metrics.csv").unlink()
    if content is not None:
        (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        run.history()
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "unfinished"),
        ({"config.yaml": "seed: 0"}, "unfinished"),
        ({"failed.txt": "out of memory\n"}, "failed (out of memory)"),
        ({"results.json": '{"status": "running"}'}, "unfinished"),
        ({"results.json": '{"status": "comp'}, "results.json is damaged (JSONDecodeError"),
        ({"results.json": "[1, 2]"}, "results.json is damaged (TypeError"),
        ({"results.json": '{"status": "completed", "config": {}}'}, "results.json is damaged (KeyError"),
        ({"results.json": '{"status": "completed", "config": {"replicates": 1}, "metrics": 3}'}, "results.json is "),
    ],
)  # fmt: skip
def test_a_run_without_results_says_why(tmp_path, files, reason) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(Unfinished) as raised:
        Run.load(tmp_path)
    assert str(raised.value).startswith(reason)
    assert "\n" not in str(raised.value)

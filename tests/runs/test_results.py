"""Files and address of a run, and many runs as one table."""

import importlib.metadata
import json
import math

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import intrinsic_clip
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.runs import addresses, results, tidy_table, versions
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow


def test_the_address_is_the_content(compose) -> None:
    def address(*overrides: str) -> str:
        return addresses.fingerprint(resolve(compose(*overrides)))

    assert address() == address()
    for other in (
        "output_dir=elsewhere",
        "logger=both",
        "threads=2",
        "progress=true",
        "trainer.devices=2",
        "trainer=gpu",
        "objective.chunk=16",
        "objective.local_block=true",
        "recipe=paper",
    ):
        assert address() == address(other, "trainer.max_epochs=6"), other
    for other in (
        "seed=1",
        "encoder.output_dim=7",
        "data.noise=0.1",
        "trainer.max_epochs=7",
        "trainer.precision=bf16-mixed",
        "optimizer.lr=1e-4",
        "shuffle=true",
        "schedule=one_cycle",
    ):
        assert address() != address(other), other
    earlier = {key: value for key, value in resolve(compose()).items() if key not in ("shuffle", "recipe")}
    assert addresses.fingerprint(earlier) == address()


@pytest.mark.pictures
def test_what_a_run_leaves(tmp_path, compose) -> None:
    returned = train(compose("logger=both"))
    folder = next(tmp_path.glob("outputs/custom/*"))
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "results.json", "metrics.csv", "embeddings.safetensors", "last.ckpt", "run.png", "wandb",
    }  # fmt: skip
    written = json.loads((folder / "results.json").read_text())
    seal = {key: written.pop(key) for key in ("format", "checksum")}
    assert seal["format"] == 1
    assert len(seal["checksum"]) == 64
    assert written == results.read_completed(folder) == json.loads(json.dumps(returned))
    assert set(written["files"]) == {"metrics.csv", "embeddings.safetensors"}
    assert written["versions"]["torch"] == torch.__version__.partition("+")[0] or written["versions"]["torch"]
    for name in (
        "id/mle/x",
        "id/twonn/y",
        "matching/top_1/x_to_y",
        "matching/top_0.5pct/y_to_x",
        "temperature",
    ):
        assert len(written["metrics"][name]["values"]) == 1
        assert written["metrics"][name]["std"] is None
    assert len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")

    embeddings = load_file(folder / "embeddings.safetensors")
    assert embeddings["x"].shape == embeddings["y_raw"].shape == (100, 6)
    assert embeddings["z"].shape == (100, 5)


def test_final_numbers_are_those_of_the_saved_embeddings(tmp_path, compose) -> None:
    import skdim

    written = train(compose())["metrics"]
    embeddings = load_file(next(tmp_path.glob("outputs/custom/*/embeddings.safetensors")))
    for side in "xy":
        points = embeddings[side].double().numpy()
        assert written[f"id/mle/{side}"]["mean"] == pytest.approx(
            skdim.id.MLE().fit(points).dimension_, rel=1e-4
        )
        assert written[f"id/twonn/{side}"]["mean"] == pytest.approx(
            skdim.id.TwoNN().fit(points).dimension_, rel=1e-4
        )
    similarity = embeddings["x_raw"].double() @ embeddings["y_raw"].double().T
    hits = (similarity.argmax(1) == torch.arange(100)).double().mean()
    assert written["matching/top_1/x_to_y"]["mean"] == pytest.approx(float(hits))


def test_metrics_over_time(tmp_path, compose) -> None:
    train(compose())
    metrics = results.read_metrics(next(tmp_path.glob("outputs/custom/*")))
    loss = metrics[metrics.metric == "loss"]
    assert loss.step.tolist() == list(range(1, 6 * 8 + 1))
    assert metrics[metrics.metric == "id/mle/x"].step.tolist() == [0, 16, 32, 48]
    assert not metrics.duplicated(["step", "metric"]).any()
    temperature = metrics[metrics.metric == "temperature"].value.to_numpy()
    assert temperature[0] == pytest.approx(1.0001)
    assert temperature[-1] < 0.9


def test_collect_gives_a_row_per_run_and_metric_of_finished_runs(tmp_path, compose) -> None:
    for d in (3, 6):
        train(compose(f"encoder.output_dim={d}"))
    unfinished = tmp_path / "outputs" / "custom" / "unfinished"
    unfinished.mkdir()
    (unfinished / "results.json").write_text('{"status": "running"}')
    with pytest.warns(UserWarning, match="unfinished is left out"):
        table = tidy_table.collect(tmp_path / "outputs")
    chosen = table[table.metric == "id/mle/x"]
    assert sorted(chosen["encoder.output_dim"]) == [3, 6]
    assert table.run.nunique() == 2
    assert tidy_table.collect(tmp_path / "nothing").empty
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"results.json": '{"status": "comp'}, "results.json is damaged"),
        ({"results.json": "[1, 2]"}, "results.json is damaged"),
        ({"results.json": '{"status": "completed", "config": {}, "metrics": 3}'}, "results.json is damaged"),
        ({"results.json": b"\xff\xfe"}, "results.json is damaged"),
        ({"config.yaml": "seed: 0"}, "unfinished"),
        ({"failed.txt": "out of memory", "config.yaml": "seed: 0"}, "failed \\(out of memory\\)"),
    ],
)
def test_collect_names_what_it_leaves_out(tmp_path, files, reason) -> None:
    config = {"seed": 3, "replicates": 2, "encoder": {}}
    good = {"status": "completed", "config": config, "metrics": {"loss": {"values": [1.0, 2.0]}}}
    for run in ("good", "bad", "good/chunks/0", "chunks/0"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "results.json").write_text(json.dumps(good))
    (tmp_path / "bad" / "results.json").unlink()
    for name, content in files.items():
        (tmp_path / "bad" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.warns(UserWarning, match=f"bad is left out: {reason}"):
        table = tidy_table.collect(tmp_path)
    assert table.run.unique().tolist() == [str(tmp_path / "good")]
    assert table.value.tolist() == [1.0, 2.0]


def test_collect_of_nothing_has_the_columns_of_every_table(tmp_path) -> None:
    assert tidy_table.collect(tmp_path).columns.tolist() == [
        "run",
        "name",
        "seed",
        "replicate",
        "metric",
        "value",
    ]


def test_summaries_of_replicates_and_nan() -> None:
    summary = results.summarise(torch.tensor([1.0, 3.0]))
    assert summary == {"mean": 2.0, "std": pytest.approx(math.sqrt(2)), "values": [1.0, 3.0]}
    assert results.summarise(torch.tensor(math.nan)) == {"mean": None, "std": None, "values": [None]}


def test_one_output_dimension_has_intrinsic_dimension_one(compose) -> None:
    metrics = train(compose("encoder.output_dim=1"))["metrics"]
    assert metrics["id/mle/x"]["mean"] == metrics["id/twonn/y"]["mean"] == 1


@pytest.mark.parametrize(
    "overrides", [["objective/similarity=cosine"], ["objective/temperature=fixed"], ["encoder=linear"]]
)
def test_other_choices_train(compose, overrides) -> None:
    metrics = train(compose(*overrides))["metrics"]
    assert metrics["loss"]["mean"] < math.log(64)
    if "objective/temperature=fixed" in overrides:
        assert metrics["temperature"]["mean"] == pytest.approx(0.1)


def test_versions_of_a_checkout_that_is_not_installed_and_of_packages_that_are_missing(monkeypatch) -> None:
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert versions.versions()["intrinsic-clip"] == intrinsic_clip.__version__
    assert versions.versions()["wandb"] is None


def test_the_commit_is_the_checkouts_or_else_what_the_environment_says(monkeypatch) -> None:
    monkeypatch.setenv("INTRINSIC_CLIP_COMMIT", "a" * 40)
    in_checkout = versions.versions()["commit"]
    assert in_checkout is None or in_checkout.rstrip("+") != "a" * 40
    monkeypatch.setattr(versions, "__file__", "/nowhere/results.py")
    assert versions.versions()["commit"] == "a" * 40
    monkeypatch.setenv("INTRINSIC_CLIP_COMMIT", "")
    assert versions.versions()["commit"] is None


def test_code_that_made_results_and_is_another_now_is_named(monkeypatch) -> None:
    monkeypatch.setattr(versions, "_commit", lambda: "b" * 40)
    monkeypatch.setattr(versions, "_has_present_source", lambda commit: commit == "c" * 40)
    for same in ("b" * 40, "c" * 40):
        assert versions.other_code({"commit": same}) is None
    said = versions.other_code({"commit": "a" * 40})
    assert said == "made with the code of commit aaaaaaa, now it is bbbbbbb"
    changed = versions.other_code({"commit": "b" * 40 + "+"})
    assert changed == "made with the code of commit bbbbbbb+, now it is bbbbbbb (+: with uncommitted changes)"
    monkeypatch.setattr(versions, "_commit", lambda: None)
    for same in ({}, {"intrinsic-clip": intrinsic_clip.__version__, "commit": "a" * 40}):
        assert versions.other_code(same) is None
    said = versions.other_code({"intrinsic-clip": "0.0.1", "commit": None})
    assert said == f"made with the code of version 0.0.1, now it is {versions._version('intrinsic-clip')}"


def test_the_files_of_a_commit_are_compared_with_those_of_now() -> None:
    in_checkout = versions.versions()["commit"]
    if in_checkout is not None and not in_checkout.endswith("+"):
        assert versions._has_present_source(in_checkout)
    assert not versions._has_present_source("a" * 40)

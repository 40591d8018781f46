"""A replicate trained beside others is the same training as alone."""

import math

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from intrinsic_clip.loggers.replicated import summaries
from intrinsic_clip.probes import TemperatureProbe
from intrinsic_clip.runs import results, tidy_table
from intrinsic_clip.runs.replicates import Replicates, stream_seed
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow

# Enough rows and small steps: rounding then grows by no more than a hundredfold in 160 steps.
CALM = ["data.n_train=2048", "data.n_append=256", "optimizer.lr=1e-4", "trainer.max_epochs=5", "threads=1"]
DIMS = "encoder.output_dim=[4,6]"


def _values(run_results: dict, name: str) -> torch.Tensor:
    return torch.tensor(run_results["metrics"][name]["values"], dtype=torch.float64)


def _assert_same(ours: dict, theirs: dict, place: tuple = (), other: tuple = ()) -> None:
    """Compare loss and τ to 1e-5, ranks to one place, and other measures, which magnify rounding, to 1 %."""
    assert ours["metrics"].keys() == theirs["metrics"].keys()
    for name in ours["metrics"]:
        tolerance = 1e-5 if name in ("loss", "temperature") else 1e-2
        difference = _values(ours, name)[place] - _values(theirs, name)[other]
        allowed = tolerance * (0.1 + _values(theirs, name)[other].abs())
        allowed = allowed.clamp_min(1.0) if "median_rank" in name else allowed
        assert (difference.abs() <= allowed).all(), (name, difference)


def test_shapes_and_labels() -> None:
    def of(replicates, output_dim) -> Replicates:
        return Replicates.of({"replicates": replicates, "encoder": {"output_dim": output_dim}})

    assert of(None, 6).shape == ()
    assert of(3, 6).shape == (3,)
    assert of([4, 7], 6).labels() == [(None, 4), (None, 7)]
    assert of(None, [2, 6]).shape == (2, 1)
    assert of(2, [2, 6]).labels() == [(2, 0), (2, 1), (6, 0), (6, 1)]
    assert str(of(2, [2, 6])) == "2 replicates × 2 output dimensions"


def test_streams_are_apart() -> None:
    seeds = {stream_seed(s, r, stream) for s in range(5) for r in range(20) for stream in ("data", "f", "g")}
    assert len(seeds) == 300


@pytest.mark.parametrize("source", ["linear", "nonlinear", "rotated", "gaussian_nonlinear", "independent"])
def test_data_of_a_replicate_are_bit_for_bit_those_alone(compose, source) -> None:
    def data(*overrides: str):
        cfg = compose(*overrides)
        return build(RunSpec.of(cfg)).data

    together, alone = (
        data(f"data=synthetic_{source}", "replicates=3"),
        data(f"data=synthetic_{source}", "replicates=[2]"),
    )
    lone = data(f"data=synthetic_{source}")
    for split in ("train", "append", "test"):
        for column in ("x", "y", "z"):
            all_three = getattr(together.pairs(split), column)
            assert torch.equal(all_three[2], getattr(alone.pairs(split), column)[0])
            assert torch.equal(all_three[0], getattr(lone.pairs(split), column))
            assert not all_three.shape[-1] or not torch.equal(all_three[0], all_three[1])


@pytest.mark.parametrize("similarity", ["population", "cosine", "fast"])
def test_a_replicate_ends_as_alone(compose, similarity) -> None:
    setting = [*CALM, f"objective/similarity={similarity}"]
    setting += ["objective.similarity.rows=100"] if similarity == "fast" else []
    together = train(compose(*setting, "replicates=3", DIMS))
    for place, d in enumerate((4, 6)):
        alone = train(compose(*setting, "replicates=[2]", f"encoder.output_dim={d}"))
        _assert_same(together, alone, (place, 2), (0,))


def test_a_lone_run_is_replicate_0(compose) -> None:
    lone, first = train(compose(*CALM)), train(compose(*CALM, "replicates=2"))
    _assert_same(first, lone, (0,), (0,))
    for name in lone["metrics"]:
        assert lone["metrics"][name]["std"] is None
        mean, std = _values(first, name).mean(), _values(first, name).std()
        assert first["metrics"][name]["mean"] == pytest.approx(float(mean), rel=1e-5)
        assert first["metrics"][name]["std"] == pytest.approx(float(std), rel=1e-4, abs=1e-9)


@pytest.mark.long
def test_chunks_end_as_the_whole(tmp_path, compose) -> None:
    # Fewer epochs than elsewhere: on some processors rounding grows beyond a hundredfold here in 320 steps.
    asked = (*CALM, "replicates=3", DIMS, "trainer.max_epochs=6")
    whole = train(compose(*asked))
    chunked = train(compose(*asked, "replicates_per_chunk=1", "output_dir=chunked"))
    _assert_same(chunked, whole)
    folder, other = (next(tmp_path.glob(f"{top}/custom/*")) for top in ("outputs", "chunked"))
    assert folder.name == other.name
    assert len(list(other.glob("chunks/*/results.json"))) == 3
    columns = ["step", "metric", "output_dim", "replicate"]
    tables = []
    for run in (folder, other):
        table = results.read_metrics(run)
        evaluations = table[~table.metric.isin(["loss", "temperature"])]
        tables.append(evaluations.sort_values(columns).reset_index(drop=True))
    pd.testing.assert_frame_equal(*tables, rtol=1e-2, atol=1e-3)
    ours, theirs = (load_file(f / "embeddings.safetensors") for f in (folder, other))
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: t.shape for name, t in theirs.items()
    }
    torch.testing.assert_close(ours["x"], theirs["x"], rtol=1e-2, atol=1e-3)


@pytest.mark.long
def test_chunks_that_are_done_are_not_trained_again(tmp_path, compose) -> None:
    overrides = (*CALM, "replicates=2", "replicates_per_chunk=1")
    first = train(compose(*overrides))
    folder = next(tmp_path.glob("outputs/custom/*"))
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("chunks/*/*")}
    (folder / "results.json").unlink()
    assert train(compose(*overrides))["metrics"] == first["metrics"]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("chunks/*/*")} == kept


@pytest.mark.pictures
def test_metrics_file_and_collect_hold_each_replicate(tmp_path, compose) -> None:
    run_results = train(compose(DIMS, "replicates=[4,7]"))
    folder = next(tmp_path.glob("outputs/custom/*"))
    metrics = results.read_metrics(folder)
    final = metrics[(metrics.metric == "id/mle/x") & (metrics.step == metrics.step.max())]
    assert list(zip(final.output_dim, final.replicate, strict=True)) == [(4, 4), (4, 7), (6, 4), (6, 7)]
    table = tidy_table.collect(tmp_path / "outputs").query("metric == 'id/mle/x'")
    assert table["encoder.output_dim"].tolist() == [4, 4, 6, 6]
    assert table["replicate"].tolist() == [4, 7, 4, 7]
    assert (
        table["value"].tolist() == _values(run_results, "id/mle/x").flatten().tolist() == final.value.tolist()
    )


def test_means_and_spreads_are_logged_under_the_same_names() -> None:
    value = torch.tensor([[1.0, 3.0], [5.0, 9.0]])
    assert summaries({"id": value[0]}, Replicates((0, 1))) == {
        "id": 2.0,
        "id/std": pytest.approx(math.sqrt(2)),
    }
    assert summaries({"id": torch.tensor(4.0)}, Replicates()) == {"id": 4.0}
    by_dimension = summaries({"id": value}, Replicates((0, 1), (2, 6)))
    assert by_dimension == {
        "id/d=2": 2.0, "id/d=2/std": pytest.approx(math.sqrt(2)),
        "id/d=6": 7.0, "id/d=6/std": pytest.approx(2 * math.sqrt(2)),
    }  # fmt: skip


def test_wandb_gets_a_table_of_all_replicates(tmp_path, compose) -> None:
    train(compose("replicates=2", "logger=both"))
    tables = list(tmp_path.glob("outputs/custom/*/wandb/offline-run-*/files/media/table/replicates*.json"))
    assert len(tables) == 1
    assert "id/mle/x" in tables[0].read_text()


def test_resuming_replicates_is_bit_equal(compose, monkeypatch) -> None:
    overrides = ("replicates=2", "objective/similarity=fast", "objective.similarity.rows=48", "compile=false")
    whole = train(compose(*overrides, "output_dir=whole"))

    def fail(self, trainer, module) -> None:
        if trainer.current_epoch == 3:
            raise RuntimeError("struck down")

    with monkeypatch.context() as patch:
        patch.setattr(TemperatureProbe, "on_train_epoch_end", fail)
        with pytest.raises(RuntimeError, match="struck down"):
            train(compose(*overrides))
    resumed = train(compose(*overrides))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]


def test_a_compiled_step_is_the_step(compose) -> None:
    cfg = compose(*CALM, "replicates=2", "compile=true", "trainer.max_epochs=2")
    compiled = train(cfg)
    plain = train(compose(*CALM, "replicates=2", "compile=false", "trainer.max_epochs=2", "output_dir=plain"))
    _assert_same(compiled, plain)


def test_a_step_that_cannot_be_compiled_runs_as_it_is(compose, monkeypatch) -> None:
    def broken(*args, **kwargs):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: broken)
    with pytest.warns(UserWarning, match=r"torch.compile failed, so the step runs uncompiled: no compiler"):
        assert train(compose("compile=true"))["status"] == "completed"


def test_numbers_too_small_for_float32_cost_no_time(compose, monkeypatch) -> None:
    seen = []

    def note(self, trainer, module) -> None:
        seen.append(float(torch.tensor([1e-30]) * torch.tensor([1e-10])))

    monkeypatch.setattr(TemperatureProbe, "on_train_start", note)
    cfg = compose()
    build(RunSpec.of(cfg))
    note(None, None, None)
    train(compose("trainer.max_epochs=1"))
    note(None, None, None)
    kept = pytest.approx(1e-40, rel=1e-4)  # which takes a CPU far longer than 0
    assert seen == [kept, 0, kept]


def test_a_run_resumes_with_the_chunks_it_began_with(tmp_path, compose) -> None:
    overrides = (*CALM, "replicates=3", "trainer.max_epochs=1")
    train(compose(*overrides, "replicates_per_chunk=2"))
    folder = next(tmp_path.glob("outputs/custom/*"))
    parts = sorted(path.name for path in folder.glob("chunks/*"))
    assert len(parts) > 1
    (folder / "results.json").unlink()
    train(compose(*overrides, "replicates_per_chunk=3"))
    assert sorted(path.name for path in folder.glob("chunks/*")) == parts
    assert not (folder / "last.ckpt").exists()

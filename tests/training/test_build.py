"""A run is built once, and what can be checked without reading data is checked without it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from helpers.own_callbacks import StopsGradients
from intrinsic_clip.data import PairedData
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.results import CHECKPOINT
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.tidy_table import collect
from intrinsic_clip.training import train as training_room
from intrinsic_clip.training.backward import hear_backward
from intrinsic_clip.training.build import build, check_buildable
from intrinsic_clip.training.checkpoints import ResumePoint, read_checkpoint
from intrinsic_clip.training.throughput import Throughput
from intrinsic_clip.training.train import train


@pytest.fixture
def files(tmp_path) -> list[str]:
    for side in "xy":
        np.save(tmp_path / f"{side}.npy", np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    sizes = ["data.n_train=200", "data.n_append=20", "data.n_test=50", "trainer.max_epochs=1"]
    return ["data=embeddings", f"data.x={tmp_path}/x.npy", f"data.y={tmp_path}/y.npy", *sizes]


@pytest.mark.slow
def test_a_run_is_built_and_its_files_are_read_once(compose, files, monkeypatch) -> None:
    from intrinsic_clip.data.features import feature_files

    calls: Counter[str] = Counter()
    read, built = feature_files.read_named, training_room.build
    monkeypatch.setattr(feature_files, "read_named", lambda *a: (calls.update(["read"]), read(*a))[1])
    monkeypatch.setattr(training_room, "build", lambda *a: (calls.update(["build"]), built(*a))[1])
    train(compose(*files))
    assert calls == {"read": 2, "build": 1}  # x and y


def test_checking_reads_nothing(compose, files, monkeypatch) -> None:
    monkeypatch.setattr(PairedData, "read", lambda self: pytest.fail("read"))
    check_buildable(RunSpec.of(compose(*files)))
    check_buildable(RunSpec.of(compose("data=embeddings", "data.x=nothing.npy", "data.y=nothing.npy")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["data.shared_dim=30"], "data.shared_dim=30 must not exceed"),
        (["encoder=transformer", "encoder.width=33"], "encoder.width=33: must be a multiple of 32"),
        (["probes.dimension.estimators=[mle,mle]"], "must name each estimator once"),
    ],
)
def test_checking_finds_what_only_the_classes_can_judge(compose, overrides, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_buildable(RunSpec.of(compose(*overrides)))


def test_unreadable_data_leave_no_trace(tmp_path, compose) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.npy"):
        train(compose("data=embeddings", "data.x=nothing.npy", "data.y=nothing.npy"))
    assert list(tmp_path.iterdir()) == []


def test_building_gives_what_trains(compose) -> None:
    training = build(RunSpec.of(compose("replicates=2")))
    assert training.module.replicates.shape == (2,)
    assert training.data.d_x == 20
    assert {type(probe).__name__ for probe in training.probes} >= {"IntrinsicDimensionProbe", "MatchingProbe"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PlainCallback", "is not a probe; derive it from intrinsic_clip.probes.AnyProbe"),
        ("WithoutSuper", r"its __init__ must call super\(\).__init__\(\)"),
    ],
)
def test_a_callback_that_cannot_hold_numbers_is_refused_before_it_trains(
    tmp_path, compose, name, reason
) -> None:
    target = f"helpers.own_callbacks.{name}"
    with pytest.raises(ConfigError, match=f"probes.mine._target_={target}: {reason}"):
        train(compose(f"+probes.mine._target_={target}"))
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(("replicates", "count"), [("null", 1), ("[3,5]", 2)])
def test_numbers_of_a_callback_that_are_not_one_per_replicate_do_not_cost_the_training(
    compose, replicates, count
) -> None:
    """One number is that of every replicate, and any other is none, with the reason."""
    own = "+probes.mine._target_=helpers.own_callbacks.OwnNumbers"
    spec = RunSpec.of(compose(own, f"replicates={replicates}", "trainer.max_epochs=1"))
    made = train(spec.cfg)
    values = {name: made["metrics"][f"mine/{name}"]["values"] for name in ("one", "plain", "five")}
    assert values == {"one": [1.5] * count, "plain": [2] * count, "five": [None] * count}
    assert "OwnNumbers.latest: must be one value per replicate" in made["reasons"]["mine/five"]
    table = collect(spec.folder)
    assert table[table.metric == "mine/one"].value.tolist() == [1.5] * count


@pytest.mark.parametrize("kernel", ["cpp", "none"])
def test_a_callback_behind_the_gradients_is_called(compose, kernel) -> None:
    """It is called as in Lightning's own loop, whatever takes the steps; with zero gradients f stays as it began."""
    settings = [f"kernel={kernel}", "optimizer.weight_decay=0", "trainer.max_epochs=2"]
    spec = RunSpec.of(compose("+probes.mine._target_=helpers.own_callbacks.StopsGradients", *settings))
    began = [parameter.detach().clone() for parameter in build(spec).module.f.parameters()]
    train(spec.cfg)
    weights = read_checkpoint(spec.folder / CHECKPOINT)["state_dict"]
    ended = [value for name, value in weights.items() if name.startswith("f.")]
    assert len(began) == len(ended)
    assert all(map(torch.equal, began, ended))


def test_the_packages_own_callbacks_leave_steps_to_the_kernel(compose) -> None:
    probes = build(RunSpec.of(compose("probes=full"))).probes
    assert probes
    assert not hear_backward([*probes, Callback(), Throughput(64), ResumePoint(Path())])
    assert hear_backward([*probes, StopsGradients()])


@pytest.mark.parametrize("replicates", ["null", "2"])
def test_weight_decay_and_orthogonal_reflections_are_refused(compose, tmp_path, replicates) -> None:
    """PyTorch rounds their signs towards zero, so that a decayed -0.9999 makes the layer's outputs zero."""
    settings = [
        "encoder._target_=helpers.own_encoders.orthogonal",
        "trainer.max_epochs=1",
        f"replicates={replicates}",
    ]
    for optimizer in ("weight_decay=1e-4", "_target_=torch.optim.AdamW"):
        with pytest.raises(ConfigError, match=r"layer 0: weight decay turns .* optimizer\.weight_decay=0"):
            train(compose(*settings, f"optimizer.{optimizer}"))
    assert not list(tmp_path.glob("outputs/*"))
    for right in (["optimizer.weight_decay=0"], ["+encoder.kind=matrix_exp"]):
        metrics = train(compose(*settings, *right))["metrics"]
        assert all(0 < value < 20 for value in metrics["id/mle/x"]["values"])

"""Runs that W&B's charts should average over share a group, and no others do."""

import pytest

from helpers.fake_wandb import records
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.loggers.wandb_identity import wandb_identity
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow


def test_runs_that_differ_in_the_seed_alone_are_one_group(compose) -> None:
    def group(*overrides: str) -> str:
        return wandb_identity(resolve(compose(*overrides)))["group"]

    assert group("seed=0") == group("seed=3")
    assert group("seed=0") == group("logger=both", "threads=2")
    assert group("replicates=[0,1]") == group("replicates=[2,3]", "seed=3")
    others = [
        group(),
        group("encoder.output_dim=4"),
        group("encoder.output_dim=[4,6]"),
        group("optimizer.lr=1e-4"),
        group("objective/similarity=cosine"),
        group("objective/temperature=fixed"),
        group("data=synthetic_nonlinear"),
        group("name=other"),
        group("replicates=2"),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.long
def test_wandb_gets_group_name_job_type_and_tags(tmp_path, compose) -> None:
    for seed in (0, 1):
        train(compose("logger=both", f"seed={seed}", "logger.wandb.tags=[tonight]", "trainer.max_epochs=1"))
    runs = [
        [record["run"] for record in records(path) if record["type"] == "run"][-1]
        for path in tmp_path.glob("outputs/custom/*/wandb/offline-run-*")
    ]
    assert sorted(run["display_name"] for run in runs) == ["d=6 seed=0", "d=6 seed=1"]
    assert len({run["run_group"] for run in runs}) == 1
    assert runs[0]["run_group"].startswith("custom d=6 population learned ")
    for run in runs:
        assert run["job_type"] == "train"
        assert run["tags"] == [
            "tonight",
            "custom",
            "SyntheticLinear",
            "mlp",
            "PopulationSimilarity",
            "LearnedTemperature",
        ]


def test_names_of_many_trainings_stay_short(compose) -> None:
    identity = wandb_identity(resolve(compose("encoder.output_dim=[1,2,3,4,5,7,10,19,44]", "replicates=50")))
    assert identity["name"] == "d=1,2,…,44 seed=0 replicates=50"

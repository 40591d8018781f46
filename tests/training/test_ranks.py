"""Ranks that another program left in the environment are ignored, and said to be."""

import os
import sys
import warnings

import pytest
from omegaconf import OmegaConf

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.training import ranks
from intrinsic_clip.training.ranks import drop_unreadable_ranks, only_own_ranks

ONE = OmegaConf.create({"trainer": {"devices": 1}})
TWO = OmegaConf.create({"trainer": {"devices": 2}})


@pytest.fixture(autouse=True)
def _no_ranks(monkeypatch) -> None:
    for name in (*ranks.RANKS, *ranks.SIZES, *ranks.ADDRESSES, ranks.STARTED_BY, ranks.TORCHRUN):
        monkeypatch.delenv(name, raising=False)


def _kept(cfg) -> set[str]:
    with only_own_ranks(cfg):
        return {*ranks.RANKS, *ranks.SIZES, *ranks.ADDRESSES} & set(os.environ)


@pytest.mark.parametrize(
    "stray",
    [
        {"RANK": "3"},
        {"LOCAL_RANK": "1", "WORLD_SIZE": "8"},
        {"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "17"},
        {"RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"},
        {"JSM_NAMESPACE_RANK": "5"},
    ],
)
@pytest.mark.parametrize("devices", [1, "1", [0], None])
def test_a_run_in_one_process_ignores_them(monkeypatch, stray, devices) -> None:
    for name, value in stray.items():
        monkeypatch.setenv(name, value)
    cfg = None if devices is None else OmegaConf.create({"trainer": {"devices": devices}})
    with pytest.warns(UserWarning, match="in the environment: ignored, since this is one process"):
        assert _kept(cfg) == set()
    assert {name: os.environ[name] for name in stray} == stray  # as it was, for whatever comes after


def test_ranks_that_change_nothing_are_not_worth_a_word(monkeypatch) -> None:
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _kept(ONE) == set()


def test_leftovers_do_not_join_a_run_of_two_processes(monkeypatch) -> None:
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match="they name no processes of this run"):
        assert _kept(TWO) == set()


@pytest.mark.parametrize(
    "group",
    [
        {ranks.STARTED_BY: str(os.getppid())},
        {ranks.TORCHRUN: "none"},
        {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
    ],
)
def test_processes_of_a_run_keep_theirs(monkeypatch, group) -> None:
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "2", **group}.items():
        monkeypatch.setenv(name, value)
    assert {"LOCAL_RANK", "WORLD_SIZE"} <= _kept(TWO)


def test_several_nodes_are_started_by_hand(monkeypatch) -> None:
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "node0")
    assert _kept(OmegaConf.create({"trainer": {"devices": 1, "num_nodes": 2}})) == {
        "NODE_RANK",
        "MASTER_ADDR",
    }


def test_torchrun_with_a_run_in_one_process_is_refused(monkeypatch) -> None:
    monkeypatch.setenv(ranks.TORCHRUN, "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"torchrun started 4 processes; trainer=ddp trainer\.devices=4"):
        _kept(ONE)


def test_a_rank_that_is_no_number_is_dropped(monkeypatch) -> None:
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.warns(UserWarning, match="RANK=first in the environment: ignored, since not a number"):
        drop_unreadable_ranks()
    assert "RANK" not in os.environ
    assert os.environ["WORLD_SIZE"] == "2"


def test_lightning_forgets_what_it_read_at_import(monkeypatch) -> None:
    import pytorch_lightning  # noqa: F401

    rank_zero_only = sys.modules["lightning_utilities.core.rank_zero"].rank_zero_only
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    monkeypatch.setenv("RANK", "3")
    with pytest.warns(UserWarning, match="RANK=3"), only_own_ranks(ONE):
        assert rank_zero_only.rank == 0

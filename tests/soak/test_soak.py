"""A short part of each campaign; `make soak` runs the long ones."""

import json
import random
from pathlib import Path

import pytest

from intrinsic_clip.data.features import row_cache
from soak import concurrent_writers, crash_points, damaged_files, kills
from soak.scenarios import BATCH, ROWS, scenarios
from soak.warm_children import warm_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


@pytest.mark.parametrize(("name", "visits"), [("features", 6), ("run", 3)])
def test_a_kill_before_any_file_operation_loses_nothing(name: str, visits: int) -> None:
    points = crash_points.CrashPoints(scenarios()[name])
    assert points.operations > 20
    draw = random.Random(0)
    last = points.operations - 1
    for point in [last, *draw.sample(range(last), visits - 1)]:
        assert points.check(point, draw.choice((None, point))) is None, point


def test_a_damaged_file_is_refused_or_mended() -> None:
    every = scenarios()
    chosen = [damaged_files.Target(every["features"], None), damaged_files.Target(every["run"], None)]
    counts = damaged_files.campaign(10, 0, chosen)
    assert counts["damaged files"] == 10
    assert counts["faults"] == 0


def test_random_kills_lose_nothing() -> None:
    kills_and_fault = kills.Killed(scenarios()["features"]).kill_until_done(random.Random(0), most=8)
    assert kills_and_fault[1] is None


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    assert concurrent_writers._faults_of_writers(random.Random(0)) == 0


def test_the_campaign_would_notice_rows_that_count_before_they_are_written(monkeypatch) -> None:
    def save_early(folder: Path, names: object, arrays: object, digests: object, done: int) -> None:
        (folder / "progress.json").write_text(json.dumps({"rows": min(done + 2 * BATCH, ROWS)}))

    monkeypatch.setattr(row_cache, "_save", save_early)
    points = crash_points.CrashPoints(scenarios()["features"])
    fault = points.check(points.operations * 2 // 3, None)
    assert "other features were returned than were computed" in str(fault)

"""Two processes measure their rows together as one process would, and get the same numbers."""

import json

import pytest

import intrinsic_clip as ic
from helpers import two_ranks
from helpers.ranks import in_ranks, succeeded

IN_ONE = ("in one only", "kept in one only", "given in one only")  # and the other process has no rows


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, dict[str, float]]]:
    """Return what each of two processes got."""
    folder = tmp_path_factory.mktemp("ranks")
    assert succeeded(in_ranks(2, folder, lambda: two_ranks.measure_as_one_of_two(folder)))
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one(results) -> None:
    alone = two_ranks.measured(*two_ranks.rows(), gather=False)
    for way in ("call", "sample", "batches", "metric of few", *IN_ONE):
        assert results[0][way] == pytest.approx(alone[way], rel=1e-6), way
    assert results[0]["batches"] == pytest.approx(alone["call"], rel=1e-6)
    few = results[0]["few batches"]  # drawn by each process for itself
    assert few["id/mle/x"] == pytest.approx(alone["call"]["id/mle/x"], rel=0.3)
    assert few["retrieval/top_1/x_to_y"] > 2 * alone["call"]["retrieval/top_1/x_to_y"] / 3


@pytest.mark.filterwarnings("ignore")
def test_rows_that_a_sampler_repeats_are_left_out_as_the_page_says(results) -> None:
    x, y = (side[: two_ranks.ODD] for side in two_ranks.rows())
    alone = ic.measure(x, y, only=["id", "alignment"])
    assert results[0]["page"] == pytest.approx({**alone, "rows": two_ranks.ODD}, rel=1e-6)


def test_all_processes_get_the_same_numbers(results) -> None:
    first, second = ({way: got[way] for way in got if way != "errors"} for got in results)
    assert first == second


def test_rows_that_do_not_fit_are_refused_in_all_processes(results) -> None:
    assert "process 1 has rows of another kind" in results[1]["refused"][0]
    assert "got shape (3,)" in results[0]["refused"][1]
    assert results[0]["refused"][2] == results[1]["refused"][2]
    assert "no rows came: call update" in results[0]["refused"][2]
    assert results[0]["refused"][3] == results[1]["refused"][3]
    assert "of one x of 2 columns, of another x of 3 columns" in results[0]["refused"][3]


def test_what_one_process_raises_all_raise(results) -> None:
    """None waits for one that failed, and types stay."""
    first, second = (result["errors"] for result in results)
    assert first.pop("unsendable") == ["Unsendable", "1 and 2"]
    assert second.pop("unsendable") == ["RuntimeError", "process 0 failed: Unsendable: 1 and 2"]
    assert first == second
    assert first["after"] == ["in step", ""]
    types = {name: kind for name, (kind, _) in first.items() if name != "after"}
    assert types == dict.fromkeys(
        ["tau", "tau of one", "tau of a call", "only", "max_points"], "ValueError"
    ) | {
        "any type": "KeyError",
        "unsendable result": "TypeError",
        "reading": "TypeError",
    }
    assert first["tau of one"][1] == "tau must be a positive number, got nan"

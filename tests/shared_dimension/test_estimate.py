"""Estimates on worlds with known k*, refusals, determinism and the time limit."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_worlds import tanh_world
from intrinsic_clip.shared_dimension.stages import Stages
from intrinsic_clip.shared_dimension.training import _steps_in


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_known_dimension_is_named(k) -> None:
    estimate = ic.shared(*tanh_world(k, n=1000), steps=400, replicates=4)
    assert estimate.dimension == k
    assert estimate.sides == {"x": k, "y": k}
    low, high = estimate.interval
    assert low <= k <= high
    assert estimate.gap > 1.3 > estimate.null_gap
    assert estimate.text.startswith(f"{k} (gap ")
    assert estimate.matching.p_value < 0.001


def test_shuffled_pairs_share_nothing() -> None:
    x, y = tanh_world(3, n=1000)
    shuffled = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]
    estimate = ic.shared(x, shuffled, steps=200, replicates=4)
    assert estimate.dimension == 0
    assert estimate.text.startswith(
        "nothing is found to be shared: held-out matching is not above chance at the level 0.005 (p = "
    )
    assert estimate.matching.information < 0.02


def test_same_seed_gives_the_same_numbers() -> None:
    x, y = tanh_world(2, n=400)
    first, again, other = (ic.shared(x, y, steps=40, replicates=3, seed=seed) for seed in (3, 3, 4))
    assert first.spectrum == again.spectrum
    assert first.matching == again.matching
    assert first.spectrum != other.spectrum


def test_random_state_of_the_caller_is_neither_read_nor_changed() -> None:
    x, y = tanh_world(2, n=200)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ic.shared(x, y, steps=20, replicates=2)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.long
def test_everything_shared_is_seen_beside_noise() -> None:
    """Two columns that are both shared leave no unshared direction in that view."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 2, generator=generator)
    y = torch.tanh(x @ torch.randn(2, 30, generator=generator))
    estimate = ic.shared(x, y, steps=400, replicates=4)
    assert estimate.dimension == 2
    assert "x: 22 columns of noise stand beside its 2, so that a gap behind the last of them shows" in (
        estimate.notes
    )


@pytest.mark.slow
def test_budget_shortens_the_training_and_says_so() -> None:
    x, y = tanh_world(2, n=1000)
    begun = time.process_time()  # which, unlike a clock, does not count what a busy machine does for others
    estimate = ic.shared(x, y, steps=100_000, replicates=2, budget=2)
    assert time.process_time() - begun < 25
    assert any(note.startswith("budget: ") for note in estimate.notes)


def test_an_exceeded_budget_is_said() -> None:
    stages = Stages(budget=1, report=None, begun=5.0)
    assert stages.exceeded(6.19) == []
    (note,) = stages.exceeded(41.0)
    assert note.startswith("budget: 36 s in place of 1 s, since preparing and reading are not shortened")
    notes = ic.shared(*tanh_world(2, n=200), steps=20, replicates=1, budget=1e-3).notes
    assert any(" s in place of 0.001 s, " in note for note in notes)


def test_a_small_budget_is_shared_among_the_stages() -> None:
    x, y = tanh_world(2, n=1000)
    estimate = ic.shared(x, y, steps=10**7, replicates=2, budget=0.3)
    seconds = [estimate.seconds[label] for label in ("shuffled pairs", "pairs, short")]
    assert sum(seconds) < 1.5  # a busy machine; not a second for each


def test_steps_in_a_time_limit_leave_room_for_their_validations() -> None:
    assert _steps_in(10, 0.01, 0.1) == 760  # 24 validations
    assert _steps_in(2.3, 0.01, 0.09) == 23  # one after each step
    assert _steps_in(2.5, 0.01, 0.09) == 25
    assert _steps_in(-1, 0.01, 0.1) == 20


def test_a_budget_that_suffices_changes_no_number() -> None:
    x, y = tanh_world(2, n=200)
    few = {"steps": 20, "replicates": 2}
    assert ic.shared(x, y, **few, budget=1000).spectrum == ic.shared(x, y, **few).spectrum


def test_progress_is_reported() -> None:
    seen: list[tuple[str, int, int]] = []
    ic.shared(*tanh_world(2, n=200), steps=20, replicates=2, report=lambda *state: seen.append(state))
    assert {label for label, _, _ in seen} >= {"shuffled pairs", "pairs, short"}
    assert all(done <= steps for _, done, steps in seen)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.randn(200, 3), torch.randn(199, 3), "one n"),
        (torch.randn(50, 3), torch.randn(50, 3), "too few"),
        (torch.full((200, 3), torch.nan), torch.randn(200, 3), "NaN or infinity"),
        (torch.ones(200, 3), torch.randn(200, 3), "^x: every column is constant$"),
        (
            torch.randn(200, 3),
            4e200 * torch.randn(200, 3).double(),
            "^y: values up to 1?.e.* no finite variance",
        ),
        (
            1e9 + 1e-4 * torch.randn(200, 3).double(),
            torch.randn(200, 3),
            "^x: every .* to 12 digits; subtract",
        ),
    ],
)
def test_bad_views_are_refused(x, y, message) -> None:
    with pytest.raises(ValueError, match=message):
        ic.shared(x, y)


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("output_dim", 1, "input should be greater than or equal to 4"),
        ("output_dim", 513, "input should be less than or equal to 512"),
        ("replicates", 0, "input should be greater than or equal to 1"),
        ("steps", 0, "input should be greater than or equal to 1"),
        ("steps", 40.0, "input should be a valid integer"),
        ("widest", np.int64(0), "input should be greater than or equal to 2"),
        ("threads", 0, "input should be greater than 0"),
        ("budget", 0, "input should be greater than 0"),
        ("budget", -1.0, "input should be greater than 0"),
        ("budget", float("nan"), "must be finite"),
    ],
)
def test_settings_out_of_bounds_are_refused(setting, value, reason) -> None:
    x, y = tanh_world(2, n=200)
    with pytest.raises(ValueError, match=f"^{setting}: {reason}, not ") as refused:
        ic.shared(x, y, **{setting: value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_it_trains_where_the_caller_takes_no_gradients(without) -> None:
    few = {"steps": 20, "replicates": np.int64(2)}
    expected = ic.shared(*tanh_world(2, n=200), **few)
    with without():
        assert ic.shared(*tanh_world(2, n=200), **few).spectrum == expected.spectrum


def test_data_frames_are_paired_by_their_index() -> None:
    x, y = (pd.DataFrame(side.numpy()) for side in tanh_world(2, n=200))
    with pytest.raises(ValueError, match=r"x and y have the same index in another order: .*y\.loc"):
        ic.shared(x, y.sample(frac=1, random_state=0))
    with pytest.raises(ValueError, match="different index labels"):
        ic.shared(x, y.set_axis(range(1000, 1200)))
    few = {"steps": 20, "replicates": 2}
    of_frames, of_arrays = ic.shared(x, y, **few), ic.shared(np.asarray(x), np.asarray(y), **few)
    assert of_frames.spectrum == of_arrays.spectrum


def test_tables_of_names_are_refused() -> None:
    named = pd.DataFrame({"cell": ["a"] * 200, "gene": range(200)})
    with pytest.raises(ValueError, match="x is a DataFrame whose column 'cell' holds no numbers"):
        ic.shared(named, torch.randn(200, 3))

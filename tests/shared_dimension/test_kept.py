"""An estimate that is killed continues behind its last finished training, with the same numbers."""

from dataclasses import replace

import pytest
import torch

import intrinsic_clip as ic
from helpers.shared_worlds import tanh_world
from intrinsic_clip.shared_dimension.stages import FIRST, LONGER, SHUFFLED

SETTINGS = {"steps": 40, "replicates": 2}


class Killed(Exception):
    """Raised in place of a signal."""


def killed_in(stage: str):
    """Return a report that ends the estimate in a stage."""

    def report(label: str, done: int, steps: int) -> None:
        if label == stage:
            raise Killed

    return report


@pytest.mark.parametrize("stage", [FIRST, LONGER])
def test_killed_estimate_continues_with_the_same_numbers(tmp_path, stage) -> None:
    x, y = tanh_world(2, n=300)
    expected = ic.shared(x, y, **SETTINGS)
    folder = tmp_path / "kept"
    with pytest.raises(Killed):
        ic.shared(x, y, **SETTINGS, keep_in=folder, report=killed_in(stage))
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == ["pairs_short.training.json", "shuffled_pairs.training.json"][stage == FIRST :]
    labels: list[str] = []
    again = ic.shared(x, y, **SETTINGS, keep_in=folder, report=lambda *state: labels.append(state[0]))
    assert SHUFFLED not in labels
    assert (FIRST in labels) == (stage == FIRST)
    assert replace(again, seconds={}, representations=()) == replace(expected, seconds={}, representations=())
    assert torch.equal(again.representations[0], expected.representations[0])


def test_damaged_or_other_trainings_are_trained_anew(tmp_path, capsys) -> None:
    x, y = tanh_world(2, n=300)
    with pytest.raises(Killed):
        ic.shared(x, y, **SETTINGS, keep_in=tmp_path, report=killed_in(FIRST))
    labels: list[str] = []
    ic.shared(x, y, **SETTINGS, seed=1, keep_in=tmp_path, report=lambda *state: labels.append(state[0]))
    assert SHUFFLED in labels  # another seed
    (path,) = tmp_path.glob("shuffled*")
    path.write_text(path.read_text().replace('"steps": 10', '"steps": 11'))
    labels.clear()
    ic.shared(x, y, **SETTINGS, seed=1, keep_in=tmp_path, report=lambda *state: labels.append(state[0]))
    assert set(labels) == {SHUFFLED}
    assert "damaged (its checksum differs); trained anew" in capsys.readouterr().out


@pytest.mark.parametrize(("budget", "anew"), [(None, True), (0.02, True), (0.01, False)])
def test_a_training_that_another_budget_shortened_is_trained_anew(tmp_path, budget, anew) -> None:
    x, y = tanh_world(2, n=300)
    folder = str(tmp_path)  # as text, too
    few = {"steps": 4000, "replicates": 1}
    short = ic.shared(x, y, **few, budget=0.01, keep_in=folder)
    assert any("steps of training on shuffled pairs" in note for note in short.notes)

    class Begun(Exception):
        pass

    def begun(*state: object) -> None:
        raise Begun

    if not anew:
        again = ic.shared(x, y, **few, budget=budget, keep_in=folder, report=begun)
        assert again.spectrum == short.spectrum
        return
    with pytest.raises(Begun):
        ic.shared(x, y, **few, budget=budget, keep_in=folder, report=begun)


def test_training_leaves_the_callers_threads() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    torch.set_num_threads(2)
    try:
        ic.shared(
            *tanh_world(2, n=200),
            steps=20,
            replicates=2,
            report=lambda *_: seen.append(torch.get_num_threads()),
        )
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

"""The table at the end of a sweep says of what its numbers are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intrinsic_clip.sweeps.sweep_run import Outcome
from intrinsic_clip.sweeps.table import report


def finished(override: str, summary: dict[str, Any]) -> Any:
    """Return a run that is done, whose f(X) has these numbers."""
    outcome = Outcome("done", {"metrics": {"id/mle/x": summary, "id/mle/y": {"mean": 3.0, "values": [3.0]}}})
    return SimpleNamespace(
        overrides=[override],
        folder=Path("outputs"),
        finished_before=False,
        begun_before=False,
        outcome=lambda interrupted: outcome,
    )


@pytest.mark.parametrize(
    "summary",
    [
        {"mean": 4.5, "std": None, "values": [4.5, None]},
        {"mean": [9.0, 4.5], "std": [0.1, None], "values": [[9.1, 8.9], [4.5, None]]},
    ],
)
def test_a_mean_of_fewer_replicates_is_marked(summary) -> None:
    whole = {"mean": 5.5, "std": 0.1, "values": [5.4, 5.6]}
    text, failed = report([finished("seed=1", summary), finished("seed=2", whole)])
    assert "4.5*" in text
    assert text.count("*") == 2
    assert "  * the mean of some of a run's replicates: the others have no number" in text.splitlines()
    assert "*" not in report([finished("seed=2", whole)])[0]
    assert not failed


def matched(override: str, *names: str) -> Any:
    """Return a run that is done, with these numbers of matching."""
    run = finished(override, {"mean": 4.5, "values": [4.5]})
    outcome = run.outcome(False)
    outcome.results["metrics"] |= {name: {"mean": 0.5, "values": [0.5]} for name in names}
    return run


def test_it_says_what_the_column_of_matching_counts() -> None:
    """The default probe's is the paper's top 0.5 %, others have top 1, and recipe=fast recall by cosine."""
    share, nearest, cosine = "matching/top_0.5pct/x_to_y", "matching/top_1/x_to_y", "retrieval/top_1/x_to_y"
    alike = report([matched("seed=1", share, nearest), matched("seed=2", share, nearest)])[0].splitlines()
    assert "  matching: Matching accuracy, top 0.5 %, x → y" in alike
    mixed = report([matched("recipe=paper", share), matched("recipe=fast", cosine)])[0].splitlines()
    assert (
        "  matching is not the same in all runs: Matching accuracy, top 0.5 %, x → y; Recall by cosine, top 1, x → y"
        in mixed
    )
    many = report([matched(f"seed={seed}", share) for seed in range(41)])[0]
    assert "matching" not in many  # which lists no numbers
    assert "matching:" not in report([finished("seed=1", {"mean": 4.5, "values": [4.5]})])[0]

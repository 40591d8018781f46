"""Malformed command lines end in one line and exit code 2, with nothing written; `tests/soak` tries thousands."""

from soak.command_lines import campaign


def test_random_command_lines_are_accepted_or_refused_in_one_line() -> None:
    counts = campaign(12, seed=15)
    assert counts["faults"] == 0
    assert counts["accepted"] + counts["refused"] + counts["shown"] == counts["command lines"] == 12

"""Malformed command lines end in one line and exit code 2, with nothing written; `tests/soak` tries thousands."""

import pytest

from soak.command_lines import campaign


def test_random_command_lines_are_accepted_or_refused_in_one_line() -> None:
    figures = campaign(12, seed=15)
    assert figures["faults"] == []
    assert figures["accepted"] + figures["refused"] + figures["shown"] == 12


@pytest.mark.slow
def test_more_of_them() -> None:
    assert campaign(30, seed=14)["faults"] == []

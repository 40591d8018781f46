"""Hydra's options may stand anywhere; others are refused by name."""

import pytest

from intrinsic_clip.cli.options import parse
from intrinsic_clip.errors import ConfigError


def test_options_and_overrides_are_separated() -> None:
    assert parse(["a=1", "--multirun", "b=-2", "-5"]) == (["--multirun"], ["a=1", "b=-2", "-5"])
    assert parse(["-c", "job", "a=1", "--resolve"]) == (["--cfg", "job", "--resolve"], ["a=1"])
    assert parse(["--config-dir", "my conf", "a=1"]) == (["--config-dir", "my conf"], ["a=1"])


def test_options_of_the_verb_are_suggested_before_those_of_hydra() -> None:
    own = ("--dry-run", "--check", "--junit")
    for typed, meant in {
        "--dryrun": "--dry-run",
        "--dry_run": "--dry-run",
        "--dry": "--dry-run",
        "--chek=rules.yaml": "--check",
        "--junti": "--junit",
        "--multirum": "--multirun",
    }.items():
        with pytest.raises(ConfigError, match=f"no such option, did you mean {meant}\\?$"):
            parse([typed], own)
    with pytest.raises(ConfigError, match=r"^--dry-run=true: takes no value; --dry-run alone$"):
        parse(["--dry-run=true"], own)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--nonsense"], "--nonsense: no such option; settings are given as key=value"),
        (["--multirum", "a=1"], "--multirum: no such option, did you mean --multirun?"),
        (["--seed=3"], "--seed: no such option"),
        (["--cfg"], "expected one argument"),
        (["--cfg=nothing"], "invalid choice"),
        (["-x"], "unrecognized arguments: -x"),
        (["--experimental-rerun", "config.pickle"], "is not offered"),
    ],
)
def test_other_options_are_refused(arguments, reason) -> None:
    with pytest.raises(ConfigError) as error:
        parse(arguments)
    assert reason in str(error.value)

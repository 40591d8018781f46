"""The runs of a sweep are counted before they are listed."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.sweeps.combinations import check_count


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["seed=range(0,5,0)"], "seed=range(0,5,0): the step must not be 0"),
        (["seed=range(5,0)"], "seed=range(5,0): has no values to sweep over"),
        (
            ["seed=range(0,1000000000)"],
            "1,000,000,000 runs are too many for one sweep; it takes at most 1,000",
        ),
        (["seed=range(0,100)", "data.n_train=range(0,1100,100)"], "1,100 runs are too many"),
        (["data.noise=interval(0,1)"], "needs a sweeper that draws from it"),
    ],
)
def test_impossible_sweeps(overrides, reason) -> None:
    with pytest.raises(ConfigError) as error:
        check_count(OverridesParser.create().parse_overrides(overrides), 1000)
    assert reason in str(error.value)


def test_possible_sweeps() -> None:
    check_count(
        OverridesParser.create().parse_overrides(["seed=1,2", "data.noise=range(0,1,0.1)", "a=1"]), 20
    )

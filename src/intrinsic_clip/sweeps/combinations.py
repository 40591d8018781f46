"""Count the runs of a sweep before they are listed."""

import math
from collections.abc import Sequence

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from intrinsic_clip.errors import ConfigError


def check_count(overrides: Sequence[Override], most: int) -> None:
    """Check that a sweep has runs, and no more than `most`.

    Raises:
        ConfigError: a setting has no value, steps by zero or takes an interval, or there are too many combinations.
    """
    total = 1
    for override in overrides:
        if not override.is_sweep_override():
            continue
        count = _count(override)
        if count == 0:
            raise ConfigError(f"{override.input_line}: has no values to sweep over")
        total *= count
    if total > most:
        raise ConfigError(f"{total:,} runs are too many for one sweep; it takes at most {most:,}")


def _count(override: Override) -> int:
    values = override.value()
    if isinstance(values, RangeSweep):
        if not values.step:
            raise ConfigError(f"{override.input_line}: the step must not be 0")
        if values.start is None or values.stop is None:
            return 0
        return max(0, math.ceil((values.stop - values.start) / values.step))
    if isinstance(values, IntervalSweep):
        raise ConfigError(
            f"{override.input_line}: interval(…) needs a sweeper that draws from it; range(…) counts"
        )
    return len(values.list) if isinstance(values, ChoiceSweep) else 1

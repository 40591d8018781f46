"""The interval over regions of points is as wide as estimates spread over fresh samples."""

import numpy as np
import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.dimension import mle
from intrinsic_clip.dimension.block_bootstrap import block_bootstrap


@pytest.mark.parametrize("m", [2, 6])
def test_the_interval_of_mle_is_its_spread_over_samples(m) -> None:
    values, widths, formula = [], [], []
    for seed in range(50):
        points = gaussian(300, m, seed=seed)
        estimate = mle(points, 20)
        interval = block_bootstrap(1 / estimate.pointwise, points, seed=seed)
        values.append(float(estimate.value))
        widths.append((1 / interval.low - 1 / interval.high) / (2 * 1.96))
        formula.append(float(estimate.standard_error))
    assert 0.8 < np.mean(widths) / np.std(values) < 1.5
    assert np.mean(widths) > 1.15 * np.mean(formula)  # which ignores that neighbourhoods overlap


def test_nearby_values_that_depend_on_each_other_widen_the_interval() -> None:
    places = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    waves = torch.sin(places[:, 0] * 20)
    shuffled = waves[torch.randperm(2000)]
    together, apart = (block_bootstrap(values, places) for values in (waves, shuffled))
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert apart.low < float(waves.mean()) < apart.high


def test_values_without_a_number_are_left_out() -> None:
    values, places = torch.ones(100), gaussian(100, 2)
    values[:50] = torch.nan
    interval = block_bootstrap(values, places)
    assert (interval.low, interval.high, interval.regions) == (1, 1, 6)
    assert np.isnan(block_bootstrap(values[:60], places[:60]).low)


@pytest.mark.parametrize("far", ["rows", "one column", "single precision", "tiny", "huge"])
def test_the_interval_does_not_depend_on_where_the_rows_lie(far) -> None:
    """Of rows far from the origin all seemed equally near to all, so that regions were no places."""
    places = gaussian(2000, 5)
    waves = torch.sin(2 * places[:, 0])
    moved = {
        "rows": places + 1e5,
        "one column": torch.cat([places, places.new_full((2000, 1), 1e9)], 1),
        "single precision": (places + 1e4).float(),
        "tiny": places * 1e-300,
        "huge": places * 1e300,
    }[far]
    near, there = block_bootstrap(waves, places), block_bootstrap(waves, moved)
    assert there.high - there.low == pytest.approx(near.high - near.low, rel=0.02)

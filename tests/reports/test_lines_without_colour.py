"""Lines of a figure can be told apart without colour, and epochs are whole numbers."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intrinsic_clip.paper_figures import dynamics, recipes, sample_size, style, temperatures

STEPS = [0, 1, 2, 3]


def runs(settings: Mapping[str, list[Any]] = {}) -> Any:
    """Return what a figure asks finished runs for: short curves, and settings by name."""
    curve = pd.DataFrame({"step": STEPS, "epoch": STEPS, "mean": 1.0, "std": 0.1, "count": 2})
    rows = np.eye(3)
    return SimpleNamespace(
        tables={"sample_size": pd.DataFrame({"metric": ["id/mle/x"]})},
        note="size=smoke",
        settings=lambda experiment, key: settings[key],
        curve=lambda *key, **where: curve.assign(at=curve["step"] + 1),
        trajectory=lambda *key, **where: curve,
        row_count=lambda *key: "",
        shown_dims=lambda experiments: [(experiment, 19) for experiment in experiments],
        shown_dim=lambda experiment: 19,
        embeddings=lambda experiment, d: SimpleNamespace(x=rows, y=rows),
    )


@pytest.mark.parametrize(
    ("module", "settings", "panel", "count"),
    [
        (sample_size, {"data.n_train": [1000, 2000, 5000, 10000, 20000, 50000]}, 2, 6),
        (temperatures, {}, 0, 7),
        (recipes, {"data._target_": ["data.SyntheticLinear"]}, 0, 2),
    ],
)
def test_lines_differ_in_more_than_their_colour(module, settings, panel, count) -> None:
    with style.in_style():
        ax = module.draw(runs(settings)).axes[panel]
    shown = [line for line in ax.lines if not line.get_label().startswith("k*")]
    assert len(shown) == count
    kinds = {(str(line._unscaled_dash_pattern), str(line.get_marker())) for line in shown}
    assert len(kinds) == count


@pytest.mark.parametrize(("module", "panels"), [(dynamics, (1, 2)), (temperatures, (0,))])
def test_epochs_have_whole_numbers_at_the_axis(module, panels) -> None:
    with style.in_style():
        figure = module.draw(runs())
    for panel in panels:
        assert figure.axes[panel].get_xlabel() == "epoch"
        assert all(float(tick).is_integer() for tick in figure.axes[panel].get_xticks())

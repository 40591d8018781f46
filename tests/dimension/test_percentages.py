"""Shares are written into names so that they can be read back."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrinsic_clip.dimension.percentages import percentage, share_of


@given(st.floats(1e-300, 1.0))
def test_a_share_is_read_back(share: float) -> None:
    assert share_of(percentage(share)) == share
    assert not set(percentage(share)) - set("0123456789.")


@pytest.mark.parametrize(
    "share", [0.005, 0.001, 0.01, 0.05, 0.07, 0.29, 0.5, 0.575, 0.9, 0.95, 0.99, 0.999, 1.0, 1]
)
def test_names_of_usual_shares_stay(share: float) -> None:
    assert percentage(share) == f"{100 * share:g}"


def test_other_kinds_of_numbers() -> None:
    assert percentage(np.float32(0.1)) == "10"
    assert percentage(np.float64(0.005)) == "0.5"
    assert percentage(Fraction(1, 4)) == "25"
    assert math.isclose(share_of(percentage(Fraction(1, 3))), 1 / 3)

"""Reasons why a value does not fit: one line of what would be right, without the words of a validator's insides."""

from collections.abc import Sequence
from typing import Any

import pytest
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.command import _check_device
from intrinsic_clip.typed_values import check_type


@pytest.mark.parametrize(
    ("value", "annotation", "reason"),
    [
        ("1e-3x", float | Tensor, "input should be a valid number"),
        ("many", Tensor | int | None, "input should be a valid integer"),
        ("mle", list[str], "input should be a valid array, [mle] is a list"),
        (4, list[int] | None, "input should be a valid array, [4] is a list"),
        (0.5, Sequence[float], "input should be a valid array, [0.5] is a list"),
        ("a", tuple[str, ...], "input should be a valid array, [a] is a list"),
        ({"a": 1}, list[str], "input should be a valid array"),
        ("a", int | list[int], "input should be a valid integer or input should be a valid array"),
    ],
)
def test_a_reason_is_what_would_be_right(value: Any, annotation: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_type("key", value, annotation)
    assert str(error.value).partition(": ")[2].endswith(reason)
    assert "JsonOrPython" not in str(error.value)


@pytest.mark.parametrize("device", ["gpu", "cudaa", "cuda:x"])
def test_a_device_that_is_none_names_those_that_are(device: str) -> None:
    with pytest.raises(ConfigError) as error:
        _check_device(device)
    assert str(error.value) == f"device={device}: must be cuda, cuda:0, …, or null for the CPU"

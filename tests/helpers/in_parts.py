"""Read a table in parts of a few rows, and hold that against reading it whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intrinsic_clip.data.formats import arrow_numbers, column_roles, number_tables, text_rows
from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import open_array, read_array
from intrinsic_clip.data.formats.batched_rows import whole
from intrinsic_clip.data.formats.column_choice import ColumnChoice
from intrinsic_clip.errors import ConfigError

ROWS = 25  # in a part


def check_in_parts(path: Path, choice: ColumnChoice | None = None) -> bool:
    """Check that a table read in parts gives the rows, notes or error of the whole; return whether it was so read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "FEWEST", 0)
        patch.setattr(number_tables, "READ", 1)
        for module in (text_rows, arrow_numbers, column_roles):
            patch.setattr(module, "HEAD", ROWS)
        expected, opened = (result(read, path, choice) for read in (read_array, open_array))
    if opened is None or isinstance(expected, str):
        assert opened in (None, expected)
        return opened is not None
    (rows, notes), (source, given) = expected, opened
    assert given == notes
    np.testing.assert_array_equal(whole(source).numpy(), rows.double().numpy())
    chosen = torch.tensor([len(rows) - 1, 0, 0])
    np.testing.assert_array_equal(source.take(chosen).numpy(), rows[chosen].double().numpy())
    return True


def result(read: Callable[..., Any], path: Path, choice: ColumnChoice | None = None) -> Any:
    """Return what a reader gives, or the message of its error."""
    try:
        return read(path, Key(), choice)
    except ConfigError as error:
        return str(error)

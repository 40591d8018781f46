"""The memory that a measurement is allowed is checked before files are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement import large
from intrinsic_clip.measurement.loading import LoadedEmbeddings, load, open_files
from intrinsic_clip.measurement.memory_limit import PAIRS, WHOLE, WHOLE_DOUBLES, at_work

SETTINGS: dict[str, Any] = {
    "x": "x.npy", "y": None, "x_key": None, "y_key": None, "run": None, "data": None, "columns": None, "drop": None,
    "queries": "all", "subsample": None, "nan": "refuse", "k": 20, "memory_gb": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def files() -> None:
    """Write rows of 32 MB in half precision, without filling the disk, and a table."""
    np.lib.format.open_memmap("x.npy", "w+", np.float16, (10**6, 16))
    Path("x.csv").write_text("a,b\n" + "1.5,2.5\n" * 100)


def test_what_is_read_whole_must_fit() -> None:
    message = r"memory_gb=1.3: x takes about 1.4 GB read whole; queries=auto"
    with pytest.raises(ConfigError, match=message):
        load(None, {**SETTINGS, "memory_gb": 1.3})  # type: ignore[arg-type]
    assert isinstance(load(None, {**SETTINGS, "memory_gb": 1.45}), LoadedEmbeddings)  # type: ignore[arg-type]
    table = {**SETTINGS, "x": "x.csv", "memory_gb": 1.2}
    with pytest.raises(ConfigError, match=r"memory_gb=1\.2: x takes about 1.2 GB"):
        load(None, table)  # type: ignore[arg-type]


def test_what_is_read_block_by_block_must_fit_with_what_is_kept_of_a_row() -> None:
    settings = {**SETTINGS, "queries": "auto", "x": "x.npy"}
    assert open_files({**settings, "memory_gb": 1.3}) is not None
    with pytest.raises(
        ConfigError, match=r"memory_gb=1\.25: 1,000,000 rows take about 1.26 GB read block by block"
    ):
        open_files({**settings, "memory_gb": 1.25})


def test_wide_rows_take_more_at_work_however_they_are_read() -> None:
    """Copies of 25,000 rows are at work: their bytes grow with the width and the precision."""
    for name, dtype in (("x", np.float64), ("y", np.float64), ("half", np.float16)):
        np.lib.format.open_memmap(f"{name}.npy", "w+", dtype, (60_000, 768))
    settings = {**SETTINGS, "queries": "auto", "y": "y.npy"}
    need = at_work([(60_000, 768, 8)] * 2) + 2 * 60_000 * 60 / 1e9
    with pytest.raises(ConfigError, match=rf"60,000 rows take about {need:.3g} GB read block by block"):
        open_files({**settings, "memory_gb": need - 0.1})
    assert open_files({**settings, "memory_gb": need + 0.1}) is not None
    assert open_files({**settings, "x": "half.npy", "y": "half.npy", "memory_gb": need - 0.1}) is not None
    whole = WHOLE + (WHOLE_DOUBLES + 1) * 60_000 * 768 * 8 / 1e9
    with pytest.raises(ConfigError, match=rf"x takes about {whole:.3g} GB read whole"):
        load(None, {**SETTINGS, "memory_gb": whole - 0.1})  # type: ignore[arg-type]


def test_what_is_at_work_depends_on_no_more_rows_than_are_fitted() -> None:
    assert PAIRS == 2 * large.FITTED
    assert at_work([(10**9, 2048, 4)]) == at_work([(PAIRS, 2048, 4)]) > at_work([(PAIRS // 2, 2048, 4)])

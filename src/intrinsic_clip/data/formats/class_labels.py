"""Read label sets, one class per pair, from files or names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.formats.arrays import PARQUET_HINT, Key, read_array
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

TABLES = (".csv", ".tsv", ".txt", ".parquet")


def class_codes(names: Sequence[object] | np.ndarray) -> Tensor:
    """Return a number per class name, `(n,)` int64: equal for equal names, in the order of the sorted names."""
    return torch.from_numpy(np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64).reshape(-1))


def read_labels(path: Path, key: Key) -> Tensor:
    """Read classes `(n,)` int64 from a column of a table, or from an array `(n,)` or `(n, 1)` of numbers or names.

    Raises:
        ConfigError: there is no such file, it is damaged, or it does not hold one class per row.
    """
    try:
        require_regular(path)
    except OSError as error:
        raise ConfigError((error.strerror or "cannot be read").lower()) from error
    if path.suffix.lower() in TABLES:
        return class_codes(_column(path, key))
    if path.suffix.lower() in (".npy", ".npz"):
        return class_codes(_array(path, key))
    rows, _ = read_array(path, key)
    if rows.shape[1] != 1:
        raise ConfigError(f"holds {rows.shape[1]} columns; must hold one, of classes")
    return class_codes(rows[:, 0].tolist())


def _column(path: Path, key: Key) -> list[str]:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str)
    except ImportError as error:
        raise ConfigError(PARQUET_HINT) from error
    except FileNotFoundError as error:
        raise ConfigError("no such file or directory") from error
    except (ValueError, OSError) as error:
        raise ConfigError(f"damaged, or not a table ({str(error).splitlines()[0]})") from error
    names = [str(name) for name in table.columns]
    offered = [name for name in names if not name.startswith("Unnamed: ")]  # pandas' own row numbers
    chosen = key.choose(names if key.value in names else offered, "columns")
    column = table.iloc[:, names.index(chosen)]
    missing = int(column.isna().sum())
    if missing:
        raise ConfigError(f"column {chosen!r} lacks a class in {missing:,} of {len(column):,} rows")
    return [str(value) for value in column]


def _array(path: Path, key: Key) -> np.ndarray:
    """Read an array of numbers or names without pickle; `read_array` refuses names."""
    try:
        loaded = np.load(path, allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded[key.choose(list(loaded), "arrays")]
    except OSError as error:
        raise ConfigError((error.strerror or "damaged, or not a NumPy file").lower()) from error
    except ConfigError:
        raise
    except Exception as error:  # zipfile and NumPy raise many types on damaged files
        raise ConfigError(f"damaged, or holds Python objects ({str(error).splitlines()[0]})") from error
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1):
        raise ConfigError(f"holds shape {array.shape}; must be (rows,): one class per row")
    if array.dtype.kind not in "iubfUS":
        raise ConfigError(f"holds {array.dtype}; must hold classes, numbers or names")
    return array.reshape(-1)

"""Tables of texts: captions, file names, classes; .csv, .tsv, .json lists or .parquet."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.data.formats.arrays import PARQUET_HINT
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, separator: str = ",", **options: Any) -> "pd.DataFrame":
    """A table whose every cell is text, empty where nothing is; `options` are those of pandas.read_csv.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            return table.astype(object).where(table.notna(), "").astype(str)
        return pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", **options
        )
    except ImportError as error:
        raise ConfigError(PARQUET_HINT) from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (ValueError, OSError) as error:  # pandas' and pyarrow's errors are of these types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path}: damaged, or not a {path.suffix} table ({reason})") from error


def require_columns(path: Path, table: "pd.DataFrame", *columns: str) -> None:
    """Raise ConfigError where a column is missing."""
    for column in columns:
        if column not in table.columns:
            held = ", ".join(map(str, table.columns))
            raise ConfigError(f"{path}: has no column {column!r}; its columns are {held}")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged, or not JSON ({str(error).splitlines()[0]})") from error

"""Read tables of texts (captions, file names, classes) from .csv, .tsv and .parquet, and JSON files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip.data.formats.arrays import PARQUET_HINT
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, separator: str = ",", **options: Any) -> "pd.DataFrame":
    """Read a table whose cells are all text, empty where a value is missing.

    Args:
        path: a .parquet file, or one of separated values.
        separator: between values.
        options: see pandas.read_csv.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    import pandas as pd

    try:
        require_regular(path)
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


def require_setting_file(setting: str, path: Path) -> None:
    """Check that the file that a setting names exists; raise ConfigError that names the setting."""
    try:
        require_regular(path)
    except FileNotFoundError as error:
        raise ConfigError(f"data.{setting}={path}: no such file") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"data.{setting}={path}: {getattr(error, 'strerror', error)}".lower()) from error


def require_columns(path: Path, table: "pd.DataFrame", *columns: str) -> None:
    """Check that a table has these columns; raise ConfigError that names the first missing one."""
    for column in columns:
        if column not in table.columns:
            names = ", ".join(map(str, table.columns))
            raise ConfigError(f"{path}: has no column {column!r}; its columns are {names}")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ConfigError: there is no such file, or it is damaged.
    """
    try:
        require_regular(path)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"{path}: damaged, or not JSON ({str(error).splitlines()[0]})") from error

"""Read .parquet, .feather and .arrow files into columns of plain types."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from intrinsic_clip.data.formats.arrow_files import is_arrow, is_stream, pyarrow_errors
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

PACKED = (".parquet", ".feather", ".arrow", ".ipc")
LOOKED_AT = 100


def read_packed(path: Path) -> "pd.DataFrame":
    """Return the columns of a .parquet, .feather or .arrow file, without the index that pandas stored in it.

    Raises:
        ConfigError: it is damaged, or pyarrow is not installed.
        FileNotFoundError: there is no such file.
    """
    import pandas as pd

    try:
        with pyarrow_errors(f"a {path.suffix}"):
            table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_arrow(path)
    except ImportError as error:
        raise ConfigError(f"reading {path.suffix.lower()} needs pyarrow: pip install pyarrow") from error
    columns = [plain(table.iloc[:, place]) for place in range(table.shape[1])]
    return pd.concat(columns, axis=1) if columns else table


def _read_parquet(path: Path) -> "pd.DataFrame":
    """Return the table in a .parquet file; columns of one name, which pandas cannot ask for, are read by place."""
    import pandas as pd
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        file = pq.ParquetFile(opened)
        if len(set(file.schema_arrow.names)) < len(file.schema_arrow.names):
            return file.read().to_pandas()
    return pd.read_parquet(path)


def _read_arrow(path: Path) -> "pd.DataFrame":
    """Return the table in an IPC file, which Feather is too, or in a stream."""
    import pandas as pd

    if not path.stat().st_size or not (is_arrow(path) and is_stream(path)):
        return pd.read_feather(path)
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_pandas()


def plain(column: "pd.Series") -> "pd.Series":
    """Return a column of categories or of decimals as the numbers or texts that these are, any other as it is."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        kind = column.cat.categories.dtype
        return column.astype("float64" if kind.kind in "fiub" and column.isna().any() else kind)
    head = column.dropna().head(LOOKED_AT) if column.dtype == object else []
    if len(head) and all(isinstance(value, Decimal) for value in head):
        return pd.to_numeric(column.map(lambda value: None if value is None else float(value)))
    return column

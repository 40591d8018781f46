"""Write the folders of data sets that `save_to_disk` of Hugging Face's `datasets` writes."""

import json
from pathlib import Path

import pyarrow as pa


def write_folder(path: Path, table: pa.Table, files: int = 2, rows: int = 100) -> None:
    """Write a table as so many Arrow streams of batches of so many rows, and the file that lists them."""
    path.mkdir()
    names = [f"data-{number}.arrow" for number in range(files)]
    size = -(-len(table) // files)
    for number, name in enumerate(names):
        with pa.ipc.new_stream(path / name, table.schema) as stream:
            stream.write_table(table.slice(number * size, size), max_chunksize=rows)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))

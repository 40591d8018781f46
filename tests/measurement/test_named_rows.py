"""Shards and data sets as x and y: the same rows on both sides, an address by their contents, missing rows."""

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.loading import folder_of, load, open_files

ROWS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
SETTINGS: dict[str, Any] = {
    "x": None, "y": None, "x_key": None, "y_key": None, "run": None, "data": None, "encoder": None, "columns": None,
    "drop": None, "queries": "auto", "subsample": None, "nan": "refuse", "k": 5, "output_dir": "outputs",
}  # fmt: skip


def shard(name: str, keys: list[int], *extensions: str) -> None:
    """Write a shard with one vector for each key and extension."""
    with tarfile.open(name, "w") as tar:
        for key in keys:
            for extension in extensions:
                content = BytesIO()
                np.save(content, ROWS[key])
                info = tarfile.TarInfo(f"{key:03}.{extension}")
                info.size = content.tell()
                tar.addfile(info, BytesIO(content.getvalue()))


def test_two_members_of_the_same_shards_are_pairs() -> None:
    shard("0.tar", list(range(150)), "image.npy", "text.npy")
    shard("1.tar", list(range(150, 300)), "image.npy", "text.npy")
    named = {"x": "{0..1}.tar", "y": "{0..1}.tar", "x_key": "image.npy", "y_key": "text.npy"}
    embeddings = load(None, SETTINGS | named)  # type: ignore[arg-type]
    assert all(torch.equal(rows, torch.from_numpy(ROWS)) for rows in embeddings.sides.values())
    files = open_files(SETTINGS | named | {"queries": 100})
    assert files is not None
    assert torch.equal(files.sources["y"].take(torch.arange(300)), torch.from_numpy(ROWS))
    first = folder_of(SETTINGS | named)
    Path("1.tar").rename("2.tar")
    assert folder_of(SETTINGS | named | {"x": "{0,2}.tar", "y": "{0,2}.tar"}) == first
    assert folder_of(SETTINGS | named | {"x": "{2,0}.tar", "y": "{2,0}.tar"}) != first


@pytest.mark.parametrize("queries", ["auto", 100])
def test_rows_of_other_names_are_no_pairs(queries: int | str) -> None:
    shard("x.tar", list(range(200)), "npy")
    shard("y.tar", [*range(5), *range(6, 201)], "npy")
    settings = SETTINGS | {"x": "x.tar", "y": "y.tar", "queries": queries}
    message = "x and y name their rows differently: row 6 is '005' in x and '006' in y; row i of each"
    with pytest.raises(ConfigError, match=message):
        open_files(settings) or load(None, settings)  # type: ignore[arg-type]


def test_a_null_is_told_apart_from_nan() -> None:
    lists = [None if place in (3, 4) else row.tolist() for place, row in enumerate(ROWS)]
    lists[9] = [1.0, 2.0, float("nan"), 3.0]
    table = pa.table({"v": pa.array(lists, pa.list_(pa.float32()))})
    Path("folder").mkdir()
    with pa.ipc.new_stream("folder/data.arrow", table.schema) as writer:
        writer.write_table(table)
    Path("folder/state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    with pytest.raises(ConfigError) as error:
        load(None, SETTINGS | {"x": "folder"})  # type: ignore[arg-type]
    assert str(error.value) == (
        "2 of 300 rows of x are missing (null, or NaN throughout), 1 of 300 rows of x hold NaN or infinity; "
        "nan=drop leaves them out (with their partners)"
    )

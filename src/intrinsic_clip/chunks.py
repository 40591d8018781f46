"""Put the chunks of a run, groups of its replicates that were trained one after the other, together again."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from intrinsic_clip import results


def put_together(folders: Sequence[Path], settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the run's metrics over time and embeddings from those of its chunks; returns its results.

    Args:
        folders: of the chunks, in the order of their replicates, each with results.json.
        settings: the run's resolved config.
        folder: the run's.
    """
    parts = [results.read_completed(part) or {} for part in folders]
    header, rows = "", []
    for part in folders:
        header, *lines = (part / results.METRICS).read_text().splitlines(keepends=True)
        rows += lines
    results.write_atomically(folder / results.METRICS, "".join([header, *rows]))
    _join_embeddings(folders, folder)
    return {
        **parts[0],
        "config": dict(settings),
        "timings": {name: _total([part["timings"][name] for part in parts]) for name in parts[0]["timings"]},
        "metrics": {
            name: results.summarise(_joined([part["metrics"][name]["values"] for part in parts]))
            for name in parts[0]["metrics"]
        },
        "reasons": {name: reason for part in parts for name, reason in part["reasons"].items()},
    }


def _joined(parts: list[list[Any]]) -> list[Any]:
    """Values along the last axis, that of the replicates."""
    if isinstance(parts[0][0], list):
        return [list(chain(*rows)) for rows in zip(*parts, strict=True)]
    return list(chain(*parts))


def _total(values: list[Any]) -> Any:
    return any(values) if isinstance(values[0], bool) else sum(values)


def _join_embeddings(folders: Sequence[Path], folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save

    parts = [load_file(part / results.EMBEDDINGS) for part in folders]
    joined = {
        name: tensor
        if name.startswith("label_") or tensor.ndim < 3
        else torch.cat([p[name] for p in parts], dim=-3)
        for name, tensor in parts[0].items()
    }
    results.write_atomically(folder / results.EMBEDDINGS, save(joined))

"""Chunks of a run: groups of its replicates that are trained one after the other, where all at once would not fit."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

from omegaconf import DictConfig

from intrinsic_clip.runs import atomic, results, stored_embeddings
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.training.build import build, one_replicate

PLAN = "chunks.json"


def plan(cfg: DictConfig, settings: Mapping[str, Any], folder: Path) -> list[list[int]]:
    """Say how much memory the run takes; replicate indices in the groups that fit, one group if they all do.

    A run that has begun goes on with the groups it began with, whatever memory is free by now.
    """
    from pytorch_lightning.utilities import rank_zero_only

    from intrinsic_clip.training import memory

    replicates = Replicates.of(settings)
    indices = list(replicates.indices or (0,))
    data, module, _ = build(*one_replicate(cfg, settings))
    need, given = memory.estimate(module, data), settings["memory_gb"]
    limit = memory.available(settings["trainer"]["accelerator"]) if given is None else given * memory.GIB
    groups = _begun_with(folder, indices) or memory.chunks(indices, need, limit)
    if not getattr(rank_zero_only, "rank", 0):
        amounts = f"{need * len(indices) / memory.GIB:.2f} GiB of {limit / memory.GIB:.1f} GiB"
        split = "" if len(groups) == 1 else f", so it trains in {len(groups)} chunks"
        print(f"Memory: about {amounts} for {replicates}{split}", flush=True)
    return groups


def _begun_with(folder: Path, indices: list[int]) -> list[list[int]] | None:
    if (folder / "last.ckpt").exists():
        return [indices]
    try:
        groups = json.loads((folder / PLAN).read_text())
    except (OSError, ValueError):
        return None
    return groups if list(chain(*groups)) == indices else None


def make_folders(folder: Path, groups: Sequence[Sequence[int]]) -> list[Path]:
    """Make the chunks' folders in that of the run, and note the groups there."""
    atomic.write_atomically(folder / PLAN, json.dumps(groups))
    parts = [folder / "chunks" / f"{folder.name}-{indices[0]}-{indices[-1]}" for indices in groups]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    return parts


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
    atomic.write_atomically(folder / results.METRICS, "".join([header, *rows]))
    _join_embeddings(folders, folder)
    if (folders[0] / results.EXAMPLES).exists():  # those of the first replicate
        atomic.write_atomically(folder / results.EXAMPLES, (folders[0] / results.EXAMPLES).read_bytes())
    return {
        **parts[0],
        "config": dict(settings),
        "timings": {
            **{name: _total([part["timings"][name] for part in parts]) for name in parts[0]["timings"]},
            "pairs_per_second": _overall_rate(parts),
        },
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
    return any(values) if isinstance(values[0], bool) else sum(value or 0 for value in values)


def _overall_rate(parts: Sequence[Mapping[str, Any]]) -> float | None:
    """Pairs per second of chunks that were trained one after the other, each as many epochs."""
    rates = [part["timings"]["pairs_per_second"] for part in parts]
    counts = [len(Replicates.of(part["config"])) for part in parts]
    return None if None in rates else harmonic_mean(rates, counts)


def _join_embeddings(folders: Sequence[Path], folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save

    parts = [load_file(part / stored_embeddings.EMBEDDINGS) for part in folders]
    joined = {
        name: tensor
        if name.startswith("label_") or tensor.ndim < 3
        else torch.cat([p[name] for p in parts], dim=-3)
        for name, tensor in parts[0].items()
    }
    atomic.write_atomically(folder / stored_embeddings.EMBEDDINGS, save(joined))

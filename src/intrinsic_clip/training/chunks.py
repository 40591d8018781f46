"""Train a run in chunks: groups of its replicates, one after the other, where all at once would not fit."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import atomic, results
from intrinsic_clip.runs.chunk_folders import PLAN, chunk_folders, read_plan, write_plan
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.sealed import Damaged
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS, join_embeddings


def plan(spec: RunSpec) -> list[list[int]]:
    """Return the replicate indices of each chunk; one chunk if all train at once.

    A run that has begun resumes with the chunks it began with, even if `replicates_per_chunk` has changed.
    """
    indices = list(spec.replicates.indices or (0,))
    return begun_with(spec.folder, indices) or groups(indices, spec.settings["replicates_per_chunk"])


def groups(indices: Sequence[int], most: int | None) -> list[list[int]]:
    """Split replicate indices into the fewest groups of at most `most`, of nearly equal size."""
    count = -(-len(indices) // (most or len(indices)))
    size, more = divmod(len(indices), count)
    starts = [i * size + min(i, more) for i in range(count + 1)]
    return [list(indices[a:b]) for a, b in pairwise(starts)]


def begun_with(folder: Path, indices: list[int]) -> list[list[int]] | None:
    """Return the replicate indices of each chunk that a run began with; None if it has not begun."""
    if (folder / results.CHECKPOINT).exists():
        return [indices]
    try:
        begun = read_plan(folder)
    except Damaged as error:
        begun = _version_0(folder / PLAN)
        if begun is None:
            print(f"{error.without_remedy}; the chunks are planned anew", flush=True)
    return begun if begun and list(chain(*begun)) == indices else None


def _version_0(path: Path) -> list[list[int]] | None:
    """Return the plan as version 0 wrote it, a list of lists of replicate indices; None if it is no such list."""
    try:
        plain = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    is_plan = isinstance(plain, list) and all(
        isinstance(part, list) and part and all(type(index) is int for index in part) for part in plain
    )
    return plain if is_plan else None


def begin(folder: Path, chunks: Sequence[Sequence[int]]) -> None:
    """Make the chunks' folders, and note in the run folder which replicates they hold."""
    write_plan(folder, chunks)
    for part in chunk_folders(folder, chunks):
        atomic.make_folder(part)


def check_finished(folder: Path) -> None:
    """Check the files of a chunk that is done, before hours are spent on those that will be joined with it.

    Raises:
        ConfigError: one is missing or damaged.
    """
    completed = _finished(folder)
    damaged = results.damaged_files(folder, completed)
    gone = [name for name in completed.get("files", {}) if not (folder / name).exists()]
    if damaged or gone:
        raise ConfigError(damaged[0] if damaged else f"{folder / gone[0]}: missing; {results.REMEDY}")


def join(folders: Sequence[Path], spec: RunSpec) -> dict[str, Any]:
    """Write the run's metrics over time and embeddings from those of its chunks; return its results.

    Args:
        folders: of the chunks, in the order of their replicates, each with results.json.
        spec: the run.

    Raises:
        ConfigError: a file of a chunk is missing or damaged.
    """
    parts = [_finished(part) for part in folders]
    files = [part.get("files", {}) for part in parts]
    tables = [
        _metrics(folder, known.get(results.METRICS)) for folder, known in zip(folders, files, strict=True)
    ]
    header = tables[0].partition(b"\n")[0]
    rows = [table.partition(b"\n")[2] for table in tables]
    atomic.write_atomically(spec.folder / results.METRICS, b"".join([header, b"\n", *rows]))
    join_embeddings(folders, spec.folder, [known.get(EMBEDDINGS) for known in files])
    if (folders[0] / results.EXAMPLES).exists():  # those of the first replicate
        examples = (folders[0] / results.EXAMPLES).read_bytes()
        atomic.write_atomically(spec.folder / results.EXAMPLES, examples)
    timings = {name: _total([part["timings"][name] for part in parts]) for name in parts[0]["timings"]}
    metrics = {
        name: results.summarise(_joined([part["metrics"][name]["values"] for part in parts]))
        for name in parts[0]["metrics"]
    }
    return {
        **parts[0],
        "config": dict(spec.settings),
        "timings": {**timings, "pairs_per_second": _overall_rate(parts)},
        "metrics": metrics,
        "reasons": _reasons(parts),
        "notes": _of_whole_run([part.get("notes", []) for part in parts], parts),
    }


def _reasons(parts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return why numbers are NaN, by name, with the reasons of all chunks."""
    names = dict.fromkeys(name for part in parts for name in part["reasons"])
    by_chunk = {
        name: [[part["reasons"][name]] if name in part["reasons"] else [] for part in parts] for name in names
    }
    return {name: "; ".join(_of_whole_run(texts, parts)) for name, texts in by_chunk.items()}


def _of_whole_run(texts: Sequence[Sequence[str]], parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the texts of all chunks, each once and after the chunks that say it, since they count replicates."""
    indices = [", ".join(map(str, Replicates.of(part["config"]).indices or ())) for part in parts]
    whole = []
    for text in dict.fromkeys(chain(*texts)):
        saying = [own for own, said in zip(indices, texts, strict=True) if text in said]
        chunks = f"chunk{'s' * (len(saying) > 1)} of replicates {' | '.join(saying)}"
        whole.append(f"{'each chunk' if len(saying) == len(parts) else chunks}: {text}")
    return whole


def _finished(folder: Path) -> dict[str, Any]:
    part = results.read_completed(folder)
    if part is None:
        raise ConfigError(f"{folder / results.RESULTS}: damaged; {results.REMEDY}")
    return part


def _metrics(folder: Path, expected: Mapping[str, Any] | None) -> bytes:
    """Return the metrics file of a chunk, if it is what was written."""
    results.read_metrics(folder, expected)
    return (folder / results.METRICS).read_bytes()


def _joined(parts: list[list[Any]]) -> list[Any]:
    """Join values along the last axis, that of the replicates."""
    if isinstance(parts[0][0], list):
        return [list(chain(*rows)) for rows in zip(*parts, strict=True)]
    return list(chain(*parts))


def _total(values: list[Any]) -> Any:
    return any(values) if isinstance(values[0], bool) else sum(value or 0 for value in values)


def _overall_rate(parts: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the pairs per second of chunks that were trained one after the other for the same number of epochs."""
    rates = [part["timings"]["pairs_per_second"] for part in parts]
    counts = [len(Replicates.of(part["config"])) for part in parts]
    return None if None in rates else harmonic_mean(rates, counts)

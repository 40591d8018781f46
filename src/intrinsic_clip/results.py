"""What a run leaves behind: its folder's name, results.json, and how many runs become one table."""

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from intrinsic_clip.replicates import Replicates

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = "results.json"
METRICS = "metrics.csv"
EMBEDDINGS = "embeddings.safetensors"
EXAMPLES = "examples.png"
FAILED = "failed.txt"
# What may differ between two starts of the same run: where it writes, what it shows, the machine it runs on.
NOT_CONTENT = {"output_dir", "logger", "threads", "compile", "memory_gb", "checkpoint_seconds", "progress"}
HARDWARE = {"accelerator", "devices", "num_nodes", "strategy"}
STORAGE = {"folder", "batch_size", "device"}  # of cached features
BLOCKS = {"chunk", "local_block"}  # of the logits: what is computed at a time and where, not what


def run_folder(config: Mapping[str, Any]) -> Path:
    """`<output_dir>/<name>/<hash>`; the hash is of everything that can change the numbers."""
    return Path(config["output_dir"]) / config["name"] / fingerprint(config)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for a resolved config without paths, logger and hardware."""
    return digest(content_of(config))


def content_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resolved config can change the numbers."""
    content = {key: value for key, value in config.items() if key not in NOT_CONTENT}
    content["trainer"] = {key: value for key, value in config["trainer"].items() if key not in HARDWARE}
    if content.get("features"):
        content["features"] = {key: v for key, v in content["features"].items() if key not in STORAGE}
    content["loss"] = {key: value for key, value in config["loss"].items() if key not in BLOCKS}
    return content


def digest(content: Any) -> str:
    """Twelve hexadecimal digits that stand for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def read_completed(folder: Path, name: str = RESULTS) -> dict[str, Any] | None:
    """The results of a finished run, or None if it is unfinished or its file is not valid."""
    try:
        results = json.loads((folder / name).read_text())
    except (OSError, ValueError):
        return None
    return results if isinstance(results, dict) and results.get("status") == "completed" else None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Either the old file or the whole new one is there, whatever happens.

    Raises:
        OSError: with the file's name, also where the disk is full.
    """
    unfinished = path.with_name(path.name + ".tmp")
    with naming(path):
        try:
            with unfinished.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError name the file; the system itself does so only when one is opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_results(folder: Path, results: Mapping[str, Any], name: str = RESULTS) -> None:
    """Write results.json, last and atomically: a folder that has it is done."""
    write_atomically(folder / name, json.dumps(results, indent=2, allow_nan=False) + "\n")


def summarise(value: "Tensor | list[Any]") -> dict[str, Any]:
    """Mean and standard deviation over the replicates of one metric, and each one's value; NaN becomes null.

    A lone run `()` has one value and std null, `(replicates,)` a list of values. With output dimensions in front,
    `(D, replicates)`, mean, std and values are lists with an entry for each. A list is what `values` held.
    """
    values = value if isinstance(value, list) else value.double().reshape(value.shape or (1,)).tolist()
    if isinstance(values[0], list):
        summaries = [summarise(row) for row in values]
        return {key: [summary[key] for summary in summaries] for key in ("mean", "std", "values")}
    values = [number if number is not None and math.isfinite(number) else None for number in values]
    numbers = pd.Series([number for number in values if number is not None], dtype=float)
    mean = float(numbers.mean()) if len(numbers) else None
    return {"mean": mean, "std": float(numbers.std()) if len(numbers) > 1 else None, "values": values}


def versions(
    packages: Iterable[str] = ("torch", "pytorch-lightning", "hydra-core", "wandb", "numpy"),
) -> dict[str, str | None]:
    """Versions of this package, its commit where that is known, Python and what it stands on."""
    found: dict[str, str | None] = {p: importlib.metadata.version(p) for p in ("intrinsic-clip", *packages)}
    return found | {"python": platform.python_version(), "commit": _commit()}


def _commit() -> str | None:
    """The commit of the source tree, `+` after it where files differ from it.

    Outside a checkout it is what INTRINSIC_CLIP_COMMIT says, as in the container image, or None.
    """
    return _commit_of_checkout() or os.environ.get("INTRINSIC_CLIP_COMMIT") or None


def _commit_of_checkout() -> str | None:
    source = Path(__file__).resolve().parent
    git = ["git", "-C", str(source)]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True)
        if tracked.returncode:
            return None
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        ).stdout
    except OSError:
        return None
    return head + ("+" if changed else "") if head else None


def read_metrics(folder: Path) -> pd.DataFrame:
    """The metrics over time of one run: columns step, epoch, metric, output_dim, replicate, value.

    output_dim and replicate are empty where the run has no such axis.
    """
    return pd.read_csv(folder / METRICS)


def collect(folder: str | Path) -> pd.DataFrame:
    """All finished runs below a folder as a tidy table: a row per run, metric and replicate.

    Columns: run (its folder), name, seed, config keys as `encoder.output_dim` …, replicate, metric, value.
    A run that is unfinished, or whose results cannot be read, is left out with a warning that names it; an
    empty folder gives an empty table with the columns that every table has.
    """
    rows: list[dict[str, Any]] = []
    for run in _run_folders(Path(folder)):
        try:
            rows += _rows(run)
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = str(error) if isinstance(error, Unfinished) else f"{RESULTS} is damaged ({error!r})"
            warnings.warn(f"{run} is left out: {reason}", stacklevel=2)
    return pd.DataFrame(
        rows, columns=None if rows else ["run", "name", "seed", "replicate", "metric", "value"]
    )


class Unfinished(ValueError):
    """A run folder without results."""


def _run_folders(folder: Path) -> Iterator[Path]:
    """The folders that runs have written; what lies inside one, also its `chunks`, belongs to that run."""
    for path, folders, files in os.walk(folder):
        if {RESULTS, "config.yaml", FAILED} & set(files):
            folders.clear()
            yield Path(path)
        else:
            folders[:] = sorted(name for name in folders if name != "chunks" and not name.startswith("."))


def _rows(run: Path) -> list[dict[str, Any]]:
    if not (run / RESULTS).exists():
        failed = (run / FAILED).exists()
        raise Unfinished(f"failed ({(run / FAILED).read_text().strip()})" if failed else "unfinished")
    results = json.loads((run / RESULTS).read_text())
    if results["status"] != "completed":
        raise Unfinished("unfinished")
    settings = {"run": str(run), **flatten(results["config"])}
    axes = [
        {"replicate": index or 0} if d is None else {"encoder.output_dim": d, "replicate": index or 0}
        for d, index in Replicates.of(results["config"]).labels()
    ]
    return [
        {**settings, **place, "metric": metric, "value": value}
        for metric, summary in results["metrics"].items()
        for place, value in zip(axes, _flat(summary["values"]), strict=True)
    ]


def _flat(values: list[Any]) -> list[Any]:
    return [v for row in values for v in row] if isinstance(values[0], list) else values


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as `encoder.output_dim` …; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat

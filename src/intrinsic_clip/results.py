"""What a run leaves behind: its folder's name, results.json, and how many runs become one table."""

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = "results.json"
METRICS = "metrics.csv"
# What may differ between two starts of the same run: where it writes, what it shows, the machine it runs on.
NOT_CONTENT = {"output_dir", "logger", "threads", "checkpoint_seconds", "progress"}
HARDWARE = {"accelerator", "devices", "num_nodes", "strategy"}


def run_folder(config: Mapping[str, Any]) -> Path:
    """`<output_dir>/<name>/<hash>`; the hash is of everything that can change the numbers."""
    return Path(config["output_dir"]) / config["name"] / fingerprint(config)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for a resolved config without paths, logger and hardware."""
    content = {key: value for key, value in config.items() if key not in NOT_CONTENT}
    content["trainer"] = {key: value for key, value in config["trainer"].items() if key not in HARDWARE}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def read_completed(folder: Path) -> dict[str, Any] | None:
    """The results of a finished run, or None if it is unfinished or its file is not valid."""
    try:
        results = json.loads((folder / RESULTS).read_text())
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


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write results.json, last and atomically: a folder that has it is done."""
    write_atomically(folder / RESULTS, json.dumps(results, indent=2, allow_nan=False) + "\n")


def summarise(value: "Tensor") -> dict[str, Any]:
    """Mean, standard deviation and each replicate's value of one metric `(*R,)`; NaN becomes null."""
    values = [number if math.isfinite(number) else None for number in value.double().flatten().tolist()]
    numbers = pd.Series([number for number in values if number is not None], dtype=float)
    mean = float(numbers.mean()) if len(numbers) else None
    return {"mean": mean, "std": float(numbers.std()) if len(numbers) > 1 else None, "values": values}


def versions(
    packages: Iterable[str] = ("torch", "pytorch-lightning", "hydra-core", "wandb", "numpy"),
) -> dict[str, str | None]:
    """Versions of this package, its commit where it runs from a checkout, Python and what it stands on."""
    found: dict[str, str | None] = {p: importlib.metadata.version(p) for p in ("intrinsic-clip", *packages)}
    return found | {"python": platform.python_version(), "commit": _commit()}


def _commit() -> str | None:
    """The commit of the source tree, `+` after it where files differ from it; None outside a checkout."""
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
    """The metrics over time of one run: columns step, epoch, metric, value."""
    return pd.read_csv(folder / METRICS)


def collect(folder: str | Path) -> pd.DataFrame:
    """All finished runs below a folder as a tidy table: a row per run, metric and replicate.

    Columns: run (its folder), name, seed, config keys as `encoder.output_dim` …, replicate, metric, value.
    Unfinished runs are left out; an empty folder gives an empty table.
    """
    rows = []
    for path in sorted(Path(folder).glob(f"**/{RESULTS}")):
        results = read_completed(path.parent)
        if results is None:
            continue
        settings = {"run": str(path.parent), **_flatten(results["config"])}
        for metric, summary in results["metrics"].items():
            for replicate, value in enumerate(summary["values"]):
                rows.append({**settings, "replicate": replicate, "metric": metric, "value": value})
    return pd.DataFrame(rows)


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def report(results: Mapping[str, Any], folder: Path) -> str:
    """What a run says at its end: the main numbers beside the truth, and where everything lies."""
    shared_dim = results["shared_dim"]
    truth = "unknown" if shared_dim is None else str(shared_dim)
    n_test = results["n_test"]
    rows: list[tuple[str, ...]] = [("", "f(X)", "g(Y)", "truth")]
    for estimator, label in (("mle", "MLE"), ("twonn", "TwoNN")):
        pair = [_show(results, f"id/{estimator}/{side}") for side in "xy"]
        rows.append((f"intrinsic dimension ({label})", *pair, f"k* = {truth}"))
    rows.append(("", "x → y", "y → x", ""))
    for name in sorted({m.split("/")[1] for m in results["metrics"] if m.startswith("matching/")}):
        pair = [_show(results, f"matching/{name}/{direction}") for direction in ("x_to_y", "y_to_x")]
        chance = f"chance {1 / n_test:.4f}" if name == "top_1" else ""
        rows.append((f"matching accuracy ({name.replace('_', ' ')})", *pair, chance))
    rows.append(("temperature τ", _show(results, "temperature"), "", "→ 0"))
    width = max(len(row[0]) for row in rows)
    table = [f"  {row[0]:<{width}}  {row[1]:>10}  {row[2]:>10}  {row[3]}".rstrip() for row in rows]
    files = [("results", RESULTS), ("picture", "run.png"), ("metrics", METRICS), ("W&B files", "wandb")]
    places = [f"  {label:<10} {folder / name}" for label, name in files if (folder / name).exists()]
    return "\n".join([*table, "", *places])


def _show(results: Mapping[str, Any], metric: str) -> str:
    summary = results["metrics"].get(metric, {"mean": None, "std": None})
    if summary["mean"] is None:
        return "–"
    spread = "" if summary["std"] is None else f" ± {summary['std']:.2g}"
    return f"{summary['mean']:.4g}{spread}"

"""Write and read results.json and metrics.csv, and name the other files of a run folder."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from intrinsic_clip.errors import ConfigError, Unfinished, system_reason
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.sealed import Damaged, check_bytes, fingerprint_of, read_sealed, write_sealed

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = "results.json"
METRICS = "metrics.csv"
CONFIG = "config.yaml"
COLUMNS = ("step", "epoch", "metric", "output_dim", "replicate", "value")  # of metrics.csv
EXAMPLES = "examples.png"
FAILED = "failed.txt"
CHECKPOINT = "last.ckpt"
NEW_KEYS = (
    "address",
    "files",
)  # of results.json since version 1: the folder's name, and fingerprints of its files
SHAPE: dict[str, Any] = {
    "config": dict, "metrics": dict, "timings": dict, "versions": dict, "reasons": dict,
    "n_test": int, "shared_dim": int | None,
}  # fmt: skip
LARGE = 2**26  # bytes
REMEDY = "delete the folder to train the run anew"


def read(folder: Path) -> dict[str, Any]:
    """Return the results of a finished run.

    Raises:
        Unfinished: the run has failed or is unfinished, or its results are damaged; the message says which.
        ConfigError: a newer version of this package wrote them.
    """
    try:
        results = with_todays_names(read_sealed(folder / RESULTS, NEW_KEYS))
        if results is None:
            reason = read_failure(folder)
            raise Unfinished("unfinished" if reason is None else f"failed ({reason})")
        if results["status"] != "completed":
            raise Unfinished("unfinished")
        _check_shape(results)
    except Unfinished:
        raise
    except Damaged as error:
        raise Unfinished(f"{RESULTS} is damaged ({error.reason})") from error
    except ConfigError:
        raise
    except OSError as error:
        raise Unfinished(f"{RESULTS}: {system_reason(error)}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unfinished(f"{RESULTS} is damaged ({error!r})") from error
    return results


def with_todays_names(results: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return results with the settings of a training under their present names: its `objective` was its `loss`."""
    config = results.get("config") if isinstance(results, dict) else None
    if isinstance(config, dict) and isinstance(config.get("loss"), dict) and "objective" not in config:
        config["objective"] = config.pop("loss")
    return results


def read_completed(folder: Path) -> dict[str, Any] | None:
    """Return what a finished run wrote here; None if it is unfinished or the file is not valid.

    Raises:
        ConfigError: a newer version of this package wrote it.
    """
    return completed_or_damage(folder)[0]


def damage(folder: Path) -> str | None:
    """Return the reason why a file of results does not count; None if it does, or there is none."""
    return completed_or_damage(folder)[1]


def completed_or_damage(folder: Path, name: str = RESULTS) -> tuple[dict[str, Any] | None, str | None]:
    """Return what `read_completed` and `damage` do, from one look at the file."""
    try:
        results = with_todays_names(read_sealed(folder / name, NEW_KEYS))
        if results is None or results["status"] != "completed":
            return None, None
        if name == RESULTS and "address" not in results:
            _check_shape(results)
            _check_summaries(results)
    except Damaged as error:
        return None, error.reason
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        return None, repr(error)
    if results.get("address", folder.name) != folder.name:
        return None, f"of another run, {results['address']}"
    return results, None


def _check_shape(results: Mapping[str, Any]) -> None:
    """Check the types of what version 0 held, which had no checksum.

    Raises:
        TypeError, LookupError, AttributeError: a part is missing or of another type.
    """
    results["config"]["replicates"], results["metrics"].items()
    for key, kind in SHAPE.items():
        if key in results and not isinstance(results[key], kind):
            raise TypeError(f"{key} is {type(results[key]).__name__}")
    for name, summary in results["metrics"].items():
        if not isinstance(summary, dict) or not all(map(_is_numbers, summary.values())):
            raise TypeError(f"metrics: {name} is no summary")


def _check_summaries(results: Mapping[str, Any]) -> None:
    """Check that version 0 held all that the printout of a finished run needs.

    Raises:
        TypeError, LookupError: a part is missing or of another type.
    """
    results["config"]["seed"], results["config"]["name"], results["timings"], results["shared_dim"]
    results["n_test"] + 0
    output_dims = Replicates.of(results["config"]).output_dims
    for name, summary in results["metrics"].items():
        for value in (summary["mean"], summary["std"]):
            if output_dims is None and isinstance(value, list):
                raise TypeError(f"metrics: {name} has several output dimensions")
            if output_dims is not None and len(value) != len(output_dims):
                raise TypeError(f"metrics: {name} has other output dimensions")


def _is_numbers(value: Any) -> bool:
    """Return whether a value is a number, null, or lists of them."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_numbers, value))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def write_results(
    folder: Path, results: Mapping[str, Any], name: str = RESULTS, files: Sequence[str] = ()
) -> dict[str, Any]:
    """Write results.json, last and atomically: a folder that has it is done; return its content.

    Args:
        files: names of files in the folder that are read together with it, whose fingerprints it keeps.
    """
    fingerprints = {file: fingerprint_of(folder / file) for file in files if (folder / file).exists()}
    content = {**results, "address": folder.name, "files": fingerprints}
    write_sealed(folder / name, content)
    return content


def lacking(results: Mapping[str, Any]) -> str | None:
    """Return what a page cannot show results without, of version 0, which had no checksum; None if all is there."""
    if "address" in results:
        return None
    try:
        _check_summaries(results)
        results["timings"]["fit_seconds"], results["versions"].items()
    except (LookupError, TypeError, AttributeError) as error:
        return repr(error)
    return None


def damaged_files(folder: Path, results: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each file beside results.json that is no longer what it was; a deleted one has none.

    Large files are compared by their size alone, since a sweep looks at every finished run.
    """
    sentences = []
    for name, expected in results.get("files", {}).items():
        path = folder / name
        try:
            size = path.stat().st_size
            same = size == expected["bytes"] and (size > LARGE or fingerprint_of(path) == expected)
        except FileNotFoundError:
            continue
        except OSError:
            same = False
        if not same:
            sentences.append(f"{path}: damaged since the run was finished; {REMEDY}")
    return sentences


def check_replaceable(folder: Path, names: Sequence[str]) -> None:
    """Require, before hours of work, that nothing but a file is where a file will be written.

    Raises:
        ConfigError: there is a folder, a device or the like of this name.
    """
    for path in (folder / name for name in names):
        if path.exists() and not path.is_file():
            raise ConfigError(
                f"{path}: is no regular file, and the run writes one of this name; move it away"
            )


def read_failure(folder: Path) -> str | None:
    """Return the reason that a failed run left, in one line; None if it left none."""
    try:
        return " ".join((folder / FAILED).read_text(errors="replace").split())
    except OSError:
        return None


def summarise(value: "Tensor | list[Any]") -> dict[str, Any]:
    """Return mean and standard deviation over the replicates of one metric, and each one's value; NaN becomes null.

    A lone run `()` has one value and std null, `(replicates,)` a list of values. With output dimensions in front,
    `(D, replicates)`, mean, std and values are lists with an entry for each.

    Args:
        value: a tensor `(*R,)`, or the list that `values` holds for it.
    """
    values = value if isinstance(value, list) else value.double().reshape(value.shape or (1,)).tolist()
    if isinstance(values[0], list):
        summaries = [summarise(row) for row in values]
        return {key: [summary[key] for summary in summaries] for key in ("mean", "std", "values")}
    values = [number if number is not None and math.isfinite(number) else None for number in values]
    numbers = pd.Series([number for number in values if number is not None], dtype=float)
    mean = float(numbers.mean()) if len(numbers) else None
    return {"mean": mean, "std": float(numbers.std()) if len(numbers) > 1 else None, "values": values}


def read_metrics(folder: Path, expected: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the metrics over time of one run: columns step, epoch, metric, output_dim, replicate, value.

    output_dim and replicate are empty where the run has no such axis.

    Args:
        folder: the run folder.
        expected: the fingerprint in results.json; None: of an unfinished run, or one of version 0.

    Raises:
        ConfigError: metrics.csv is missing or damaged.
    """
    path = folder / METRICS
    try:
        data = path.read_bytes()
        check_bytes(path, data, expected, REMEDY)
        table = pd.read_csv(io.BytesIO(data))
    except OSError as error:
        raise ConfigError(f"{path}: {system_reason(error)}") from error
    except Damaged:
        raise
    except ValueError as error:
        raise Damaged(path, " ".join(str(error).split()), REMEDY) from error
    _check_columns(path, data, table)
    return table


def _check_columns(path: Path, data: bytes, table: pd.DataFrame) -> None:
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise Damaged(path, f"no column {missing[0]}", REMEDY)
    if b"\0" in data:
        raise Damaged(path, "it holds NUL bytes", REMEDY)
    for column in ("step", "epoch", "value"):
        if len(table) and not pd.api.types.is_numeric_dtype(table[column]):
            raise Damaged(path, f"{column} is not always a number", REMEDY)

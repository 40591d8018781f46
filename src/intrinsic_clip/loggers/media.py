"""Log histograms, pictures and tables to any logger that takes them: W&B, TensorBoard, MLflow, Comet and their like.

Loggers are told apart by what they can do, since each comes from two packages, `pytorch_lightning` and
`lightning.pytorch`, and users write their own. A logger that takes none is reported once.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from intrinsic_clip.errors import joined_lines

Service = Literal["wandb", "tensorboard", "mlflow", "comet", "none", "stand-in"]
BINS = 64
_reported: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def service_of(logger: Any) -> Service:
    """Return which service's methods a logger has; `stand-in` for one that keeps nothing, as of a trial run."""
    names = {kind.__name__ for kind in type(logger).__mro__}
    if names & {"DummyLogger", "MetricsFile"}:  # the second holds numbers only, by design
        return "stand-in"
    if "WandbLogger" in names:
        return "wandb"
    experiment = getattr(logger, "experiment", None)
    if type(experiment).__name__ in ("DummyExperiment", "_DummyExperiment"):  # of a process other than rank 0
        return "stand-in"
    if callable(getattr(experiment, "add_histogram", None)):
        return "tensorboard"
    if callable(getattr(experiment, "log_histogram_3d", None)):
        return "comet"
    if callable(getattr(experiment, "log_table", None)) and hasattr(logger, "run_id"):
        return "mlflow"
    return "none"


def log_histogram(logger: Any, name: str, values: Tensor, step: int) -> str | None:
    """Log a histogram.

    MLflow, which has none, gets a table of its bars, one row per bar and step.

    Args:
        values: finite, `(n,)`.

    Returns:
        One line that says why it was not logged, the first time for this logger; otherwise None.
    """
    methods = {
        "wandb": lambda: _histogram_to_wandb(logger, name, values, step),
        "tensorboard": lambda: logger.experiment.add_histogram(name, values, step),
        "comet": lambda: logger.experiment.log_histogram_3d(_as_array(values), name=name, step=step),
        "mlflow": lambda: _bars_to_mlflow(logger, name, values, step),
    }
    return _log(logger, "histograms", methods)


def log_picture(logger: Any, name: str, png: bytes, step: int) -> str | None:
    """Log a picture, given as the contents of a PNG file; returns the same as `log_histogram`."""
    methods = {
        "wandb": lambda: logger.log_image(key=name, images=[_opened(png)], step=step),
        "tensorboard": lambda: logger.experiment.add_image(name, _pixels(png), step, dataformats="HWC"),
        "comet": lambda: logger.experiment.log_image(_opened(png), name=name, step=step),
        "mlflow": lambda: logger.experiment.log_image(
            logger.run_id, _opened(png), artifact_file=f"{name}.png"
        ),
    }
    return _log(logger, "pictures", methods)


def log_table(
    logger: Any, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
) -> str | None:
    """Log a table; returns the same as `log_histogram`.

    Args:
        rows: of numbers, texts, and pixels `(height, width, 3)` as bytes, which only W&B shows within a table.
    """
    texts = [[cell for cell in row if not _is_picture(cell)] for row in rows]
    shown = rows[0] if rows else [None] * len(columns)
    headers = [column for column, cell in zip(columns, shown, strict=True) if not _is_picture(cell)]
    by_column = {header: [row[place] for row in texts] for place, header in enumerate(headers)}
    methods = {
        "wandb": lambda: logger.log_table(name, list(columns), _with_wandb_images(rows)),
        "tensorboard": lambda: logger.experiment.add_text(name, _markdown(headers, texts), step),
        "comet": lambda: logger.experiment.log_table(f"{name}.csv", tabular_data=texts, headers=headers),
        "mlflow": lambda: logger.experiment.log_table(
            logger.run_id, data=by_column, artifact_file=f"{name}.json"
        ),
    }
    return _log(logger, "tables", methods)


def _log(logger: Any, media: str, methods: dict[str, Callable[[], Any]]) -> str | None:
    """Call the method of a logger's service; a logger must not cost the training."""
    try:
        service = service_of(logger)
        if service == "stand-in":
            return None
        if service in methods:
            methods[service]()
            return None
        reason = f"{type(logger).__name__} takes no {media}: they are left out of it"
    except Exception as error:
        reason = (
            f"{type(logger).__name__} failed to take {media}: {type(error).__name__}: {joined_lines(error)}"
        )
    reported = _reported.setdefault(logger, set())
    if media in reported:
        return None
    reported.add(media)
    return reason


def _histogram_to_wandb(logger: Any, name: str, values: Tensor, step: int) -> None:
    import wandb

    histogram = wandb.Histogram(np_histogram=np.histogram(_as_array(values), bins=BINS))
    logger.log_metrics({name: histogram}, step=step)


def _bars_to_mlflow(logger: Any, name: str, values: Tensor, step: int) -> None:
    counts, edges = np.histogram(_as_array(values), bins=BINS)
    bars = {"step": [step] * BINS, "from": edges[:-1].tolist(), "to": edges[1:].tolist()}
    bars["count"] = counts.tolist()
    logger.experiment.log_table(logger.run_id, data=bars, artifact_file=f"histograms/{name}.json")


def _as_array(values: Tensor) -> NDArray[Any]:
    """Return values as an array; NumPy has no 16-bit brain floats."""
    values = values.detach().cpu()
    return np.asarray((values if values.dtype.itemsize > 2 else values.float()).numpy())


def _opened(png: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(png)).convert("RGB")


def _pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(_opened(png))


def _is_picture(cell: Any) -> bool:
    return isinstance(cell, np.ndarray)


def _with_wandb_images(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    import wandb

    return [[wandb.Image(cell) if _is_picture(cell) else cell for cell in row] for row in rows]


def _markdown(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )

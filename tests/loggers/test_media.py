"""Histograms, pictures and tables reach every logger that takes them, under both names of Lightning.

MLflow and Comet are not installed here: their stand-ins have the signatures of MlflowClient and of comet_ml's
Experiment, and refuse other arguments.
"""

import importlib
import io
import types

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from intrinsic_clip.loggers.media import log_histogram, log_picture, log_table

PACKAGES = ["pytorch_lightning", "lightning.pytorch"]
VALUES = torch.linspace(-1, 1, 100)
PIXELS = np.full((4, 6, 3), 200, dtype=np.uint8)
COLUMNS, ROWS = ["image", "caption", "rank"], [[PIXELS, "a | b", 1], [PIXELS, "c", 2]]


@pytest.fixture
def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "png")
    return file.getvalue()


def log_all(logger, png: bytes) -> list[str | None]:
    return [
        log_histogram(logger, "similarity/x", VALUES, 3),
        log_picture(logger, "examples", png, 3),
        log_table(logger, "examples", COLUMNS, ROWS, 3),
    ]


class Client:
    """Stand-in for `mlflow.MlflowClient`."""

    def __init__(self) -> None:
        self.calls = {}

    def log_table(self, run_id, data, artifact_file) -> None:
        self.calls[artifact_file] = data

    def log_image(
        self, run_id, image, artifact_file=None, key=None, step=None, timestamp=None, synchronous=None
    ) -> None:
        assert (artifact_file is None) != (key is None)
        self.calls[artifact_file] = image


class MLFlowLogger:
    run_id = "7"

    def __init__(self) -> None:
        self.experiment = Client()


class Experiment:
    """Stand-in for `comet_ml.Experiment`."""

    def __init__(self) -> None:
        self.calls = {}

    def log_histogram_3d(self, values, name=None, step=None, epoch=None, metadata=None, **kwargs) -> None:
        self.calls[name, step] = values

    def log_image(
        self,
        image_data,
        name=None,
        overwrite=False,
        image_format="png",
        image_scale=1.0,
        image_shape=None,
        image_colormap=None,
        image_minmax=None,
        image_channels="last",
        copy_to_tmp=True,
        step=None,
        annotations=None,
        metadata=None,
    ) -> None:
        self.calls[name, step] = image_data

    def log_table(self, filename, tabular_data=None, headers=False, **format_kwargs) -> None:
        assert filename.endswith((".csv", ".tsv"))
        self.calls[filename] = headers, tabular_data


class CometLogger:
    def __init__(self) -> None:
        self.experiment = Experiment()


@pytest.mark.parametrize("package", PACKAGES)
def test_tensorboard(tmp_path, package, png) -> None:
    logger = importlib.import_module(f"{package}.loggers").TensorBoardLogger(tmp_path)
    assert log_all(logger, png) == [None] * 3
    logger.finalize("success")
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    tags = events.Tags()
    assert tags["histograms"] == ["similarity/x"]
    assert tags["images"] == ["examples"]
    (text,) = [events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags["tensors"]]
    assert "a \\| b | 1" in text


@pytest.mark.parametrize("package", PACKAGES)
def test_wandb(monkeypatch, package, png) -> None:
    logger = importlib.import_module(f"{package}.loggers").WandbLogger(offline=True)
    logged = {}
    run = types.SimpleNamespace(log=logged.update)
    monkeypatch.setattr(type(logger), "experiment", run)
    assert log_all(logger, png) == [None] * 3
    assert type(logged["similarity/x"]).__name__ == "Histogram"
    assert sum(logged["similarity/x"].histogram) == 100
    assert logged["examples"].columns == COLUMNS
    assert type(logged["examples"].data[0][0]).__name__ == "Image"


def test_mlflow(png) -> None:
    logger = MLFlowLogger()
    assert log_all(logger, png) == [None] * 3
    calls = logger.experiment.calls
    assert sum(calls["histograms/similarity/x.json"]["count"]) == 100
    assert calls["examples.png"].size == (6, 4)
    assert calls["examples.json"] == {"caption": ["a | b", "c"], "rank": [1, 2]}


def test_comet(png) -> None:
    logger = CometLogger()
    assert log_all(logger, png) == [None] * 3
    calls = logger.experiment.calls
    assert len(calls["similarity/x", 3]) == 100
    assert calls["examples", 3].size == (6, 4)
    assert calls["examples.csv"] == (["caption", "rank"], [["a | b", 1], ["c", 2]])


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_logger_does_not_take_is_said_once(tmp_path, package, png) -> None:
    logger = importlib.import_module(f"{package}.loggers").CSVLogger(tmp_path)
    assert log_all(logger, png) == [
        f"CSVLogger takes no {media}: they are left out of it"
        for media in ("histograms", "pictures", "tables")
    ]
    assert log_all(logger, png) == [None] * 3


@pytest.mark.parametrize("package", PACKAGES)
def test_a_trial_run_says_nothing(package, png) -> None:
    dummy = importlib.import_module(f"{package}.loggers.logger").DummyLogger()
    assert log_all(dummy, png) == [None] * 3


def test_a_logger_that_fails_costs_nothing(png) -> None:
    logger = CometLogger()
    logger.experiment.log_histogram_3d = None
    logger.experiment.add_histogram = lambda *arguments: 1 / 0
    assert log_histogram(logger, "a", VALUES, 0) == (
        "CometLogger failed to take histograms: ZeroDivisionError: division by zero"
    )


def test_half_precision_has_histograms() -> None:
    logger = CometLogger()
    assert log_histogram(logger, "a", VALUES.bfloat16(), 0) is None

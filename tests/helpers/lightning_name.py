"""Name the Lightning that tests of probes train with: `LIGHTNING_NAME`, by default `pytorch_lightning`.

`make test-all` runs the tests of probes once more with `LIGHTNING_NAME=lightning.pytorch`.
"""

import importlib
import os

NAME = os.environ.get("LIGHTNING_NAME", "pytorch_lightning")
IGNORED = ["ignore::UserWarning:pytorch_lightning", "ignore::UserWarning:lightning"]

_package, _callbacks, _loggers = (
    importlib.import_module(NAME + path) for path in ("", ".callbacks", ".loggers")
)
Callback, LightningModule, Trainer = _package.Callback, _package.LightningModule, _package.Trainer
BatchSizeFinder, EMAWeightAveraging = _callbacks.BatchSizeFinder, _callbacks.EMAWeightAveraging
EarlyStopping, ModelCheckpoint = _callbacks.EarlyStopping, _callbacks.ModelCheckpoint
LearningRateFinder = _callbacks.LearningRateFinder
StochasticWeightAveraging = _callbacks.StochasticWeightAveraging
CSVLogger, TensorBoardLogger, WandbLogger = (
    _loggers.CSVLogger,
    _loggers.TensorBoardLogger,
    _loggers.WandbLogger,
)
DummyLogger = importlib.import_module(f"{NAME}.loggers.logger").DummyLogger
CombinedLoader = importlib.import_module(f"{NAME}.utilities").CombinedLoader
DDPStrategy = importlib.import_module(f"{NAME}.strategies").DDPStrategy
MisconfigurationException = importlib.import_module(f"{NAME}.utilities.exceptions").MisconfigurationException

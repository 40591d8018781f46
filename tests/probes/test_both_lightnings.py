"""Probes are callbacks of `pytorch_lightning` and of `lightning.pytorch`, in scripts and in LightningCLI."""

import copy
import importlib
import inspect
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import lightning.pytorch
import pytest
import pytorch_lightning
import yaml

from helpers.lightning_name import IGNORED
from intrinsic_clip import probes
from intrinsic_clip.probes import (
    AlignmentProbe,
    IntrinsicDimensionProbe,
    TemperatureProbe,
    both_lightnings,
    by_module,
    by_output,
)
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.shared_dimension.consensus_probe import ConsensusProbe
from intrinsic_clip.shared_dimension.probe import SharedDimensionProbe
from intrinsic_clip.training.fit import quiet

pytestmark = pytest.mark.filterwarnings(*IGNORED, "ignore:.*dataloader", "ignore::FutureWarning")
PACKAGES = [pytorch_lightning, lightning.pytorch]
CLASSES = [
    *(value for value in vars(probes).values() if inspect.isclass(value) and issubclass(value, AnyProbe)),
    ConsensusProbe,
    SharedDimensionProbe,
]


def _boring(package):
    """Return a LightningModule's class that a package has for demonstrations."""
    return importlib.import_module(f"{package.__name__}.demos.boring_classes").BoringModel


@pytest.mark.parametrize("package", PACKAGES)
def test_every_probe_is_a_callback(package) -> None:
    assert len(CLASSES) > 14
    assert all(issubclass(kind, package.Callback) for kind in CLASSES)
    probe = AlignmentProbe(by_output("images", "texts"))
    assert package.Trainer(callbacks=probe, logger=False, accelerator="cpu").callbacks[0] is probe


@pytest.mark.parametrize("package", PACKAGES)
def test_its_errors_are_those_of_either_package(package) -> None:
    error = importlib.import_module(f"{package.__name__}.utilities.exceptions").MisconfigurationException
    trainer = package.Trainer(callbacks=[AlignmentProbe()], logger=False, accelerator="cpu")
    with pytest.raises(error, match="needs to know where the embeddings"):
        trainer.fit(_boring(package)())
    assert isinstance(pickle.loads(pickle.dumps(both_lightnings.MisconfigurationException("a"))), error)


def test_a_probe_is_copied_and_pickled_with_its_state_key() -> None:
    for probe in (IntrinsicDimensionProbe(by_module("image")), TemperatureProbe(prefix="a/")):
        for twin in (copy.deepcopy(probe), pickle.loads(pickle.dumps(probe))):
            assert type(twin) is type(probe)
            assert twin.state_key == probe.state_key


@pytest.mark.parametrize("missing", ["lightning", "lightning.pytorch"])
def test_without_the_other_package_nothing_changes(monkeypatch, missing) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lightning"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert both_lightnings._under_both_names(pytorch_lightning.Callback, "") == (pytorch_lightning.Callback,)


@pytest.mark.long
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_what_lightning_logs_keeps_its_name(package) -> None:
    program = f"""
import {package}
from lightning_utilities.core import rank_zero
import intrinsic_clip.probes
print(rank_zero.log.name)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == f"{package}.utilities.rank_zero\n"


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_own_trainings_are_quiet_whichever_package_logs(package) -> None:
    log = logging.getLogger(f"{package}.utilities.rank_zero")
    with quiet():
        assert not log.isEnabledFor(logging.INFO)


def embed(module, batch):
    """Return the embeddings of a batch, for a config that names this function."""
    return module.net(batch), module.net(batch) + 1


MODULE = """
import torch
from {name} import LightningModule, LightningDataModule


class Pairs(LightningDataModule):
    def val_dataloader(self):
        return torch.utils.data.DataLoader(torch.randn(64, 6), batch_size=32)

    train_dataloader = test_dataloader = val_dataloader


class Clip(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(6, 4)
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.66))

    def step(self, batch, batch_idx):
        x, y = self.net(batch), self.net(batch + 0.1)
        logits = self.logit_scale.exp() * x @ y.T
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(len(x)))
        return {{"loss": loss, "images": x, "texts": y}}

    training_step = validation_step = test_step = step

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
"""

SOURCES = {
    "by_output": {
        "class_path": "intrinsic_clip.probes.by_output",
        "init_args": {"x": "images", "y": "texts"},
    },
    "by_module": {"class_path": "intrinsic_clip.probes.by_module", "init_args": {"x": "net"}},
    "by_function": {
        "class_path": "intrinsic_clip.probes.by_function",
        "init_args": {"embed": f"{__name__}.embed"},
    },
    "function": f"{__name__}.embed",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_lightning_cli_and_its_yaml(package, tmp_path, monkeypatch) -> None:
    cli = importlib.import_module(f"{package.__name__}.cli").LightningCLI
    module = f"clip_of_{package.__name__.partition('.')[0]}"
    (tmp_path / f"{module}.py").write_text(MODULE.format(name=package.__name__))
    monkeypatch.syspath_prepend(tmp_path)
    dimension = [
        {
            "class_path": "intrinsic_clip.probes.IntrinsicDimensionProbe",
            "init_args": {"source": source, "estimators": ["mle"], "k": 5, "prefix": f"{name}/"},
        }
        for name, source in SOURCES.items()
    ]
    callbacks = [*dimension, {"class_path": "intrinsic_clip.probes.TemperatureProbe"}]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = {"max_epochs": 1, "accelerator": "cpu", "enable_model_summary": False, **quiet}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"trainer": {**trainer, "callbacks": callbacks}}))
    classes = importlib.import_module(module)
    done = cli(classes.Clip, classes.Pairs, args=["fit", "--config", str(tmp_path / "run.yaml")])
    measured = done.trainer.callback_metrics
    assert {"by_output/id/mle/y", "by_function/id/mle/y", "by_module/id/mle/x", "temperature"} <= set(
        measured
    )
    assert float(measured["by_function/id/mle/x"]) == float(measured["function/id/mle/x"])


@pytest.mark.parametrize("package", PACKAGES)
def test_lightning_cli_refuses_a_wrong_source_before_anything_runs(package, capsys) -> None:
    cli = importlib.import_module(f"{package.__name__}.cli").LightningCLI
    probe = "intrinsic_clip.probes.AlignmentProbe"
    arguments = [
        f"--trainer.callbacks+={probe}",
        "--trainer.callbacks.source=intrinsic_clip.probes.by_output",
    ]
    with pytest.raises(SystemExit):
        cli(_boring(package), args=["validate", *arguments])
    assert "source" in capsys.readouterr().err


@pytest.mark.parametrize("package", PACKAGES)
def test_the_config_of_the_page_runs(package, tmp_path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "lightning.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    name = package.__name__.partition(".")[0]
    namespace: dict[str, object] = {}
    exec(code.replace("import lightning as L", f"import {name} as L"), namespace)
    config = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "run.yaml").write_text(
        config.replace("lightning.pytorch.callbacks", f"{package.__name__}.callbacks")
    )
    cli = importlib.import_module(f"{package.__name__}.cli").LightningCLI
    done = cli(namespace["Clip"], namespace["Pairs"], args=["fit", "--config", str(tmp_path / "run.yaml")])
    assert (
        done.trainer.checkpoint_callback.best_model_score == done.trainer.callback_metrics["id/mle/x"].max()
    )
    assert list(tmp_path.rglob("best.ckpt"))

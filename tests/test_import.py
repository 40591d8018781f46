"""Importing the package is quick and changes nothing of the program that imports it."""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import intrinsic_clip
from intrinsic_clip import loggers, probes, reports

# Libraries whose own import changes warnings or the environment come first.
SCRIPT = """
import builtins, importlib, json, logging, os, sys, warnings

import hydra, matplotlib, numpy, open_clip, pandas, pytorch_lightning, pytorch_lightning.loggers, scipy, torch, tqdm
import lightning.pytorch, torchvision, wandb

logging.basicConfig(level=logging.ERROR)
importing_matplotlib = []
original = builtins.__import__

def noting(name, globals=None, *args, **options):
    importer = (globals or {}).get("__name__", "")
    if name.partition(".")[0] == "matplotlib" and importer.startswith("intrinsic_clip"):
        importing_matplotlib.append(importer)
    return original(name, globals, *args, **options)

def state():
    loggers = [logging.getLogger(name) for name in ("root", *names)]
    return {
        "backend": matplotlib.get_backend(),
        "rcParams": {key: str(matplotlib.rcParams[key]) for key in matplotlib.rcParams if key != "backend"},
        "environment": dict(os.environ),
        "loggers": [[log.name, log.level, log.disabled, list(map(str, log.handlers))] for log in loggers],
        "logging disabled": logging.root.manager.disable,
        "warnings": list(map(str, warnings.filters)),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "dtype": str(torch.get_default_dtype()),
        "device": str(torch.get_default_device()),
        "denormals": float(torch.tensor(1e-40) * 1),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradient": torch.is_grad_enabled(),
        "random": torch.random.get_rng_state().tolist(),
        "numpy random": str(numpy.random.get_state()),
    }

names = sorted(logging.root.manager.loggerDict)
before = json.dumps(state())
builtins.__import__ = noting
changes = {}
for module in sys.argv[1:]:
    importlib.import_module(module)
    after = json.dumps(state())
    if after != before:
        old, new = json.loads(before), json.loads(after)
        changes[module] = [key for key in old if old[key] != new[key]]
    before = after
print(json.dumps({"changes": changes, "importing matplotlib": importing_matplotlib}))
"""


# Stand-ins for the libraries, since some import Matplotlib themselves and all take long.
ADAPTERS = """
import importlib, json, os, sys, types, warnings
import sklearn.base, torch

for name, members in {
    "accelerate": (), "accelerate.state": ("GradientState",), "sentence_transformers": ("SentenceTransformer",),
    "sentence_transformers.evaluation": ("SentenceEvaluator",), "transformers": ("Trainer", "TrainerCallback"),
    "transformers.utils": ("ModelOutput",), "torchmetrics": ("Metric",), "torchmetrics.utilities": ("rank_zero_warn",),
}.items():
    module = types.ModuleType(name)
    module.__path__ = []
    vars(module).update({member: type(member, (), {}) for member in members})
    sys.modules[name] = module

def state():
    return [list(map(str, warnings.filters)), dict(os.environ)]

before = state()
for adapter in ("hugging_face", "sentence_transformers", "scikit_learn", "torchmetrics"):
    importlib.import_module(f"intrinsic_clip.integrations.{adapter}")
heavy = ("pytorch_lightning", "lightning", "matplotlib", "hydra", "wandb", "torch._dynamo")
print(json.dumps([[name for name in heavy if name in sys.modules], state() == before]))
"""


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_alone_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "matplotlib", "hydra", "wandb", "pytorch_lightning", "lightning")
    loaded = _run(f"import intrinsic_clip, sys; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_adapters_import_no_lightning_and_change_nothing() -> None:
    assert json.loads(_run(ADAPTERS)) == [[], True]


MEASURE = """
import sys
import numpy as np
from intrinsic_clip.cli import program

x = np.random.default_rng(0).normal(size=(60, 3))
np.save("x.npy", x), np.save("y.npy", x)
sys.argv = ["intrinsic-clip", "measure", "x=x.npy", "y=y.npy", "estimators=[mle]", "progress=false"]
sys.argv += ["export=cut.safetensors", "export_dims=2"]
program.main()
sys.argv = ["intrinsic-clip", "apply", "cut.safetensors", "x=x.npy", "output=small.npy"]
program.main()
heavy = ("pytorch_lightning", "lightning", "lightning_fabric", "torchmetrics", "transformers", "torchvision", "wandb")
print([name for name in heavy if name in sys.modules])
"""


def test_measuring_files_does_not_wait_for_lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = _run(MEASURE)
    assert printed.splitlines()[-1] == "[]"
    assert Path("small.npy").exists()


def test_every_main_name_is_there() -> None:
    for name in intrinsic_clip.__all__:
        assert getattr(intrinsic_clip, name).__name__ == name
    assert set(intrinsic_clip.__all__) <= set(dir(intrinsic_clip))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        intrinsic_clip.nothing  # noqa: B018


def test_the_names_that_type_checkers_see_are_those_at_run_time() -> None:
    assert sorted(intrinsic_clip._HOME) == sorted(intrinsic_clip.__all__)


@pytest.mark.long
def test_importing_changes_no_global_state_and_probes_do_not_import_matplotlib() -> None:
    modules = [
        module.name
        for package in (probes, loggers, reports)  # reports import Matplotlib, so they come last
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    assert {"intrinsic_clip.probes.contact_sheet", "intrinsic_clip.loggers.wandb_logger"} <= set(modules)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, "intrinsic_clip.probes", "intrinsic_clip.loggers", *modules],
        env=os.environ | {"MPLBACKEND": "svg"},  # not the one that code without a screen would choose
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    outcome = json.loads(run.stdout)
    assert outcome["changes"] == {}
    drawing = ("intrinsic_clip.reports", "intrinsic_clip.paper_figures")
    assert [name for name in outcome["importing matplotlib"] if not name.startswith(drawing)] == []


FIRST = """
import importlib, json, sys, warnings

import hydra, matplotlib, open_clip, pandas, pytorch_lightning, scipy, sklearn, torch, torchmetrics

warnings.simplefilter("ignore")
failed = {}
for name in json.loads(sys.argv[1]):
    for imported in [each for each in sys.modules if each.partition(".")[0] == "intrinsic_clip"]:
        del sys.modules[imported]
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""


@pytest.mark.long
def test_every_module_can_be_the_first_that_is_imported() -> None:
    found = pkgutil.walk_packages(intrinsic_clip.__path__, "intrinsic_clip.")
    names = json.dumps([module.name for module in found if not module.name.endswith("__main__")])
    done = subprocess.run(
        [sys.executable, "-c", FIRST, names], capture_output=True, text=True, check=True, timeout=600
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}

"""Importing probes and loggers changes nothing in the process of the user who imports them."""

import json
import os
import pkgutil
import subprocess
import sys

import pytest

from intrinsic_clip import loggers, probes

SCRIPT = """
import builtins, importlib, json, logging, sys, warnings

import hydra, matplotlib, numpy, pandas, pytorch_lightning, pytorch_lightning.loggers, scipy, torch, torchvision

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


@pytest.mark.slow
def test_importing_changes_no_global_state_and_does_not_import_matplotlib() -> None:
    modules = [
        module.name
        for package in (probes, loggers)
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
    assert json.loads(run.stdout) == {"changes": {}, "importing matplotlib": []}

"""Importing the package is quick and changes nothing of the program that imports it."""

import subprocess
import sys

import pytest

import intrinsic_clip

# Libraries whose own import changes warnings or the environment come first.
LIBRARIES = (
    "import logging, os, sys, warnings, pytorch_lightning, wandb, matplotlib, open_clip, tqdm, pandas, torch"
)
STATE = """
def state():
    rc = {name: repr(matplotlib.rcParams._get(name)) for name in matplotlib.rcParams}
    keeps_denormals = float(torch.tensor([1e-30]) * torch.tensor([1e-10])) > 0
    numbers = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), keeps_denormals
    log = logging.root.level, list(logging.root.handlers), logging.getLogger("torch.utils.cpp_extension").level
    return rc, os.environ.copy(), *numbers, torch.random.get_rng_state().tolist(), list(warnings.filters), *log
"""


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_alone_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "matplotlib", "hydra", "wandb", "pytorch_lightning", "lightning")
    loaded = _run(f"import intrinsic_clip, sys; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_every_main_name_is_there() -> None:
    for name in intrinsic_clip.__all__:
        assert getattr(intrinsic_clip, name).__name__ == name
    assert set(intrinsic_clip.__all__) <= set(dir(intrinsic_clip))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        intrinsic_clip.nothing  # noqa: B018


def test_the_names_that_type_checkers_see_are_those_at_run_time() -> None:
    assert sorted(intrinsic_clip._HOME) == sorted(intrinsic_clip.__all__)


@pytest.mark.slow
def test_importing_switches_no_state() -> None:
    modules = (
        "loggers.wandb_logger",
        "reports.run_picture",
        "reports.measurement_picture",
        "reports.figures",
    )
    imports = "".join(f"import intrinsic_clip.{module}\n" for module in modules)
    names = "for name in intrinsic_clip.__all__: getattr(intrinsic_clip, name)"
    program = f"{LIBRARIES}\n{STATE}\nbefore = state()\n{imports}{names}\nafter = state()\n"
    changes = "[(one, other) for one, other in zip(before, after, strict=True) if one != other]"
    assert _run(f"{program}print({changes})") == "[]\n"

"""The examples in the docstrings of dimension/, metrics/, loss/ and `measure` run and print what they say."""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

from intrinsic_clip import dimension, loss, metrics

PACKAGES = (dimension, metrics, loss)
MODULES = [
    f"{package.__name__}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(package.__path__)
] + ["intrinsic_clip.integrations.measuring", "intrinsic_clip.integrations.over_batches"]


def examples_by_name(module: ModuleType) -> dict[str, doctest.DocTest]:
    """Return the docstrings of a module with an example that is not skipped, by the name of their object."""
    tests = {
        test.name.removeprefix(f"{module.__name__}."): test
        for test in doctest.DocTestFinder().find(module, module.__name__)
    }
    return {
        name: test
        for name, test in tests.items()
        if any(not example.options.get(doctest.SKIP) for example in test.examples)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner()
    for test in examples_by_name(importlib.import_module(name)).values():
        test.globs = {}  # an example imports what it uses, so that it can be pasted
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_has_an_example(package: ModuleType) -> None:
    without = [
        name
        for name in package.__all__
        if name not in examples_by_name(importlib.import_module(getattr(package, name).__module__))
    ]
    assert not without, f"no example in the docstring of {', '.join(without)}"

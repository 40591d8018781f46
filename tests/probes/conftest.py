"""Leave out what is the same under both names of Lightning in the run with the second name."""

import pytest

from helpers import lightning_name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that train with the Lightning of `LIGHTNING_NAME`, if that is not the usual one.

    Trainings of this package, which compose a config or have the mark `own_training`, are always `pytorch_lightning`'s.
    """
    if lightning_name.NAME == "pytorch_lightning":
        return
    own = [item for item in items if not _is_of_either(item)]
    config.hook.pytest_deselected(items=own)
    items[:] = [item for item in items if _is_of_either(item)]


def _is_of_either(item: pytest.Item) -> bool:
    if item.path.name == "test_both_lightnings.py":  # whose tests have both names as a parameter
        return False
    if item.get_closest_marker("own_training") or "compose" in getattr(item, "fixturenames", ()):
        return False
    names = vars(getattr(item, "module", None))
    return any(
        getattr(value, "__module__", "").startswith(("helpers.foreign_module", "lightning."))
        for value in names.values()
    )

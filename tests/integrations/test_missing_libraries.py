"""An adapter whose library is not installed says in one line which package to install."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("adapter", "library", "package"),
    [
        ("scikit_learn", "sklearn", "'scikit-learn>=1.6'"),
        ("hugging_face", "transformers.utils", "transformers accelerate"),
        ("hugging_face", "accelerate", "transformers accelerate"),
        ("torchmetrics", "torchmetrics", "torchmetrics"),
        ("sentence_transformers", "sentence_transformers", "sentence-transformers"),
    ],
)
def test_a_missing_library_is_named(
    adapter: str, library: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    name = f"intrinsic_clip.integrations.{adapter}"
    for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ImportError, match=f"pip install {package}$") as error:
        importlib.import_module(name)
    assert "\n" not in str(error.value)

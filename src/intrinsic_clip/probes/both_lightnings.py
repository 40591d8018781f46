"""Join the classes that Lightning has twice, once as `pytorch_lightning` and once as `lightning.pytorch`.

The two packages hold equal classes that are not related, so that a callback of one is none of the other's. What is here
is of both where both are installed. Where `pytorch_lightning` is loaded already, `lightning.pytorch` costs 0.2 s more.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lightning_utilities.core import rank_zero

_LOG = getattr(rank_zero, "log", None) if "lightning" in sys.modules else None

import pytorch_lightning  # noqa: E402 - importing it redirects what the other package logs
from pytorch_lightning.utilities.exceptions import MisconfigurationException as _Misconfiguration  # noqa: E402


def _under_both_names(of_one: type, path: str) -> tuple[type, ...]:
    """Return a class of `pytorch_lightning`, and its counterpart of `lightning.pytorch` where that can be imported.

    Args:
        path: of the module below the package, "" for the package itself.
    """
    log = _LOG or rank_zero.log
    try:
        other: Any = importlib.import_module(f"lightning.pytorch{path}")
        counterpart = getattr(other, of_one.__name__)
    except Exception:  # not installed, or too old, or broken: nobody who uses the other name must notice
        return (of_one,)
    finally:
        rank_zero.log = log
    return (of_one,) if counterpart is of_one else (of_one, counterpart)


if TYPE_CHECKING:
    Callback = pytorch_lightning.Callback
    MisconfigurationException = _Misconfiguration
else:

    class Callback(*_under_both_names(pytorch_lightning.Callback, "")):
        """Callback of both packages, whose hooks are the same."""

    class MisconfigurationException(*_under_both_names(_Misconfiguration, ".utilities.exceptions")):
        """Exception that a caller can catch under either name."""

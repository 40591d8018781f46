"""Estimators for scikit-learn: the intrinsic dimension, and a reduction to the dimensions that are needed."""

try:
    import sklearn  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "intrinsic_clip.integrations.scikit_learn needs scikit-learn: pip install 'scikit-learn>=1.6'"
    ) from missing

from intrinsic_clip.integrations.scikit_learn.intrinsic_dimension import IntrinsicDimension
from intrinsic_clip.integrations.scikit_learn.reduce import Reduce

__all__ = ["IntrinsicDimension", "Reduce"]

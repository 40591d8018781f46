"""Data sources: one module each, all of them Lightning data modules that yield (x, y[, labels]).

Vectors from files are `FeaturePairs` (embeddings.py), images with captions `CaptionedImages` (captioned.py).
"""

from intrinsic_clip.data.paired import Batches, PairedData, Pairs
from intrinsic_clip.data.synthetic import (
    SyntheticData,
    SyntheticGaussianNonlinear,
    SyntheticIndependent,
    SyntheticLinear,
    SyntheticNonlinear,
    SyntheticRotated,
)

__all__ = [
    "Batches",
    "PairedData",
    "Pairs",
    "SyntheticData",
    "SyntheticGaussianNonlinear",
    "SyntheticIndependent",
    "SyntheticLinear",
    "SyntheticNonlinear",
    "SyntheticRotated",
]

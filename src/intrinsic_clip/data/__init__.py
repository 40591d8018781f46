"""Sources of paired data: Lightning data modules that yield (x, y).

A source of your own is one module with a subclass and one file conf/data/<name>.yaml that names it as `_target_`.
Subclass `FeaturePairs` (features/feature_files.py) for feature vectors, `CaptionedImages` (images/image_captions.py)
for images with captions, `SyntheticData` (synthetic.py) for generated pairs, and `PairedData` (paired.py) otherwise.
"""

from intrinsic_clip.data.mixed import SyntheticMixed
from intrinsic_clip.data.paired import Batches, PairedData, Pairs
from intrinsic_clip.data.synthetic import (
    SyntheticData,
    SyntheticGaussianNonlinear,
    SyntheticIndependent,
    SyntheticLinear,
    SyntheticNonlinear,
    SyntheticRotated,
)
from intrinsic_clip.data.three import SyntheticThree

__all__ = [
    "Batches",
    "PairedData",
    "Pairs",
    "SyntheticData",
    "SyntheticGaussianNonlinear",
    "SyntheticIndependent",
    "SyntheticLinear",
    "SyntheticMixed",
    "SyntheticNonlinear",
    "SyntheticRotated",
    "SyntheticThree",
]

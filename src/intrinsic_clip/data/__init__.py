"""Sources of paired data: Lightning data modules that yield (x, y).

A source of your own is one module with a subclass and one file conf/data/<name>.yaml that names it as `_target_`.
Subclass `FeaturePairs` (features/feature_files.py) for feature vectors, `CaptionedImages` (images/image_captions.py)
for images with captions, `SyntheticData` (synthetic.py) for generated pairs, and `PairedData` (paired.py) otherwise.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {"SyntheticMixed": "mixed", "SyntheticThree": "three"} | dict.fromkeys(
    ("Batches", "PairedData", "Pairs"), "paired"
)


def __getattr__(name: str) -> Any:
    """Import a source when it is first used: what only reads files does not wait for Lightning."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'synthetic')}"), name)

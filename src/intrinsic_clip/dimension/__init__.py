"""Estimators of intrinsic dimension: functions of points `(*R, n, d)` that return a `DimensionEstimate`.

`registry` knows them by name; every module of this folder is imported, so that an estimator in a new one is found.
"""

import importlib
import pkgutil

from intrinsic_clip.dimension.corrected_participation_ratio import corrected_participation_ratio
from intrinsic_clip.dimension.correlation_integral import correlation_integral
from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.gride import gride, gride_scales
from intrinsic_clip.dimension.jacobian import JacobianSpectrum, jacobian_spectrum
from intrinsic_clip.dimension.latent import latent_directions
from intrinsic_clip.dimension.local_pca import local_pca
from intrinsic_clip.dimension.mada import mada
from intrinsic_clip.dimension.method_of_moments import method_of_moments
from intrinsic_clip.dimension.mle import mean_mle, mle
from intrinsic_clip.dimension.neighbours import Neighbours, nearest_neighbours
from intrinsic_clip.dimension.registry import registered
from intrinsic_clip.dimension.scale import Plateau, ScaleCurve, sample_size_curve
from intrinsic_clip.dimension.scikit_dimension import scikit_dimension
from intrinsic_clip.dimension.spanning_tree import spanning_tree
from intrinsic_clip.dimension.spectrum import components, effective_rank, participation_ratio, spectrum
from intrinsic_clip.dimension.tle import tle
from intrinsic_clip.dimension.twonn import twonn

__all__ = [
    "DimensionEstimate",
    "JacobianSpectrum",
    "Neighbours",
    "Plateau",
    "ScaleCurve",
    "components",
    "corrected_participation_ratio",
    "correlation_integral",
    "effective_rank",
    "gride",
    "gride_scales",
    "jacobian_spectrum",
    "latent_directions",
    "local_pca",
    "mada",
    "mean_mle",
    "method_of_moments",
    "mle",
    "nearest_neighbours",
    "participation_ratio",
    "sample_size_curve",
    "scikit_dimension",
    "spanning_tree",
    "spectrum",
    "tle",
    "twonn",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
globals().update(registered())  # so that a new estimator, like those above, hides the module of its name

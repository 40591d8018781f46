"""Estimators of intrinsic dimension: functions of points `(*R, n, d)` that return a `DimensionEstimate`."""

from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.jacobian import JacobianSpectrum, jacobian_spectrum, latent_directions
from intrinsic_clip.dimension.mle import mle
from intrinsic_clip.dimension.neighbours import Neighbours, nearest_neighbours
from intrinsic_clip.dimension.spectrum import components, effective_rank, participation_ratio, spectrum
from intrinsic_clip.dimension.twonn import twonn

__all__ = [
    "DimensionEstimate",
    "JacobianSpectrum",
    "Neighbours",
    "components",
    "effective_rank",
    "jacobian_spectrum",
    "latent_directions",
    "mle",
    "nearest_neighbours",
    "participation_ratio",
    "spectrum",
    "twonn",
]

"""Objectives, temperature and similarity: pure functions and small modules of representations `(*R, n, d)`."""

from intrinsic_clip.loss.alignment_uniformity import AlignmentUniformity, alignment_uniformity_loss
from intrinsic_clip.loss.barlow_twins import BarlowTwins, barlow_twins_loss
from intrinsic_clip.loss.cloob import CLOOB, cloob_loss
from intrinsic_clip.loss.dcca import DCCA, dcca_loss
from intrinsic_clip.loss.decoupled import Decoupled, decoupled_info_nce
from intrinsic_clip.loss.gram import Gram, gram, volumes
from intrinsic_clip.loss.individual import IndividualTemperature, individual_loss
from intrinsic_clip.loss.info_nce import InfoNCE, cross_entropy, info_nce
from intrinsic_clip.loss.modality_pairs import Anchor, SumOverPairs, anchored, sum_over_pairs
from intrinsic_clip.loss.regression import MSE, CosineRegression, cosine_regression_loss, mse_loss
from intrinsic_clip.loss.sigmoid import Sigmoid, sigmoid_loss
from intrinsic_clip.loss.similarity import (
    CosineSimilarity,
    MovingAverageSimilarity,
    NoNormalisation,
    PopulationSimilarity,
)
from intrinsic_clip.loss.soft_dcca import SoftDCCA, soft_dcca_loss
from intrinsic_clip.loss.spectral import Spectral, spectral_loss
from intrinsic_clip.loss.symile import Symile, symile
from intrinsic_clip.loss.temperature import (
    ClampedTemperature,
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    TemperaturePerDirection,
)
from intrinsic_clip.loss.temperature_free import TemperatureFree, temperature_free_loss
from intrinsic_clip.loss.triplet import Triplet, triplet_loss
from intrinsic_clip.loss.uncertainty import Uncertainty, uncertainty_loss
from intrinsic_clip.loss.vicreg import VICReg, vicreg_loss

__all__ = [
    "CLOOB",
    "DCCA",
    "MSE",
    "AlignmentUniformity",
    "Anchor",
    "BarlowTwins",
    "ClampedTemperature",
    "CosineRegression",
    "CosineSimilarity",
    "Decoupled",
    "FixedTemperature",
    "Gram",
    "IndividualTemperature",
    "InfoNCE",
    "LearnedTemperature",
    "MovingAverageSimilarity",
    "NoNormalisation",
    "PopulationSimilarity",
    "ScheduledTemperature",
    "Sigmoid",
    "SoftDCCA",
    "Spectral",
    "SumOverPairs",
    "Symile",
    "TemperatureFree",
    "TemperaturePerDirection",
    "Triplet",
    "Uncertainty",
    "VICReg",
    "alignment_uniformity_loss",
    "anchored",
    "barlow_twins_loss",
    "cloob_loss",
    "cosine_regression_loss",
    "cross_entropy",
    "dcca_loss",
    "decoupled_info_nce",
    "gram",
    "individual_loss",
    "info_nce",
    "mse_loss",
    "sigmoid_loss",
    "soft_dcca_loss",
    "spectral_loss",
    "sum_over_pairs",
    "symile",
    "temperature_free_loss",
    "triplet_loss",
    "uncertainty_loss",
    "vicreg_loss",
    "volumes",
]

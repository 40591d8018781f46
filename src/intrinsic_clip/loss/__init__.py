"""Objectives, temperature and similarity: pure functions and small modules of representations `(*R, n, d)`."""

from intrinsic_clip.loss.gram import Gram, gram, volumes
from intrinsic_clip.loss.info_nce import InfoNCE, cross_entropy, info_nce
from intrinsic_clip.loss.modality_pairs import Anchor, SumOverPairs, anchored, sum_over_pairs
from intrinsic_clip.loss.similarity import (
    CosineSimilarity,
    MovingAverageSimilarity,
    NoNormalisation,
    PopulationSimilarity,
)
from intrinsic_clip.loss.symile import Symile, symile
from intrinsic_clip.loss.temperature import (
    ClampedTemperature,
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    TemperaturePerDirection,
)

__all__ = [
    "Anchor",
    "ClampedTemperature",
    "CosineSimilarity",
    "FixedTemperature",
    "Gram",
    "InfoNCE",
    "LearnedTemperature",
    "MovingAverageSimilarity",
    "NoNormalisation",
    "PopulationSimilarity",
    "ScheduledTemperature",
    "SumOverPairs",
    "Symile",
    "TemperaturePerDirection",
    "anchored",
    "cross_entropy",
    "gram",
    "info_nce",
    "sum_over_pairs",
    "symile",
    "volumes",
]

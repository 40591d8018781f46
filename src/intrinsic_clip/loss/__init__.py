"""Objectives, temperature and similarity: pure functions and small modules of representations `(*R, n, d)`."""

from intrinsic_clip.loss.info_nce import InfoNCE, cross_entropy, info_nce
from intrinsic_clip.loss.similarity import (
    CosineSimilarity,
    MovingAverageSimilarity,
    NoNormalisation,
    PopulationSimilarity,
)
from intrinsic_clip.loss.temperature import (
    ClampedTemperature,
    FixedTemperature,
    LearnedTemperature,
    ScheduledTemperature,
    TemperaturePerDirection,
)

__all__ = [
    "ClampedTemperature",
    "CosineSimilarity",
    "FixedTemperature",
    "InfoNCE",
    "LearnedTemperature",
    "MovingAverageSimilarity",
    "NoNormalisation",
    "PopulationSimilarity",
    "ScheduledTemperature",
    "TemperaturePerDirection",
    "cross_entropy",
    "info_nce",
]

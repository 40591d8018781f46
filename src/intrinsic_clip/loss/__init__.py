"""Objectives, temperature and similarity: pure functions and small modules of representations `(*R, n, d)`."""

from intrinsic_clip.loss.info_nce import cross_entropy, info_nce
from intrinsic_clip.loss.similarity import CosineSimilarity, MovingAverageSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import FixedTemperature, LearnedTemperature

__all__ = [
    "CosineSimilarity",
    "FixedTemperature",
    "LearnedTemperature",
    "MovingAverageSimilarity",
    "PopulationSimilarity",
    "cross_entropy",
    "info_nce",
]

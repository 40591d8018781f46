"""Measures of how well two representations `(*R, n, d)` match, row by row: functions that return `(*R,)`."""

from intrinsic_clip.metrics.alignment import PairSimilarities, alignment, pair_similarities
from intrinsic_clip.metrics.information import InformationBound, infonce_bound
from intrinsic_clip.metrics.matching import (
    Matching,
    PartnerRanks,
    Ranks,
    label_matching,
    partner_ranks,
    top_count,
    top_matching,
)

__all__ = [
    "InformationBound",
    "Matching",
    "PairSimilarities",
    "PartnerRanks",
    "Ranks",
    "alignment",
    "infonce_bound",
    "label_matching",
    "pair_similarities",
    "partner_ranks",
    "top_count",
    "top_matching",
]

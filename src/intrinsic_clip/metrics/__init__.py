"""Metrics of representations `(*R, n, d)`: pure functions that return `(*R,)`.

Some measure how well two representations match, row by row, others how good one representation is.
"""

from intrinsic_clip.metrics.alignment import PairSimilarities, alignment, modality_gap, pair_similarities
from intrinsic_clip.metrics.canonical_rank import CanonicalRank, canonical_rank
from intrinsic_clip.metrics.classification import knn_accuracy, linear_accuracy, zero_shot_accuracy
from intrinsic_clip.metrics.counterparts import Counterparts, counterparts
from intrinsic_clip.metrics.information import InformationBound, infonce_bound
from intrinsic_clip.metrics.information_imbalance import InformationImbalance, information_imbalance
from intrinsic_clip.metrics.joint_dimension import (
    DimensionCorrelation,
    JointDimension,
    JointNeighbours,
    dimension_correlation,
    joint_dimension,
    joint_neighbours,
)
from intrinsic_clip.metrics.kernel_canonical_rank import kernel_canonical_rank
from intrinsic_clip.metrics.leading_directions import (
    CanonicalDirections,
    canonical_directions,
    principal_directions,
)
from intrinsic_clip.metrics.matching import (
    Matching,
    PartnerRanks,
    Ranks,
    label_matching,
    median_rank,
    partner_ranks,
    top_count,
    top_matching,
)
from intrinsic_clip.metrics.optimal_temperature import optimal_temperature
from intrinsic_clip.metrics.recovery import kernel_recovery, linear_recovery
from intrinsic_clip.metrics.reduction import (
    RetrievalByDimension,
    SufficientDimension,
    retrieval_by_dimension,
    smallest_sufficient,
)
from intrinsic_clip.metrics.temperature_diagnosis import TemperatureDiagnosis, diagnose_temperature
from intrinsic_clip.metrics.temperature_parameters import (
    TemperatureParameter,
    find_logit_biases,
    find_temperatures,
)
from intrinsic_clip.metrics.uniformity import uniformity

__all__ = [
    "CanonicalDirections",
    "CanonicalRank",
    "Counterparts",
    "DimensionCorrelation",
    "InformationBound",
    "InformationImbalance",
    "JointDimension",
    "JointNeighbours",
    "Matching",
    "PairSimilarities",
    "PartnerRanks",
    "Ranks",
    "RetrievalByDimension",
    "SufficientDimension",
    "TemperatureDiagnosis",
    "TemperatureParameter",
    "alignment",
    "canonical_directions",
    "canonical_rank",
    "counterparts",
    "diagnose_temperature",
    "dimension_correlation",
    "find_logit_biases",
    "find_temperatures",
    "infonce_bound",
    "information_imbalance",
    "joint_dimension",
    "joint_neighbours",
    "kernel_canonical_rank",
    "kernel_recovery",
    "knn_accuracy",
    "label_matching",
    "linear_accuracy",
    "linear_recovery",
    "median_rank",
    "modality_gap",
    "optimal_temperature",
    "pair_similarities",
    "partner_ranks",
    "principal_directions",
    "retrieval_by_dimension",
    "smallest_sufficient",
    "top_count",
    "top_matching",
    "uniformity",
    "zero_shot_accuracy",
]

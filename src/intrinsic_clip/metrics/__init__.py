"""Metrics of representations `(*R, n, d)`: pure functions that return `(*R,)`.

Some measure how well two representations match, row by row, others how good one representation is.
"""

from intrinsic_clip.metrics.alignment import PairSimilarities, alignment, modality_gap, pair_similarities
from intrinsic_clip.metrics.canonical_rank import CanonicalRank, canonical_rank
from intrinsic_clip.metrics.classification import knn_accuracy, linear_accuracy, zero_shot_accuracy
from intrinsic_clip.metrics.copula_information import copula_information
from intrinsic_clip.metrics.counterparts import Counterparts, counterparts
from intrinsic_clip.metrics.density_ratio_information import nwj_bound, smile_estimate
from intrinsic_clip.metrics.distribution_gap import distribution_gap, energy_distance
from intrinsic_clip.metrics.held_out_infonce import held_out_infonce_bound
from intrinsic_clip.metrics.information import InformationBound, infonce_bound
from intrinsic_clip.metrics.information_estimate import InformationEstimate
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
from intrinsic_clip.metrics.ksg_information import ksg_information
from intrinsic_clip.metrics.leading_directions import (
    CanonicalDirections,
    canonical_directions,
    principal_directions,
)
from intrinsic_clip.metrics.linear_cka import linear_cka
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
from intrinsic_clip.metrics.neighbourhood_overlap import neighbourhood_overlap
from intrinsic_clip.metrics.optimal_temperature import optimal_temperature
from intrinsic_clip.metrics.procrustes import Procrustes, procrustes
from intrinsic_clip.metrics.recovery import kernel_recovery, linear_recovery
from intrinsic_clip.metrics.reduction import RetrievalByDimension, retrieval_by_dimension
from intrinsic_clip.metrics.sufficient_dimension import SufficientDimension, smallest_sufficient
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
    "InformationEstimate",
    "InformationImbalance",
    "JointDimension",
    "JointNeighbours",
    "Matching",
    "PairSimilarities",
    "PartnerRanks",
    "Procrustes",
    "Ranks",
    "RetrievalByDimension",
    "SufficientDimension",
    "TemperatureDiagnosis",
    "TemperatureParameter",
    "alignment",
    "canonical_directions",
    "canonical_rank",
    "copula_information",
    "counterparts",
    "diagnose_temperature",
    "dimension_correlation",
    "distribution_gap",
    "energy_distance",
    "find_logit_biases",
    "find_temperatures",
    "held_out_infonce_bound",
    "infonce_bound",
    "information_imbalance",
    "joint_dimension",
    "joint_neighbours",
    "kernel_canonical_rank",
    "kernel_recovery",
    "knn_accuracy",
    "ksg_information",
    "label_matching",
    "linear_accuracy",
    "linear_cka",
    "linear_recovery",
    "median_rank",
    "modality_gap",
    "neighbourhood_overlap",
    "nwj_bound",
    "optimal_temperature",
    "pair_similarities",
    "partner_ranks",
    "principal_directions",
    "procrustes",
    "retrieval_by_dimension",
    "smallest_sufficient",
    "smile_estimate",
    "top_count",
    "top_matching",
    "uniformity",
    "zero_shot_accuracy",
]

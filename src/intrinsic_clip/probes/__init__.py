"""Probes: Lightning callbacks that take the embeddings once per evaluation, measure them and log the numbers."""

from intrinsic_clip.probes.dimension import IntrinsicDimensionProbe
from intrinsic_clip.probes.embeddings import Embeddings, take_embeddings
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.probes.similarity import AlignmentProbe, InformationProbe, MatchingProbe, SimilarityProbe
from intrinsic_clip.probes.temperature import TemperatureProbe

__all__ = [
    "AlignmentProbe",
    "Embeddings",
    "InformationProbe",
    "IntrinsicDimensionProbe",
    "MatchingProbe",
    "Probe",
    "SimilarityProbe",
    "TemperatureProbe",
    "take_embeddings",
]

"""Lightning callbacks that take embeddings once per evaluation, measure them and log the numbers."""

from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.collection import Collector
from intrinsic_clip.probes.dimension_probe import IntrinsicDimensionProbe
from intrinsic_clip.probes.embeddings import Embeddings, take_embeddings
from intrinsic_clip.probes.examples_probe import ExamplesProbe
from intrinsic_clip.probes.information_probe import InformationEstimatesProbe
from intrinsic_clip.probes.jacobian_probe import JacobianProbe
from intrinsic_clip.probes.optimal_temperature_probe import OptimalTemperatureProbe
from intrinsic_clip.probes.pair_probes import AlignmentProbe, InformationProbe, MatchingProbe, SimilarityProbe
from intrinsic_clip.probes.probe import Measured, Probe
from intrinsic_clip.probes.recovery_probe import ClassificationProbe, RecoveryProbe
from intrinsic_clip.probes.sources import Source, by_function, by_module, by_output
from intrinsic_clip.probes.spectrum_probe import SpectrumProbe
from intrinsic_clip.probes.temperature_probe import TemperatureProbe
from intrinsic_clip.probes.temperature_uses import temperature_of

__all__ = [
    "AlignmentProbe",
    "AnyProbe",
    "ClassificationProbe",
    "Collector",
    "Embeddings",
    "ExamplesProbe",
    "InformationEstimatesProbe",
    "InformationProbe",
    "IntrinsicDimensionProbe",
    "JacobianProbe",
    "MatchingProbe",
    "Measured",
    "OptimalTemperatureProbe",
    "Probe",
    "RecoveryProbe",
    "SimilarityProbe",
    "Source",
    "SpectrumProbe",
    "TemperatureProbe",
    "by_function",
    "by_module",
    "by_output",
    "take_embeddings",
    "temperature_of",
]

"""Families of numbers about embeddings: what the probes log, `intrinsic_clip.measure` returns and the adapters compute.

A family has the numbers whose names it gives, and computes those that are wanted. The first part of a name is the word
by which `measure(only=…)` asks for a family.
"""

from intrinsic_clip.measurement.families.dimensions import IntrinsicDimension
from intrinsic_clip.measurement.families.directions import Alignment, Information, Similarities
from intrinsic_clip.measurement.families.family import ByName, Family, Reporter, everything
from intrinsic_clip.measurement.families.matching import Matching
from intrinsic_clip.measurement.families.spectra import Spectrum

__all__ = [
    "Alignment",
    "ByName",
    "Family",
    "Information",
    "IntrinsicDimension",
    "Matching",
    "Reporter",
    "Similarities",
    "Spectrum",
    "everything",
]

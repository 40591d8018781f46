"""Measure how many dimensions a contrastive model really uses, and how many two modalities share.

The main names are here, and imported when they are first used: `import intrinsic_clip` itself takes milliseconds.

Example:
    >>> import torch, intrinsic_clip as ic
    >>> points = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)) @ torch.ones(3, 10)
    >>> round(float(ic.twonn(points).value))
    1
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intrinsic_clip.dimension import (
        DimensionEstimate,
        correlation_integral,
        effective_rank,
        gride,
        jacobian_spectrum,
        local_pca,
        mada,
        method_of_moments,
        mle,
        nearest_neighbours,
        participation_ratio,
        tle,
        twonn,
    )
    from intrinsic_clip.integrations import Measure, measure
    from intrinsic_clip.loss import (
        CosineSimilarity,
        FixedTemperature,
        LearnedTemperature,
        MovingAverageSimilarity,
        PopulationSimilarity,
        info_nce,
    )
    from intrinsic_clip.measurement.measurements import measure_embeddings
    from intrinsic_clip.measurement.projections.reduce import Reduce
    from intrinsic_clip.probes import (
        AlignmentProbe,
        IntrinsicDimensionProbe,
        JacobianProbe,
        MatchingProbe,
        Probe,
        SpectrumProbe,
        TemperatureProbe,
    )
    from intrinsic_clip.runs import Run, collect
    from intrinsic_clip.shared_dimension.estimate import SharedDimension, shared

__version__ = "0.1.0"

_ROOMS = {
    "dimension": (
        "DimensionEstimate", "correlation_integral", "effective_rank", "gride", "jacobian_spectrum", "local_pca",
        "mada", "method_of_moments", "mle", "nearest_neighbours", "participation_ratio", "tle", "twonn",
    ),
    "integrations": ("Measure", "measure"),
    "loss": (
        "CosineSimilarity", "FixedTemperature", "LearnedTemperature", "MovingAverageSimilarity", "PopulationSimilarity",
        "info_nce",
    ),
    "measurement.measurements": ("measure_embeddings",),
    "measurement.projections.reduce": ("Reduce",),
    "probes": (
        "AlignmentProbe", "IntrinsicDimensionProbe", "JacobianProbe", "MatchingProbe", "Probe", "SpectrumProbe",
        "TemperatureProbe",
    ),
    "runs": ("Run", "collect"),
    "shared_dimension.estimate": ("SharedDimension", "shared"),
}  # fmt: skip
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "AlignmentProbe",
    "CosineSimilarity",
    "DimensionEstimate",
    "FixedTemperature",
    "IntrinsicDimensionProbe",
    "JacobianProbe",
    "LearnedTemperature",
    "MatchingProbe",
    "Measure",
    "MovingAverageSimilarity",
    "PopulationSimilarity",
    "Probe",
    "Reduce",
    "Run",
    "SharedDimension",
    "SpectrumProbe",
    "TemperatureProbe",
    "collect",
    "correlation_integral",
    "effective_rank",
    "gride",
    "info_nce",
    "jacobian_spectrum",
    "local_pca",
    "mada",
    "measure",
    "measure_embeddings",
    "method_of_moments",
    "mle",
    "nearest_neighbours",
    "participation_ratio",
    "shared",
    "tle",
    "twonn",
]


def __getattr__(name: str) -> Any:
    """Import a main name from its room when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Measure embeddings that exist already, and advise how few dimensions would do.

Example:
    >>> import torch
    >>> from intrinsic_clip.measurement import measure_embeddings
    >>> points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    >>> measurement = measure_embeddings(points, estimators=["mle"])
    >>> measurement["n"], measurement["dims"], round(measurement["metrics"]["id/mle/x"], 1)
    (500, {'x': 3}, 2.7)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intrinsic_clip.measurement.measurements import measure_embeddings

__all__ = ["measure_embeddings"]


def __getattr__(name: str) -> Any:
    """Import `measure_embeddings` on first use: PyTorch takes seconds, and a finished measurement needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from intrinsic_clip.measurement import measurements

    return getattr(measurements, name)

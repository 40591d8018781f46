"""Numbers about embeddings as torchmetrics: for `self.log("id", metric)`, MetricCollection and several processes.

Each metric keeps a bounded sample of the rows of all batches and measures it as `intrinsic_clip.measure` does. The rows
themselves decide which of them are kept, so that neither batches nor processes change the sample.
"""

try:
    import torchmetrics  # noqa: F401
except ImportError as missing:
    raise ImportError("this needs torchmetrics: pip install torchmetrics") from missing

from intrinsic_clip.integrations.torchmetrics.embedding_numbers import EmbeddingNumbers
from intrinsic_clip.integrations.torchmetrics.single_numbers import (
    Alignment,
    EmbeddingNumber,
    InfoNCEBound,
    IntrinsicDimension,
    ModalityGap,
    PairMatching,
    Spectrum,
    Uniformity,
)

__all__ = [
    "Alignment",
    "EmbeddingNumber",
    "EmbeddingNumbers",
    "InfoNCEBound",
    "IntrinsicDimension",
    "ModalityGap",
    "PairMatching",
    "Spectrum",
    "Uniformity",
]

"""What the similarities of paired representations say: matching, alignment, information, their histograms."""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Le
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.metrics import (
    alignment,
    infonce_bound,
    label_matching,
    pair_similarities,
    partner_ranks,
    top_count,
    top_matching,
)
from intrinsic_clip.probes.embeddings import Embeddings
from intrinsic_clip.probes.probe import Probe

Share = Annotated[float, Gt(0), Le(1)]


class MatchingProbe(Probe):
    """Logs `matching/top_<k>/…`, `matching/top_<α>pct/…` and `matching/label_<set>/…`, in both directions.

    Args:
        ks: a pair counts as matched if the partner is among the k most similar.
        alphas: the same with k = max(1, int(α n)); 0.005 is the paper's.
        normalised: use the similarity of the loss instead of the encoders' own outputs (the paper's choice).
    """

    def __init__(
        self,
        ks: Sequence[PositiveInt] = (1,),
        alphas: Sequence[Share] = (0.005,),
        normalised: bool = False,
        every_n_epochs: PositiveInt = 1,
        in_sample: bool = False,
    ) -> None:
        super().__init__(every_n_epochs, in_sample)
        self.ks, self.alphas, self.normalised = ks, alphas, normalised

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Shares of matched pairs, per replicate."""
        x, y = (embeddings.x, embeddings.y) if self.normalised else (embeddings.x_raw, embeddings.y_raw)
        n = x.shape[-2]
        counts = {f"top_{k}": k for k in self.ks}
        counts |= {f"top_{100 * alpha:g}pct": top_count(alpha, n) for alpha in self.alphas}
        ranks = partner_ranks(x, y)
        matchings = {name: top_matching(ranks, k) for name, k in counts.items()}
        matchings |= {
            f"label_{name}": label_matching(x, y, labels) for name, labels in embeddings.labels.items()
        }
        metrics = {}
        for name, matching in matchings.items():
            metrics[f"matching/{name}/x_to_y"] = matching.x_to_y
            metrics[f"matching/{name}/y_to_x"] = matching.y_to_x
        return metrics


class AlignmentProbe(Probe):
    """Logs `alignment/cosine`, the mean cosine of positive pairs (the paper's alignment is its negative)."""

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Mean cosine per replicate, in [−1, 1]."""
        return {"alignment/cosine": alignment(embeddings.x, embeddings.y)}


class InformationProbe(Probe):
    """Logs `information/infonce_bound` = log N − L in nats over the N held-out rows, a lower bound of I(X; Y)."""

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The bound per replicate, at most log N."""
        bound = infonce_bound(embeddings.x, embeddings.y, embeddings.tau)
        return {"information/infonce_bound": bound.mean}


class SimilarityProbe(Probe):
    """Logs histograms of the similarity of positive and of random pairs, and both means."""

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Mean similarities per replicate, and the mean norms of the encoders' outputs."""
        positive, random = pair_similarities(embeddings.x, embeddings.y)
        return {
            "similarity/positive": positive.mean(-1),
            "similarity/random": random.mean(-1),
            "norm/x": torch.linalg.vector_norm(embeddings.x_raw, dim=-1).mean(-1),
            "norm/y": torch.linalg.vector_norm(embeddings.y_raw, dim=-1).mean(-1),
        }

    def draw(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The two samples behind the means."""
        positive, random = pair_similarities(embeddings.x, embeddings.y)
        return {"similarity/histogram_positive": positive, "similarity/histogram_random": random}

"""What the similarities of paired representations say: matching, alignment, information, their histograms."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.metrics import (
    alignment,
    infonce_bound,
    label_matching,
    median_rank,
    modality_gap,
    pair_similarities,
    partner_ranks,
    top_count,
    top_matching,
    uniformity,
)
from intrinsic_clip.probes.embeddings import Embeddings, Side
from intrinsic_clip.probes.probe import Probe

Share = Annotated[float, Gt(0), Le(1)]


class MatchingProbe(Probe):
    """Logs `matching/top_<k>/…`, `matching/top_<α>pct/…` and `matching/label_<set>/…`, in both directions.

    Beside these shares `matching/median_rank/…`, the true partner's among all n.

    Args:
        source: first; see `Probe` for it and the arguments that are not here.
        ks: a pair counts as matched if the partner is among the k most similar.
        alphas: the same with k = max(1, int(α n)); 0.005 is the paper's.
        normalised: use the similarity of the loss instead of the encoders' own outputs (the paper's choice).
    """

    def __init__(
        self,
        *args: Any,
        ks: Sequence[PositiveInt] = (1,),
        alphas: Sequence[Share] = (0.005,),
        normalised: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ks, self.alphas, self.normalised = ks, alphas, normalised

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Both directions of each k and α."""
        tops = [f"top_{k}" for k in self.ks] + [_percent(alpha) for alpha in self.alphas] + ["median_rank"]
        return [f"matching/{top}/{direction}" for top in tops for direction in ("x_to_y", "y_to_x")]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Shares of matched pairs, per replicate."""
        x, y = embeddings.pair(raw=not self.normalised)
        n = x.shape[-2]
        counts = {f"top_{k}": k for k in self.ks}
        counts |= {_percent(alpha): top_count(alpha, n) for alpha in self.alphas}
        ranks = partner_ranks(x, y)
        matchings = {name: top_matching(ranks, k) for name, k in counts.items()}
        matchings["median_rank"] = median_rank(ranks)
        matchings |= {
            f"label_{name}": label_matching(x, y, labels) for name, labels in embeddings.labels.items()
        }
        metrics = {}
        for name, matching in matchings.items():
            metrics[f"matching/{name}/x_to_y"] = matching.x_to_y
            metrics[f"matching/{name}/y_to_x"] = matching.y_to_x
        return metrics


def _percent(alpha: float) -> str:
    return f"top_{100 * alpha:g}pct"


class AlignmentProbe(Probe):
    """Logs `alignment/cosine`, the mean cosine of positive pairs (the paper's alignment is its negative).

    Beside it `uniformity/x`, `uniformity/y` and `modality_gap`. Of a single embedding there is only uniformity.
    """

    def names(self, sides: Sequence[Side]) -> list[str]:
        """All of them."""
        return [f"uniformity/{side}" for side in sides] + ["alignment/cosine", "modality_gap"] * (
            "y" in sides
        )

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Mean cosine per replicate, in [−1, 1], log-mean potential of directions, and distance of their means."""
        metrics = {f"uniformity/{side}": uniformity(rows) for side, rows in embeddings.sides().items()}
        if embeddings.y is not None:
            metrics["alignment/cosine"] = alignment(embeddings.x, embeddings.y)
            metrics["modality_gap"] = modality_gap(embeddings.x, embeddings.y)
        return metrics


class InformationProbe(Probe):
    """Logs `information/infonce_bound` = log N − L in nats over the N held-out rows, a lower bound of I(X; Y)."""

    def names(self, sides: Sequence[Side]) -> list[str]:
        """The bound."""
        return ["information/infonce_bound"]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The bound per replicate, at most log N.

        Raises:
            ValueError: the temperature is not known.
        """
        if embeddings.tau is None:
            raise ValueError(
                "the temperature is not known: the module has neither temperature() nor logit_scale"
            )
        bound = infonce_bound(*embeddings.pair(), embeddings.tau)
        return {"information/infonce_bound": bound.mean}


class SimilarityProbe(Probe):
    """Logs histograms of the similarity of positive and of random pairs, and both means.

    Beside them `norm/x` and `norm/y`, of the encoders' own outputs, and `relative_norm/x` and `relative_norm/y`, of
    the representations as the loss sees them. Under the population norm the latter are 1 where the append rows stand
    for the held-out ones; training also sees the append rows, and large values say that it has shrunk them.
    """

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Similarities and norms."""
        norms = [f"{norm}/{side}" for norm in ("norm", "relative_norm") for side in ("x", "y")]
        return ["similarity/positive", "similarity/random", *norms]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Mean similarities and mean norms, per replicate."""
        positive, random = pair_similarities(*embeddings.pair())
        metrics = {"similarity/positive": positive.mean(-1), "similarity/random": random.mean(-1)}
        for norm, pair in (("norm", embeddings.pair(raw=True)), ("relative_norm", embeddings.pair())):
            for side, rows in zip(("x", "y"), pair, strict=True):
                metrics[f"{norm}/{side}"] = torch.linalg.vector_norm(rows, dim=-1).mean(-1)
        return metrics

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """The two samples behind the means."""
        positive, random = pair_similarities(*embeddings.pair())
        return {"similarity/histogram_positive": positive, "similarity/histogram_random": random}

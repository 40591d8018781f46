"""Measure the similarities of paired representations: matching, alignment, information, and their histograms."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Le
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.loss.similarity import CosineSimilarity
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
NAMES = {"inner_product": "matching", "cosine": "retrieval"}


class MatchingProbe(Probe):
    """Log how often a row's partner is among its most similar rows, in both directions.

    The names are `matching/…` where the similarity is the inner product of the encoders' own outputs (the paper's),
    and `retrieval/…` where it is their cosine, as in `measure`:

    - `top_<k>/x_to_y`, `top_<α>pct/x_to_y`: the share of pairs whose partner is among the most similar,
    - `median_rank/x_to_y`: the median over rows of the partner's rank among all n,
    - `label_<set>/x_to_y`: the share of rows whose most similar partner has their label.

    Under the population norm, the loss's similarity ranks exactly as the inner product of the encoders' own outputs,
    since it divides all of an encoder's outputs by one number; under the cosine loss it ranks as the cosine.

    Where rows of the data repeat, as an image with five captions does, each distinct row is searched for once, and any
    of its partners is right, as in published recalls. A warning says so.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        ks: a pair counts as matched if the partner is among the k most similar.
        alphas: the same with k = max(1, int(α n)); the paper's is 0.005.
        similarity: by which rows are ranked.
    """

    def __init__(
        self,
        *args: Any,
        ks: Sequence[PositiveInt] = (1,),
        alphas: Sequence[Share] = (0.005,),
        similarity: Literal["inner_product", "cosine"] = "inner_product",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if similarity not in NAMES:
            raise ValueError(f"similarity must be inner_product or cosine, got {similarity!r}")
        self.ks, self.alphas, self.similarity = ks, alphas, similarity

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each k, each α and the median rank in both directions."""
        tops = [f"top_{k}" for k in self.ks] + [_percent(alpha) for alpha in self.alphas] + ["median_rank"]
        return [f"{NAMES[self.similarity]}/{top}/{way}" for top in tops for way in ("x_to_y", "y_to_x")]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return shares of matched pairs, and median ranks from 1 to n."""
        x, y = embeddings.pair(raw=True)
        if self.similarity == "cosine":
            x, y = CosineSimilarity()(x), CosineSimilarity()(y)
        both = embeddings.counterparts()
        n = x.shape[-2] if both is None else max(len(both.x), len(both.y))
        if both is not None:
            self.warn_once(f"{NAMES[self.similarity]}: {both.describe()}")
        counts = {f"top_{k}": k for k in self.ks}
        counts |= {_percent(alpha): top_count(alpha, n) for alpha in self.alphas}
        ranks = partner_ranks(x, y, both)
        matchings = {name: top_matching(ranks, k) for name, k in counts.items()}
        matchings["median_rank"] = median_rank(ranks)
        matchings |= {
            f"label_{name}": label_matching(x, y, labels) for name, labels in embeddings.labels.items()
        }
        metrics = {}
        for name, matching in matchings.items():
            metrics[f"{NAMES[self.similarity]}/{name}/x_to_y"] = matching.x_to_y
            metrics[f"{NAMES[self.similarity]}/{name}/y_to_x"] = matching.y_to_x
        return metrics


def _percent(alpha: float) -> str:
    return f"top_{100 * alpha:g}pct"


class AlignmentProbe(Probe):
    """Log `alignment/cosine`, the mean cosine of positive pairs (the paper's alignment is its negative).

    Also logged are `uniformity/x`, `uniformity/y` and `modality_gap`. A single embedding has uniformity only.
    """

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each number."""
        return [f"uniformity/{side}" for side in sides] + ["alignment/cosine", "modality_gap"] * (
            "y" in sides
        )

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return the mean cosine in [−1, 1], the log-mean potentials of directions, and the distance of their means."""
        metrics = {f"uniformity/{side}": uniformity(rows) for side, rows in embeddings.sides().items()}
        if embeddings.y is not None:
            metrics["alignment/cosine"] = alignment(embeddings.x, embeddings.y)
            metrics["modality_gap"] = modality_gap(embeddings.x, embeddings.y)
        return metrics


class InformationProbe(Probe):
    """Log `information/infonce_bound` = log N − L in nats over the N held-out rows, a lower bound of I(X; Y)."""

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of the bound."""
        return ["information/infonce_bound"]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return the bound, at most log N.

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
    """Log the mean similarities of positive and of random pairs with their histograms, and mean norms.

    `norm/x` and `norm/y` are of the encoders' own outputs, `relative_norm/x` and `relative_norm/y` of the
    representations as the loss sees them. Under the population norm the latter are 1 where the append rows represent
    the held-out ones; training sees the append rows too, and large values mean that it has shrunk them.
    """

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of similarities and norms."""
        norms = [f"{norm}/{side}" for norm in ("norm", "relative_norm") for side in ("x", "y")]
        return ["similarity/positive", "similarity/random", *norms]

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return mean similarities and mean norms."""
        positive, random = pair_similarities(*embeddings.pair())
        metrics = {"similarity/positive": positive.mean(-1), "similarity/random": random.mean(-1)}
        for norm, pair in (("norm", embeddings.pair(raw=True)), ("relative_norm", embeddings.pair())):
            for side, rows in zip(("x", "y"), pair, strict=True):
                metrics[f"{norm}/{side}"] = torch.linalg.vector_norm(rows, dim=-1).mean(-1)
        return metrics

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return the similarities of positive and of random pairs."""
        positive, random = pair_similarities(*embeddings.pair())
        return {"similarity/histogram_positive": positive, "similarity/histogram_random": random}

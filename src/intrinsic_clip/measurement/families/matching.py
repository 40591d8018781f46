"""Matching: how often a row's partner is among its most similar rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from intrinsic_clip.dimension.percentages import percentage
from intrinsic_clip.loss.similarity import CosineSimilarity
from intrinsic_clip.measurement.doubts import varying_norms
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families.family import ByName, Reporter, Wanted, everything
from intrinsic_clip.metrics import (
    Counterparts,
    label_matching,
    median_rank,
    partner_ranks,
    top_count,
    top_matching,
)
from intrinsic_clip.metrics import (
    Matching as Shares,
)

NAMES = {"inner_product": "matching", "cosine": "retrieval"}
WAYS = ("x_to_y", "y_to_x")


@dataclass(frozen=True)
class Matching:
    """`matching/…` by inner product of the encoders' own outputs, or `retrieval/…` by their cosine.

    The names are `top_<k>/x_to_y`, `top_<α>pct/x_to_y`, `median_rank/x_to_y`, `label_<set>/x_to_y`, and `…/y_to_x`.

    Attributes:
        ks: a pair counts as matched if the partner is among the k most similar.
        alphas: the same with k = max(1, int(α n)).
        similarity: by which rows are ranked.
    """

    ks: Sequence[int] = (1,)
    alphas: Sequence[float] = (0.005,)
    similarity: Literal["inner_product", "cosine"] = "inner_product"

    def __post_init__(self) -> None:
        if self.similarity not in NAMES:
            raise ValueError(f"similarity must be inner_product or cosine, got {self.similarity!r}")

    @property
    def kind(self) -> str:
        """Return the first part of the names."""
        return NAMES[self.similarity]

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each k, each α and the median rank in both directions."""
        tops = [f"top_{k}" for k in self.ks] + [_percent(alpha) for alpha in self.alphas] + ["median_rank"]
        return [f"{self.kind}/{top}/{way}" for top in tops for way in WAYS]

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Return shares of matched pairs, and median ranks from 1 to n."""
        x, y = embeddings.pair(raw=True)
        if self.similarity == "cosine":
            x, y = CosineSimilarity()(x), CosineSimilarity()(y)
        numbers: ByName = {}
        # The rows of another's module may not be what its loss compares.
        doubtful = self.similarity == "inner_product" and embeddings.x_raw is None
        norms = varying_norms(x, y) if doubtful else None
        if norms is not None:
            reporter.warn_once(
                f"matching compares inner products as the loss of the paper does, and {norms}: retrieval/… compares "
                "cosines"
            )
        if any(map(wanted, self.names(("x", "y")))):
            try:
                numbers |= self._named(self._by_rank(x, y, self._right_answers(embeddings, reporter)))
            except ValueError as failure:  # labels are still worth having
                missing = Measured(None, reporter.warn_of_failure(failure, self.kind))
                numbers |= dict.fromkeys(self.names(("x", "y")), missing)
        for name, labels in embeddings.labels.items():
            if any(wanted(f"{self.kind}/label_{name}/{way}") for way in WAYS):
                numbers |= self._named({f"label_{name}": label_matching(x, y, labels)})
        return numbers

    def _named(self, matchings: Mapping[str, Shares]) -> ByName:
        """Return numbers under the names of their direction."""
        return {
            f"{self.kind}/{name}/{way}": getattr(matching, way)
            for name, matching in matchings.items()
            for way in WAYS
        }

    def _right_answers(self, embeddings: Embeddings, reporter: Reporter) -> Counterparts | None:
        both = embeddings.counterparts()
        if both is not None:
            reporter.warn_once(f"{self.kind}: {both.describe()}")
        return both

    def _by_rank(self, x: Tensor, y: Tensor, both: Counterparts | None) -> dict[str, Shares]:
        n = x.shape[-2] if both is None else max(len(both.x), len(both.y))
        counts = {f"top_{k}": k for k in self.ks}
        counts |= {_percent(alpha): top_count(alpha, n) for alpha in self.alphas}
        ranks = partner_ranks(x, y, both)
        matchings = {name: top_matching(ranks, k) for name, k in counts.items()}
        return matchings | {"median_rank": median_rank(ranks)}


def _percent(alpha: float) -> str:
    return f"top_{percentage(alpha)}pct"

"""Alignment, uniformity, similarities, norms and information: cheap numbers about directions, lengths and pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from intrinsic_clip.measurement.doubts import varying_norms
from intrinsic_clip.measurement.embeddings import Embeddings, Side
from intrinsic_clip.measurement.families.family import ByName, Reporter, Wanted, everything
from intrinsic_clip.metrics import (
    alignment,
    distribution_gap,
    infonce_bound,
    modality_gap,
    pair_similarities,
    uniformity,
)


@dataclass(frozen=True)
class Alignment:
    """`alignment/cosine`, `modality_gap`, `distribution_gap`, and `uniformity/x` and `…/y`, which need one modality."""

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each number."""
        pairs = ["alignment/cosine", "modality_gap", "distribution_gap"] if "y" in sides else []
        return [f"uniformity/{side}" for side in sides] + pairs

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Return the mean cosine in [−1, 1], the log-mean potentials of directions, and the distances of directions."""
        numbers: ByName = {
            f"uniformity/{side}": uniformity(rows)
            for side, rows in embeddings.sides().items()
            if wanted(f"uniformity/{side}")
        }
        if embeddings.y is not None:
            if wanted("alignment/cosine"):
                numbers["alignment/cosine"] = alignment(embeddings.x, embeddings.y)
            if wanted("modality_gap"):
                numbers["modality_gap"] = modality_gap(embeddings.x, embeddings.y)
            if wanted("distribution_gap"):
                numbers["distribution_gap"] = distribution_gap(embeddings.x, embeddings.y)
        return numbers


@dataclass(frozen=True)
class Information:
    """`information/infonce_bound` = log N − L in nats over the N rows, a lower bound of I(X; Y).

    Attributes:
        unknown: why there is no temperature, where there is none.
    """

    unknown: str = "the temperature is not known: give tau"

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of the bound."""
        return ["information/infonce_bound"]

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Return the bound, at most log N.

        Raises:
            ValueError: the temperature is not known.
        """
        if embeddings.tau is None:
            raise ValueError(self.unknown)
        norms = varying_norms(*embeddings.pair()) if embeddings.x_raw is None else None
        if norms is not None:
            reporter.warn_once(
                f"information/infonce_bound takes inner products as they are, and {norms}: give rows of length 1 if "
                "the loss compares cosines"
            )
        bound = infonce_bound(*embeddings.pair(), embeddings.tau)
        return {"information/infonce_bound": bound.mean}


@dataclass(frozen=True)
class Similarities:
    """`similarity/positive` and `similarity/random`, and mean norms: `norm/x`, `relative_norm/x`, and those of y."""

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names of similarities and norms."""
        norms = [f"{norm}/{side}" for norm in ("norm", "relative_norm") for side in sides]
        return ["similarity/positive", "similarity/random", *norms] if "y" in sides else norms

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Return mean similarities and mean norms.

        Raises:
            ValueError: similarities are wanted, and there is no y.
        """
        numbers: ByName = {}
        if wanted("similarity/positive") or wanted("similarity/random"):
            positive, random = pair_similarities(*embeddings.pair())
            numbers |= {"similarity/positive": positive.mean(-1), "similarity/random": random.mean(-1)}
        own = embeddings.x if embeddings.x_raw is None else embeddings.x_raw
        raw = (own,) if embeddings.y is None else embeddings.pair(raw=True)
        for norm, each in (("norm", raw), ("relative_norm", embeddings.sides().values())):
            for side, rows in zip(embeddings.sides(), each, strict=True):
                numbers[f"{norm}/{side}"] = torch.linalg.vector_norm(rows, dim=-1).mean(-1)
        return numbers

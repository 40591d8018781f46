"""What takes both modalities: how they lie to each other, and retrieval with all and with fewer dimensions."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from intrinsic_clip.metrics import (
    alignment,
    modality_gap,
    partner_ranks,
    retrieval_by_dimension,
    smallest_sufficient,
    top_matching,
    uniformity,
)
from intrinsic_clip.metrics.alignment import directions

RECALLS = (1, 5, 10)
FITTED, HELD_OUT = (
    20_000,
    5000,
)  # pairs, at most, for the directions, and for recall when few of them are kept
KEPT = 0.99  # of retrieval, the share that is enough
WAYS = ("x_to_y", "y_to_x")
Basis = Literal["principal", "canonical"]


def measure_pairs(
    found: dict[str, Any], x: Tensor, y: Tensor, order: Tensor, max_points: int, seed: int
) -> list[tuple[str, Callable[[], object]]]:
    """The stages of a pair, which fill in `found`.

    Args:
        found: see `measure_embeddings`.
        x, y: all pairs; cosines between the two are taken only where they are equally wide.
        order: all rows, as drawn; of these,
        max_points: for what compares all with all, which are the candidates of retrieval.
        seed: of which pairs are held out.
    """
    metrics, chosen = found["metrics"], order[:max_points]

    def geometry() -> None:
        metrics["modality_gap"] = float(modality_gap(x, y))
        metrics["alignment/cosine"] = float(alignment(x, y))

    def spread() -> None:
        metrics["uniformity/x"], metrics["uniformity/y"] = (
            float(uniformity(side[chosen])) for side in (x, y)
        )

    alike = x.shape[1] == y.shape[1]
    stages: list[tuple[str, Callable[[], object]]] = [("pairs: alignment", geometry)] if alike else []
    stages.append(("pairs: uniformity", spread))
    if alike:
        stages.append(("pairs: retrieval", partial(_retrieval, metrics, x[chosen], y[chosen])))
    bases: tuple[Basis, ...] = ("principal", "canonical") if alike else ("canonical",)
    stages += [
        (f"pairs: {basis}", partial(_by_dimension, found, x, y, order, basis, seed)) for basis in bases
    ]
    return stages


def _retrieval(metrics: dict[str, Any], x: Tensor, y: Tensor) -> None:
    """Recall by cosine of the whole embeddings, every row among all of these."""
    n = len(x)
    ranks = partner_ranks(directions(x), directions(y))
    metrics["retrieval/candidates"] = n
    for k in RECALLS:
        matching = top_matching(ranks, min(k, n))
        for way in WAYS:
            share = float(getattr(matching, way))
            metrics[f"retrieval/top_{k}/{way}"] = share
            metrics[f"retrieval_standard_error/top_{k}/{way}"] = _binomial(share, n)


def _by_dimension(
    found: dict[str, Any], x: Tensor, y: Tensor, order: Tensor, basis: Basis, seed: int
) -> None:
    """Recall@1 with the leading directions alone, mean of both ways, and how many are enough."""
    dims = steps(min(x.shape[1], y.shape[1]))
    few = order[: 2 * FITTED]  # one half is for fitting
    retrieval = retrieval_by_dimension(x[few], y[few], dims, basis, max_rows=HELD_OUT, seed=seed)
    enough = smallest_sufficient(retrieval, KEPT)
    sufficient = int(enough.dims) if int(enough.dims) > 0 else None
    found["metrics"][f"sufficient_dimension/{basis}"] = sufficient
    # The two ways share their pairs, so the mean's error may be as large as theirs.
    found["curves"][f"retrieval/{basis}"] = {
        "at": list(retrieval.dims),
        "value": torch.stack(tuple(retrieval.recall)).mean(0)[:, 0].tolist(),
        "standard_error": torch.stack(tuple(retrieval.standard_error)).mean(0)[:, 0].tolist(),
        **{way: getattr(retrieval.recall, way)[:, 0].tolist() for way in WAYS},
        "n": retrieval.n,
        "full": float(enough.full),
        "full_standard_error": _binomial(float(enough.full), retrieval.n),
        "sufficient": sufficient,
    }


def steps(d: int) -> list[int]:
    """1, 2, … 8, then four steps to every doubling, then d."""
    octaves = [(4 + quarter) << octave for octave in range(1, d.bit_length()) for quarter in range(4)]
    return [*(m for m in (*range(1, 8), *octaves) if m < d), d]


def _binomial(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)

"""Compare two modalities: alignment, uniformity, and retrieval by cosine with all and with fewer dimensions."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

import torch
from torch import Tensor

from intrinsic_clip.measurement.forms import measure_forms
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.record import Record, numbers
from intrinsic_clip.measurement.sampled_pairs import SampledPairs
from intrinsic_clip.metrics import (
    Counterparts,
    PartnerRanks,
    alignment,
    modality_gap,
    partner_ranks,
    retrieval_by_dimension,
    smallest_sufficient,
    uniformity,
)
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.matching import expected_shares
from intrinsic_clip.metrics.paired_error import Clusters, clusters, way_error
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.projection import dimension_steps
from intrinsic_clip.metrics.reduction import RetrievalByDimension
from intrinsic_clip.metrics.sufficient_dimension import smallest_within_error

RECALLS = (1, 5, 10)
TEN = 10  # the further k of recall along leading directions
FITTED = 20_000  # pairs, at most, that directions are fitted on
HELD_OUT = 5000  # pairs, at most, for recall along the leading directions
KEPT = 0.99  # share of the full recall that counts as enough
WAYS = ("x_to_y", "y_to_x")
Basis = Literal["principal", "canonical"]


def pair_stages(
    record: Record,
    x: Tensor,
    y: Tensor,
    order: Tensor,
    max_points: int,
    seed: int,
    grouping: Grouping = UNGROUPED,
) -> list[tuple[str, Callable[[], object]]]:
    """Return the stages that compare x and y.

    Args:
        record: receives the numbers.
        x, y: all pairs, `(n, d_x)` and `(n, d_y)`; cosines between the two need equal widths.
        order: a random order of all rows, int64 `(n,)`; each sample is its beginning.
        max_points: pairs that are compared all with all, among which partners are retrieved.
        seed: seed of the choice of held-out pairs.
        grouping: groups and classes of all pairs.
    """
    chosen = order[:max_points]
    same_width = x.shape[1] == y.shape[1]
    stages: list[tuple[str, Callable[[], object]]] = []
    if same_width:
        stages.append(("pairs: alignment", partial(_measure_alignment, record, x, y)))
    stages.append(("pairs: uniformity", partial(measure_uniformity, record, x, y, chosen, grouping)))
    if same_width:
        retrieved = partial(measure_retrieval, record, x[chosen], y[chosen], grouping.at(chosen))
        stages.append(("pairs: retrieval", retrieved))

    @cache
    def sampled() -> SampledPairs:
        rows = order[: 2 * FITTED]  # directions are fitted on one half
        return SampledPairs.of(x[rows], y[rows], grouping.at(rows))

    def by_dimension(basis: Basis) -> None:
        measure_by_dimension(record, sampled(), basis, seed)

    bases: tuple[Basis, ...] = ("principal", "canonical") if same_width else ("canonical",)
    stages += [(f"pairs: {basis}", partial(by_dimension, basis)) for basis in bases]
    stages.append(("pairs: forms", lambda: compare_stored(record, sampled(), seed)))
    return stages


def compare_stored(record: Record, pairs: SampledPairs, seed: int) -> None:
    """Record how forms of stored rows compare, once it is known how many directions are enough."""
    curves = [record.curves.get(f"retrieval/{basis}", {}) for basis in ("principal", "canonical")]
    dims = [curve["sufficient"] for curve in curves if curve.get("sufficient")]
    measure_forms(record, pairs.x, pairs.y, dims, seed, pairs.pairing, pairs.labels)


def compare_alone(
    record: Record, x: Tensor, order: Tensor, seed: int, grouping: Grouping = UNGROUPED
) -> None:
    """Record how forms of stored rows keep the neighbours among x: without y, or where y has other coordinates."""
    chosen = order[: 2 * FITTED]
    needed = record.metrics.get("spectrum/components_99pct/x")
    dims = [] if needed is None else [int(needed)]
    rows, of = x[chosen], grouping.at(chosen)
    pairing = None if of.groups is None else Pairing.of_rows(rows, rows, of.groups)
    measure_forms(record, rows, None, dims, seed, pairing, of.labels)


def _measure_alignment(record: Record, x: Tensor, y: Tensor) -> None:
    record.metrics["modality_gap"] = float(modality_gap(x, y))
    record.metrics["alignment/cosine"] = float(alignment(x, y))


def measure_uniformity(
    record: Record, x: Tensor, y: Tensor, chosen: Tensor, grouping: Grouping = UNGROUPED
) -> None:
    """Record how evenly the chosen rows spread, each row of a file once where groups need copies of it."""
    for name, rows in (("x", x), ("y", y)):
        each = grouping.at(chosen).each(name)
        places = chosen if each is None or len(each) < 2 else chosen[each.to(chosen.device)]
        record.metrics[f"uniformity/{name}"] = float(uniformity(rows[places]))


def measure_retrieval(record: Record, x: Tensor, y: Tensor, grouping: Grouping = UNGROUPED) -> None:
    """Record recall by cosine with all dimensions, each distinct row searched for among all of them."""
    n = len(x)
    both = grouping.pairing(x, y).counterparts()
    ranks = partner_ranks(directions(x), directions(y), both)
    record_retrieval(record, ranks, both, clusters(n, both, grouping.classes), n)


def record_retrieval(
    record: Record, ranks: PartnerRanks, both: Counterparts | None, together: Clusters, n: int
) -> None:
    """Record recall of n pairs from the ranks of partners.

    Args:
        record: receives the numbers.
        ranks: of those that were asked.
        both: the right answers where rows repeat.
        together: which of those asked hang together.
        n: pairs.
    """
    distinct = (n, n) if both is None else (len(both.x), len(both.y))
    record.metrics["retrieval/candidates"] = max(distinct)
    record.retrieval = {
        "x": distinct[0],
        "y": distinct[1],
        "chance": 1 / n if both is None else both.chance,
        "draws": {way: len(of.unique()) for way, of in zip(WAYS, together, strict=True)},
    }
    if both is not None:
        record.notes.append(f"pairs: {both.describe()}")
    for k in RECALLS:
        for way, asked, of in zip(WAYS, ranks, together, strict=True):
            found = expected_shares(asked, min(k, n))
            record.metrics[f"retrieval/top_{k}/{way}"] = float(found.mean())
            error = way_error(found[:, None], of)
            record.metrics[f"retrieval_standard_error/top_{k}/{way}"] = float(error)


def measure_by_dimension(record: Record, pairs: SampledPairs, basis: Basis, seed: int) -> None:
    """Record recall along the leading directions alone, mean of both ways, and how many are enough.

    `sufficient` is the fewest whose recall@1 is within one standard error of the full one, by paired differences;
    the metric `sufficient_dimension/…` the fewest that keep 99 % of it, and None where pairs match by chance alone.
    """
    x, y, pairing = pairs.x, pairs.y, pairs.pairing
    dims = dimension_steps(min(x.shape[1], y.shape[1]))
    distinct = max(len(pairing.x.unique()), len(pairing.y.unique()))
    ks = (1, TEN) if distinct >= 4 * TEN else (1,)  # at least a quarter is held out
    retrieval = retrieval_by_dimension(x, y, dims, basis, ks, max_rows=HELD_OUT, seed=seed, things=pairing)
    enough = smallest_sufficient(retrieval, KEPT)
    guesses = retrieval.is_by_chance  # then nothing says how many dimensions keep it
    share = None if guesses or int(enough.dims) <= 0 else int(enough.dims)
    within = int(smallest_within_error(retrieval).dims)
    record.metrics[f"sufficient_dimension/{basis}"] = share
    record.curves[f"retrieval/{basis}"] = {
        **_curve(retrieval, 0),
        **{way: getattr(retrieval.recall, way)[:, 0].tolist() for way in WAYS},
        "n": retrieval.n,
        "chance": retrieval.chance,
        "full": float(enough.full),
        "full_standard_error": float(retrieval.full_error[0]),
        "sufficient": None if guesses or within <= 0 else within,
        "keeps_99_percent": share,
        "recall_10": _curve(retrieval, 1) if len(ks) > 1 else None,
    }


def _curve(retrieval: RetrievalByDimension, place: int) -> dict[str, Any]:
    """Return recall at one k against dimensions, and what is lost of the full one, with standard errors."""
    assert retrieval.difference is not None
    assert retrieval.difference_error is not None
    return {
        "at": list(retrieval.dims),
        "value": torch.stack(tuple(retrieval.recall)).mean(0)[:, place].tolist(),
        "standard_error": retrieval.mean_error[:, place].tolist(),
        "difference": numbers(retrieval.difference[:, place]),
        "difference_standard_error": numbers(retrieval.difference_error[:, place]),
    }

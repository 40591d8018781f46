"""Ask other methods how many dimensions are shared: correlations, neighbours, and the trained representation."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, Neighbours, mle, twonn
from intrinsic_clip.dimension.doubts import doubted_distances, in_short
from intrinsic_clip.metrics import (
    JointNeighbours,
    canonical_rank,
    dimension_correlation,
    information_imbalance,
    joint_dimension,
    joint_neighbours,
    kernel_canonical_rank,
    retrieval_by_dimension,
    smallest_sufficient,
)
from intrinsic_clip.metrics.canonical_rank import CanonicalRank
from intrinsic_clip.reports.number_format import percent
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.canonical_check import ROWS as PERMUTED
from intrinsic_clip.shared_dimension.dependent_rows import grouped_rows, order_note
from intrinsic_clip.shared_dimension.pairs import SIDES, independent
from intrinsic_clip.shared_dimension.views import WIDEST, prepared

if TYPE_CHECKING:
    from intrinsic_clip.shared_dimension.estimate import SharedDimension

ROWS = 5000  # pairs, at most, that neighbours are searched among and kernels taken of
FEW = 1000  # pairs, at most, that are shuffled a hundred times and searched anew
NEIGHBOURS = 20  # of the MLE
KEPT = 0.99  # share of the full matching that counts as enough
IN_ORDER = "successive rows are alike: too much is found if they follow one another in time"
# What shuffled pairs may seem to share for an answer to count, in dimensions and as a correlation.
MOST_DIMENSIONS, MOST_CORRELATION = 0.5, 0.1
ESTIMATORS: Mapping[str, tuple[str, Callable[[Tensor | Neighbours], DimensionEstimate]]] = {
    "mle": ("MLE", mle),
    "twonn": ("TwoNN", twonn),
}


@dataclass(frozen=True)
class Answer:
    """One method's answer.

    Attributes:
        name: short name, for programs.
        title: words for tables.
        value: the number; None where there is none to trust.
        note: why there is none, or why it is doubtful; else None.
    """

    name: str
    title: str
    value: float | None
    note: str | None = None


def alternatives(x: Tensor, y: Tensor, estimate: "SharedDimension", seed: int = 0) -> list[dict[str, Any]]:
    """Return each other method's answer: `name`, `title`, `value`, and `note`, a short reason for a doubt or no value.

    They are asked about the pairs that the estimate is of: one of each image beside several captions.

    Args:
        x, y: the views, `(n, width)`.
        estimate: of the same views, which holds the trained representations of held-out pairs.
        seed: of permutations, halves, and the draws of pairs.
    """
    kept, few_different = independent(x, y, seed)
    left, right = (prepared(side[kept], 1, WIDEST, seed).rows for side in (x, y))
    in_order = IN_ORDER if order_note(left, right) is not None else None
    order = torch.randperm(len(left), generator=seeded(seed))
    some, few = ((left[order[:most]], right[order[:most]]) for most in (ROWS, FEW))
    of_some, of_few = (_of(len(part[0]), len(left)) for part in (some, few))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates and the like, which the notes say
        linear = _linear(left, right, estimate.canonical_rank, seed)
        kernel = _rank(
            "kernel_cca",
            f"functions that kernel CCA finds shared, permutation test{of_some}",
            kernel_canonical_rank(*some, seed=seed),
        )
        neighbours = joint_neighbours(*some, NEIGHBOURS)
        answers = [
            linear,
            kernel,
            *_by_dimension(neighbours, some[1], few, of_some, of_few, seed),
            *_imbalances(some, of_some),
        ]
        in_groups = _in_groups(neighbours, few_different)
        answers = [_of_dependent(answer, in_groups, in_order) for answer in answers]
        answers += _trained(*estimate.representations, seed)
    return [asdict(answer) for answer in answers]


def _in_groups(neighbours: JointNeighbours, few: Mapping[str, str]) -> str | None:
    """Return the words for rows that come in groups on both sides; None where one side's at least are independent.

    Args:
        neighbours: of either view.
        few: by side, how many rows are different ones, where they are too few to take one of each.
    """
    found = {side: few.get(side) or grouped_rows(getattr(neighbours, side)) for side in SIDES}
    if any(doubt is None for doubt in found.values()):
        return None
    return "; ".join(f"{side}: {doubt}" for side, doubt in found.items())


def _of_dependent(answer: Answer, in_groups: str | None, in_order: str | None) -> Answer:
    """Return an answer without its value where rows come in groups on both sides, doubted where they are in order.

    Shuffled pairs forget which rows belong together, and a row's neighbours are of its group in both views.
    """
    if answer.value is None:
        return answer
    return replace(answer, value=None, note=in_groups) if in_groups else replace(answer, note=in_order)


def _of(taken: int, n: int) -> str:
    """Return the words for a draw of pairs; none where all are taken."""
    return f", {taken:,} of {n:,} pairs" if taken < n else ""


def _linear(left: Tensor, right: Tensor, counted: int | None, seed: int) -> Answer:
    """Return the rank of CCA: the one that the interval was compared with, where there is one."""
    title = "rank of CCA, permutation test"
    if counted is None:
        return _rank("cca", title, canonical_rank(left, right, seed=seed))
    return Answer("cca", f"{title}{_of(min(PERMUTED, len(left)), len(left))}", counted)


def _rank(name: str, title: str, result: CanonicalRank) -> Answer:
    answer = _answer(name, title, float(result.rank), result.reason)
    return answer if answer.value is None else replace(answer, value=int(answer.value))


def _answer(name: str, title: str, value: float, reason: str | None) -> Answer:
    """Return an answer; for NaN one without a value, for which there is a reason."""
    return Answer(name, title, value) if math.isfinite(value) else Answer(name, title, None, reason)


def _by_dimension(
    neighbours: JointNeighbours,
    y: Tensor,
    few: tuple[Tensor, Tensor],
    of_some: str,
    of_few: str,
    seed: int,
) -> list[Answer]:
    """Return what the intrinsic dimensions of the views, and of both side by side, say is shared."""
    doubt = _doubt(neighbours)
    order = torch.randperm(len(y), generator=seeded(seed))
    shuffled = joint_neighbours(neighbours.x.points, y[order], NEIGHBOURS)
    answers = []
    for name, (title, estimator) in ESTIMATORS.items():
        value, null = (float(joint_dimension(views, estimator).shared) for views in (neighbours, shuffled))
        words = f"ID(x) + ID(y) − ID(x, y), {title}{of_some}"
        answers.append(_trusted(f"joint_{name}", words, value, null, MOST_DIMENSIONS, doubt))
    correlation = dimension_correlation(*few, seed=seed)
    value, p_value, null = (float(number) for number in correlation)
    words = f"ID correlation (0: none, 1: all), TwoNN{of_few}"
    test = f"p of the ID correlation, permutation test{of_few}"
    answers.append(_trusted("id_correlation", words, value, null, MOST_CORRELATION, doubt))
    answers.append(_trusted("id_correlation_p", test, p_value, 0.0, 0.0, doubt))
    return answers


def _trusted(name: str, title: str, value: float, null: float, most: float, doubt: str | None) -> Answer:
    """Return an answer, without the value where it is in doubt or shuffled pairs have as much.

    Args:
        name, title, value: the answer.
        null: what shuffled pairs give.
        most: what they may give, in size.
        doubt: a reason against any value.
    """
    if doubt is not None or not math.isfinite(value):
        return Answer(name, title, None, doubt or "an intrinsic dimension could not be estimated")
    if not abs(null) <= most:
        return Answer(name, title, None, f"{value:.2g}, but shuffled pairs give {null:.2g}")
    return Answer(name, title, value)


def _doubt(neighbours: JointNeighbours) -> str | None:
    """Return the beginning of the first doubt about a view's distances."""
    for side in ("x", "y"):
        searched = getattr(neighbours, side)
        doubt = doubted_distances(searched.points, searched)
        if doubt is not None:
            return f"{side}: {in_short(doubt)}"
    return None


def _imbalances(some: tuple[Tensor, Tensor], of_some: str) -> list[Answer]:
    imbalance = information_imbalance(*some)
    answers = []
    for name, arrow, value in (
        ("x_to_y", "x → y", float(imbalance.x_to_y)),
        ("y_to_x", "y → x", float(imbalance.y_to_x)),
    ):
        title = f"information imbalance {arrow} (0: tells all, 1: nothing){of_some}"
        answers.append(_answer(f"imbalance_{name}", title, value, imbalance.reason))
    return answers


def _trained(f: Tensor, g: Tensor, seed: int) -> list[Answer]:
    """Return what the trained representations of held-out pairs say by themselves."""
    answers = []
    for name, (title, estimator) in ESTIMATORS.items():
        for side, words, points in (("x", "f(X)", f), ("y", "g(Y)", g)):
            estimated = estimator(points)
            value = float(estimated.value.double().mean())  # over the replicates
            answers.append(
                _answer(f"{name}_{side}", f"{title} of a trained {words}", value, estimated.reason)
            )
    title = f"fewest directions that keep {percent(KEPT)} of top-1 matching"
    return [*answers, Answer("sufficient", title, *_sufficient(f, g, seed))]


def _sufficient(f: Tensor, g: Tensor, seed: int) -> tuple[int | None, str | None]:
    """Return the fewest canonical directions of the first replicate that keep matching, or why there are none."""
    retrieval = retrieval_by_dimension(f[0], g[0], range(1, f.shape[-1] + 1), "canonical", seed=seed)
    if retrieval.is_by_chance:
        return None, "held-out pairs are matched no better than by guessing"
    fewest = int(smallest_sufficient(retrieval, KEPT).dims)
    return (fewest, None) if fewest > 0 else (None, "no number of directions keeps so much")

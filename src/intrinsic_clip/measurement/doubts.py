"""Signs that arrays are not what they are taken for: transposed, ruled by a column or a row, or not paired.

Each function returns words that say what is wrong and what to do, or None.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours
from intrinsic_clip.dimension.doubts import doubted_distances, tied, too_few_rows
from intrinsic_clip.dimension.row_survey import RowSurvey
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.metrics import Counterparts, median_rank, partner_ranks, top_matching
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.reports.number_format import hold

MOST_VARIANCE = 0.9  # of one column among three or more
FEW_ROWS = 0.001  # share of the rows that should not hold most of the variance
SAME = 1e-6  # cosine distance of two rows that point the same way
BLOCK = 65_536  # rows
ONE_FILE = (
    "x and y point the same way in every row, so that each finds its partner whatever it holds; "
    "was one file given twice?"
)
VARYING = 0.05  # standard deviation of norms, as a share of their mean


def doubted_array(rows: Tensor) -> list[str]:
    """Return the doubts about one array of rows `(n, d)`."""
    doubts = [transposed(rows), ruling_rows(rows)]
    if doubts[1] is None:  # such rows can make a column rule too
        doubts.append(ruling_column(rows))
    return [doubt for doubt in doubts if doubt is not None]


def doubted_source(facts: RowSurvey, head: Tensor) -> list[str]:
    """Return the doubts about rows that were read block by block.

    Args:
        facts: a survey with moments.
        head: the first of the rows, in their order.
    """
    n, d = len(facts.finite), len(facts.mean)
    finite = facts.finite
    doubts = [_transposed(n, d), _ruling_rows(facts.lengths.double().square().where(finite, 0.0))]
    if doubts[1] is None and facts.moments is not None and d >= 3:
        counts = (head[:100].diff(dim=0) == 1).all(0) & (facts.high - facts.low == n - 1)
        doubts.append(_ruling_column(facts.moments.diagonal(), head, counts.nonzero().flatten().tolist()))
    return [doubt for doubt in doubts if doubt is not None]


def doubted_zeros(zeros: Mapping[str, int]) -> str | None:
    """Doubt rows of zeros among pairs, of which there are so many on each side."""
    listed = [f"{count:,} of {name}" for name, count in zeros.items() if count]
    if not listed:
        return None
    return (
        f"rows of zeros ({', '.join(listed)}) have no direction: they match nothing and count as cosine 0; leave "
        "out what an encoder failed to embed"
    )


def doubted_pair(x: Tensor, y: Tensor) -> list[str]:
    """Return the doubts about two arrays whose rows belong together."""
    zeros = doubted_zeros({"x": _zeros(x), "y": _zeros(y)})
    same = ONE_FILE if x.shape == y.shape and len(x) > 1 and _same_directions(x, y) else None
    return [doubt for doubt in (zeros, same) if doubt is not None]


def transposed(rows: Tensor) -> str | None:
    """Doubt an array with fewer rows than columns."""
    return _transposed(*rows.shape)


def _transposed(n: int, d: int) -> str | None:
    if n >= d:
        return None
    return f"{n:,} rows of {d:,} columns: is the array transposed? Each row is one item; np.save('x.npy', x.T) turns it"


def ruling_column(rows: Tensor) -> str | None:
    """Doubt a column that has nearly all variance, as an id or an unscaled number beside embeddings has."""
    n, d = rows.shape
    if d < 3 or n < 3:
        return None
    counting = (rows[:100].diff(dim=0) == 1).all(0).nonzero().squeeze(-1).tolist()
    counting = [c for c in counting if n > 10 and bool((rows[:, c].diff() == 1).all())]
    mean = rows.mean(0, dtype=torch.float64)
    variances = torch.stack([(block.double() - mean).square().sum(0) for block in rows.split(BLOCK)]).sum(0)
    return _ruling_column(variances, rows, counting)


def _ruling_column(variances: Tensor, rows: Tensor, counting: Sequence[int]) -> str | None:
    """Doubt a column by the columns' variances, some consecutive rows, and the columns that count all rows."""
    d = len(variances)
    for column in counting:
        return (
            f"column {column} (of 0 … {d - 1}) counts the rows: an index is no coordinate, and distances and "
            "dimensions include it; leave it out"
        )
    column = int(variances.argmax())
    share = float(variances[column] / variances.sum())
    if not share > MOST_VARIANCE:
        return None
    steps = rows[:, column].diff()
    kind = (
        "and it rises from row to row like an index"
        if bool((steps > 0).all())
        else "an id, or on another scale?"
    )
    return (
        f"column {column} (of 0 … {d - 1}) holds {_percent(share)} of the variance, {kind}: distances and dimensions "
        "are those of this column; leave it out, or bring the columns to one scale"
    )


def ruling_rows(rows: Tensor) -> str | None:
    """Doubt a few rows that are so far out that they have most of the variance."""
    if len(rows) < 50:
        return None
    centre = rows[:: max(1, len(rows) // 1000)].double().median(0).values
    return _ruling_rows(torch.cat([(block.double() - centre).square().sum(1) for block in rows.split(BLOCK)]))


def _ruling_rows(far: Tensor) -> str | None:
    """Doubt a few rows by the squared distances of all from about their middle."""
    few = max(1, int(FEW_ROWS * len(far)))
    largest = far.topk(few)
    share = float(largest.values.sum() / far.sum())
    if not share > 0.5:
        return None
    times = float((largest.values[0] / far.median()).sqrt())
    which = (
        f"row {int(largest.indices[0])}"
        if few == 1
        else f"{few:,} rows, row {int(largest.indices[0])} among them"
    )
    far_out = (
        "far from" if math.isinf(times) else f"up to {times:.2g} times as far out as"
    )  # most rows may be equal
    return (
        f"{which}, {far_out} the median row, {hold(few)} {_percent(share)} of the variance: "
        "the spectrum shows little else; leave out what was not embedded properly"
    )


def above_guessing(chance: float, n: int) -> float:
    """Return a recall of n queries that is no guessing any more if it is exceeded.

    That is three times the chance, or half way from it to 1, and four standard errors above it.

    Example:
        >>> from intrinsic_clip.measurement.doubts import above_guessing
        >>> above_guessing(0.5, 400), round(above_guessing(0.001, 1000), 3)
        (0.75, 0.005)
    """
    return max(min(3 * chance, (1 + chance) / 2), chance + _spread_of_guessing(chance, n))


def _spread_of_guessing(chance: float, n: int) -> float:
    """Return four standard errors of the recall of n queries by guessing."""
    return 4 * (chance * max(0.0, 1 - chance) / n) ** 0.5


def not_paired(curves: Mapping[str, Mapping[str, Any]], n: int) -> str | None:
    """Doubt pairs that no direction retrieves better than by guessing.

    Args:
        curves: of a measurement.
        n: pairs.
    """
    curve = curves.get("retrieval/canonical")
    if curve is None or n < 200:
        return None
    best, chance = max(curve["value"]), curve["chance"]
    least = above_guessing(chance, curve["n"])
    aligned = curves.get("retrieval/principal")
    surely = min(3 * chance, (1 + chance) / 2) + _spread_of_guessing(chance, curve["n"])
    if chance >= 1 or best > least or (aligned and aligned["full"] > surely):
        return None
    return (
        f"rows of x and y match no better than by guessing ({chance:.2g}), even after a linear map of each: do row i "
        "of x and row i of y belong together, in the same order?"
    )


def guessing(x: Tensor, y: Tensor, both: Counterparts | None) -> str | None:
    """Doubt pairs whose cosines find partners no better than by guessing.

    Args:
        x, y: rows of equal width, `(n, d)` each.
        both: right answers where rows repeat.
    """
    n = len(x)
    if n < 200 or x.shape != y.shape:
        return None
    n_x, n_y = (n, n) if both is None else (len(both.x), len(both.y))
    chance = 1 / n if both is None else both.chance
    ranks = partner_ranks(directions(x), directions(y), both)
    recall, median = top_matching(ranks, 1), median_rank(ranks)
    found = ((float(recall.x_to_y), n_x), (float(recall.y_to_x), n_y))
    if chance >= 1 or not all(share <= above_guessing(chance, queries) for share, queries in found):
        return None
    if max(float(median.x_to_y) / n_y, float(median.y_to_x) / n_x) < 0.5 - 2 / min(n_x, n_y) ** 0.5:
        return None
    return (
        f"rows of x and y match no better than by guessing ({chance:.2g}), as those of encoders do that have learned "
        "nothing yet: do row i of x and row i of y belong together, in the same order?"
    )


def varying_norms(x: Tensor, y: Tensor) -> str | None:
    """Return how norms vary, in words, where they do, so that inner products are not cosines."""
    norms = {name: torch.linalg.vector_norm(rows.double(), dim=-1) for name, rows in (("x", x), ("y", y))}
    variation = {
        name: float(norm.std(correction=0) / norm.mean()) for name, norm in norms.items() if len(norm)
    }
    varying = [
        f"by {5 * round(20 * share)} % in {name}" for name, share in variation.items() if share > VARYING
    ]
    return f"norms vary {' and '.join(varying)}" if varying else None


def doubted_estimates(
    record: Record, side: str, k: int, rows: Tensor, neighbours: Neighbours, compared: Callable[[str], int]
) -> list[str | None]:
    """Return the doubt about distances between neighbours, and that about estimates by so many rows.

    Args:
        record: of the estimates.
        side: x, y or z.
        k: neighbours of mle, mada and tle.
        rows: some of the side's, or all.
        neighbours: of these rows, or of some among all.
        compared: gives the number of distinct rows among which an estimator had neighbours sought.
    """
    from intrinsic_clip.runs.vocabulary import estimator_title  # needs pandas, unlike this module

    distances = doubted_distances(rows, neighbours)
    if distances is not None and distances == tied(neighbours):  # counts or codes are no lower bounds
        return [distances]
    estimates = {}
    for row in record.estimates:
        kind, _, name = row["name"].partition("/")
        near = row["k"] is not None and row["k"] <= k
        if kind == "id" and row["side"] == side and row["value"] is not None and near:
            estimates[estimator_title(name)] = (row["value"], compared(name), row["k"])
    return [distances, too_few_rows(estimates)]


def said(side: str, doubts: Sequence[str | None]) -> list[str]:
    """Return the doubts that exist as notes about a side."""
    return [f"{side}: {doubt}" for doubt in doubts if doubt is not None]


def _zeros(rows: Tensor) -> int:
    return int((rows == 0).all(1).sum())


def _same_directions(x: Tensor, y: Tensor) -> bool:
    blocks = zip(x.split(BLOCK), y.split(BLOCK), strict=True)
    return all(bool((torch.cosine_similarity(a.double(), b.double()) > 1 - SAME).all()) for a, b in blocks)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 else "nearly all"

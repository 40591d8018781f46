"""Matching: how often a row finds its partner, or a row with its label, in the other modality.

The functions compare S = x yᵀ, inner products of the representations as given: the caller decides how to
normalise. Scores that differ by less than the rounding of S count as equal, and equal scores share the credit, as
if the order among them were drawn at random. A representation collapsed to a point thus scores like guessing.

Row i is the right answer to row i alone, unless `Counterparts` say that rows repeat, as with five captions per image.
Distinct rows are then the queries and the candidates, and any right answer counts: the protocol of published recalls.
"""

import math
from numbers import Integral
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, Rows, as_labels, whole_number
from intrinsic_clip.metrics import replicated_pairs
from intrinsic_clip.metrics.alignment import as_pairs, each_replicate
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.replicated_pairs import resolution
from intrinsic_clip.metrics.row_blocks import row_blocks
from intrinsic_clip.metrics.score_counts import score_counts


class Matching(NamedTuple):
    """One number per replicate in each direction, `(*R,)` float64; NaN where a value is not finite.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import partner_ranks, top_matching
        >>> x = torch.tensor([[1.0, 0.0], [3.0, 1.0]])
        >>> y = torch.tensor([[1.0, 0.0], [0.5, 3.0]])
        >>> matching = top_matching(partner_ranks(x, y), k=1)
        >>> float(matching.x_to_y), float(matching.y_to_x)
        (1.0, 0.5)
    """

    x_to_y: Tensor
    y_to_x: Tensor


class Ranks(NamedTuple):
    """The place of every query's best right answer among all candidates, `(*R, n)` int64.

    Attributes:
        greater: candidates that score higher than the partner.
        ties: candidates that score the same, the partner included; 0 where scores are not finite.
        right: how many of the ties are right; None: one, the partner.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import partner_ranks
        >>> ranks = partner_ranks(torch.eye(3), torch.eye(3)).x_to_y
        >>> ranks.greater.tolist(), ranks.ties.tolist()
        ([0, 0, 0], [1, 1, 1])
    """

    greater: Tensor
    ties: Tensor
    right: Tensor | None = None


class PartnerRanks(NamedTuple):
    """Ranks of y_i among all y for the query x_i, and of x_i among all x for the query y_i.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import partner_ranks
        >>> ranks = partner_ranks(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0]]))
        >>> ranks.x_to_y.greater.tolist()  # y_1 scores higher than y_0 for both queries
        [1, 0]
    """

    x_to_y: Ranks
    y_to_x: Ranks


@torch.no_grad()
def partner_ranks(
    x: Rows,
    y: Rows,
    counterparts: Counterparts | None = None,
    *,
    queries: int | Literal["all"] | None = None,
    seed: int = 0,
) -> PartnerRanks:
    """Rank every true partner among all candidates, once for every k of `top_matching`.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.
        counterparts: the right answers where rows repeat, from `counterparts(…)`; None: row i for row i.
        queries: how many rows, drawn at random, to seek partners of among all rows of the other modality; None: all.
        seed: of the draw, which all replicates share.

    Returns:
        Ranks `(*R, n)`; with counterparts `(*R, m_x)` and `(*R, m_y)`, of the distinct rows among the distinct rows;
        with queries at most so many of them each.

    Raises:
        ValueError: x and y differ in shape or hold no row.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import partner_ranks
        >>> x = torch.tensor([[1.0, 0.0], [3.0, 1.0]])
        >>> y = torch.tensor([[1.0, 0.0], [0.5, 3.0]])  # inner products [[1, 0.5], [3, 4.5]]
        >>> ranks = partner_ranks(x, y)
        >>> ranks.x_to_y.greater.tolist(), ranks.y_to_x.greater.tolist()
        ([0, 0], [1, 0])
    """
    x, y = as_pairs(x, y)
    if queries == "all":
        queries = None
    if queries is not None and (not isinstance(queries, Integral) or int(queries) < 1):
        raise ValueError(f'queries must be a number from 1, "all" or None, got {queries!r}')
    if queries is not None and queries < x.shape[-2]:
        return _ranks_of_some(x, y, counterparts, int(queries), seed)
    if counterparts is not None:
        return _ranks_among_distinct(x, y, counterparts.to(x.device))
    *replicates, n, d = x.shape
    flat = math.prod(replicates)
    if replicated_pairs.worth_it(x.reshape(flat, n, d)):
        together = replicated_pairs.partner_counts(x.reshape(flat, n, d), y.reshape(flat, n, d))
        greater_x, ties_x, greater_y, ties_y = (each.reshape(*replicates, n) for each in together)
        return PartnerRanks(Ranks(greater_x, ties_x), Ranks(greater_y, ties_y))
    counts = torch.empty(4, flat, n, dtype=torch.int64, device=x.device)
    for r, (x_r, y_r) in enumerate(each_replicate(x, y)):
        x_r, y_r = x_r.double(), y_r.double()
        partner = (x_r * y_r).sum(-1)
        around = resolution(x_r, y_r), resolution(y_r, x_r)
        counts[:, r] = torch.stack(score_counts(x_r, y_r, (partner, partner), around))
    greater_x, ties_x, greater_y, ties_y = counts.reshape(4, *replicates, n)
    return PartnerRanks(Ranks(greater_x, ties_x), Ranks(greater_y, ties_y))


def _ranks_among_distinct(x: Tensor, y: Tensor, both: Counterparts) -> PartnerRanks:
    """Rank the best right answer of each distinct row among the distinct rows of the other modality."""
    *replicates, _, d = x.shape
    flat, m_x, m_y = math.prod(replicates), len(both.x), len(both.y)
    x, y = x[..., both.x, :].reshape(flat, m_x, d), y[..., both.y, :].reshape(flat, m_y, d)
    counts_x, counts_y = (torch.zeros(3, flat, m, dtype=torch.int64, device=x.device) for m in (m_x, m_y))
    for r, (x_r, y_r) in enumerate(zip(x.double(), y.double(), strict=True)):
        scores = (x_r[both.of_x] * y_r[both.of_y]).sum(-1)
        around = resolution(x_r, y_r), resolution(y_r, x_r)
        best = tuple(
            scores.new_full((m,), -math.inf).scatter_reduce(0, of, scores, "amax")
            for m, of in ((m_x, both.of_x), (m_y, both.of_y))
        )
        found = score_counts(x_r, y_r, (best[0], best[1]), around)
        counts_x[0, r], counts_x[1, r], counts_y[0, r], counts_y[1, r] = found
        for counts, of, top, near in zip(
            (counts_x, counts_y), (both.of_x, both.of_y), best, around, strict=True
        ):
            counts[2, r] = of.bincount((scores >= (top - near)[of]).double(), minlength=len(top)).long()
    x_to_y, y_to_x = (
        Ranks(*counts.reshape(3, *replicates, counts.shape[-1]).unbind()) for counts in (counts_x, counts_y)
    )
    return PartnerRanks(x_to_y, y_to_x)


def _ranks_of_some(x: Tensor, y: Tensor, both: Counterparts | None, queries: int, seed: int) -> PartnerRanks:
    """Rank the best right answers to some rows of either modality among all distinct rows of the other."""
    from intrinsic_clip.metrics.matching_queries import ranks_of_some

    parts = [ranks_of_some(x_r, y_r, both, queries, seed) for x_r, y_r in each_replicate(x, y)]

    def joined(columns: list[Tensor]) -> Tensor:
        return torch.stack(columns).reshape(*x.shape[:-2], -1)

    ways = []
    for way in (0, 1):
        ranks = [part[way] for part in parts]
        right = [rank.right for rank in ranks if rank.right is not None]
        ways.append(
            Ranks(
                joined([rank.greater for rank in ranks]),
                joined([rank.ties for rank in ranks]),
                joined(right) if right else None,
            )
        )
    return PartnerRanks(*ways)


def top_matching(ranks: PartnerRanks, k: int) -> Matching:
    """Return the share of rows whose true partner is among the k best, expected over the order of ties.

    Raises:
        ValueError: k is not in 1 … n, the larger number of rows where that of x and y differs.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import partner_ranks, top_matching
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(200, 8)
        >>> y = x + 0.5 * torch.randn(200, 8)
        >>> ranks = partner_ranks(x, y)
        >>> [round(float(top_matching(ranks, k).x_to_y), 1) for k in (1, 10, 200)]
        [0.3, 0.8, 1.0]
    """
    n = max(direction.greater.shape[-1] for direction in ranks)
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and the {n} rows, got {k}")
    k = whole_number("k", k, 1)
    x_to_y, y_to_x = (expected_shares(direction, k).mean(-1) for direction in ranks)
    return Matching(x_to_y, y_to_x)


def median_rank(ranks: PartnerRanks) -> Matching:
    """Return the median over the rows of the true partner's rank among the n candidates, 1 being the best.

    Equal scores take the mean of the places they fill. NaN where a value is not finite.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import median_rank, partner_ranks
        >>> x = torch.eye(5)
        >>> float(median_rank(partner_ranks(x, x)).x_to_y)
        1.0
        >>> float(median_rank(partner_ranks(torch.ones(5, 5), x)).x_to_y)  # all candidates tie
        3.0
    """
    x_to_y, y_to_x = (_median_place(direction) for direction in ranks)
    return Matching(x_to_y, y_to_x)


def top_count(alpha: float, n: int) -> int:
    """Return the number of rows in the top share alpha of n: max(1, int(alpha · n)), as in the paper.

    Example:
        >>> from intrinsic_clip.metrics import top_count
        >>> top_count(0.005, 2000), top_count(0.005, 50)
        (10, 1)
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must lie in (0, 1], got {alpha}")
    return max(1, int(alpha * n))


@torch.no_grad()
def label_matching(x: Rows, y: Rows, labels: Labels) -> Matching:
    """Return the share of rows whose best match has their label, expected over the order of ties.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.
        labels: class numbers or names of the pairs, `(n,)`; a tensor may be `(*R, n)`.

    Raises:
        ValueError: x and y differ in shape or hold no row, or the labels have neither shape.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import label_matching
        >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> matching = label_matching(x, x, torch.tensor([0, 0, 1]))
        >>> float(matching.x_to_y), float(matching.y_to_x)
        (1.0, 1.0)
    """
    x, y = as_pairs(x, y)
    labels = labels if isinstance(labels, Tensor) else as_labels(labels)
    *replicates, n, _ = x.shape
    if labels.shape not in (torch.Size([n]), x.shape[:-1]):
        raise ValueError(f"labels must be ({n},) or {tuple(x.shape[:-1])}, got shape {tuple(labels.shape)}")
    flat = math.prod(replicates)
    labels = labels.to(x.device).expand(*replicates, n).reshape(flat, n)
    shares = torch.empty(2, flat, dtype=torch.float64, device=x.device)
    for r, (x_r, y_r) in enumerate(each_replicate(x, y)):
        shares[0, r] = _best_label_share(x_r.double(), y_r.double(), labels[r])
        shares[1, r] = _best_label_share(y_r.double(), x_r.double(), labels[r])
    x_to_y, y_to_x = shares.reshape(2, *replicates)
    return Matching(x_to_y, y_to_x)


def _median_place(ranks: Ranks) -> Tensor:
    places = ranks.greater + (ranks.ties + 1) / (2 if ranks.right is None else ranks.right + 1)
    return places.double().where(ranks.ties > 0, math.nan).quantile(0.5, dim=-1)


def expected_shares(ranks: Ranks, k: int) -> Tensor:
    """Return for each query the chance that a right answer is among the k best, over the order of ties, `(*R, n)`."""
    places_left = (k - ranks.greater).double()
    if ranks.right is None:
        shares = (places_left / ranks.ties).clamp(0, 1)
    else:
        shares = _at_least_one(places_left, ranks.ties.double(), ranks.right.double())
    return shares.where(ranks.ties > 0, math.nan)


def _at_least_one(places: Tensor, ties: Tensor, right: Tensor) -> Tensor:
    """Return the probability that one of `right` among `ties` is in the first `places` of a random order."""
    drawn = places.clamp(0).minimum(ties)
    wrong = ties - right
    all_wrong = torch.lgamma(wrong + 1) - torch.lgamma((wrong - drawn).clamp(0) + 1)
    log_missed = all_wrong - torch.lgamma(ties + 1) + torch.lgamma(ties - drawn + 1)
    shares = torch.where(right == 1, drawn / ties, 1 - log_missed.exp())  # of one exactly, without rounding
    return torch.where(drawn > wrong, 1.0, shares)


def _best_label_share(queries: Tensor, keys: Tensor, labels: Tensor) -> Tensor:
    """Return the share of queries whose best key has their label, for one replicate."""
    around = resolution(queries, keys)
    right = torch.empty_like(around)
    for rows in row_blocks(len(queries), len(keys), queries.device):
        scores = queries[rows] @ keys.T
        best = scores >= scores.amax(1, keepdim=True) - around[rows, None]
        same_label = labels[rows, None] == labels
        right[rows] = (best & same_label).sum(1) / best.sum(1).double()
    return right.mean()

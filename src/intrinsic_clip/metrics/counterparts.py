"""Right answers of retrieval where rows repeat: an image with five captions has five, and each caption one image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, check_same_index, real_tensor
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.seeding import seeded

COPY = 1e-5  # distance of copies, as a share of the rows' median distance from their centre
COPIES = 0.2  # share of the rows that have copies
LARGE = 1e150  # numbers whose squares overflow in float64 lie above
ROWS = 4096  # at a time in double precision
FEW = 16  # columns, in which all but a few of the rows that are not copies are already apart
MOST_PAIRS = 50_000_000  # right answers: 16 bytes each, several times over


@dataclass(frozen=True)
class Counterparts:
    """Distinct rows of x and y, and which of them belong together: those that share a row of the table of pairs.

    Attributes:
        x, y: row numbers of the distinct rows of each modality, ascending, `(m_x,)` and `(m_y,)`.
        of_x, of_y: the distinct pairs, `(e,)` each, as positions in x and in y.
        n: rows of the table of pairs.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import counterparts
        >>> images = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # the first has two captions
        >>> captions = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0]])
        >>> both = counterparts(images, captions)
        >>> both.x.tolist(), both.y.tolist(), both.of_x.tolist(), both.of_y.tolist()
        ([0, 2], [0, 1, 2], [0, 0, 1], [0, 1, 2])
    """

    x: Tensor
    y: Tensor
    of_x: Tensor
    of_y: Tensor
    n: int

    @property
    def chance(self) -> float:
        """Return recall@1 by guessing, the same both ways: the share of all pairs of distinct rows that are right."""
        return len(self.of_x) / (len(self.x) * len(self.y))

    def to(self, device: torch.device) -> "Counterparts":
        """Return a copy on a device."""
        x, y, of_x, of_y = (part.to(device) for part in (self.x, self.y, self.of_x, self.of_y))
        return Counterparts(x, y, of_x, of_y, self.n)

    def describe(self) -> str:
        """Return one sentence on what repeats and what recall makes of it."""
        sides = {"x": (len(self.x), "y"), "y": (len(self.y), "x")}
        repeated = [
            f"{self.n - m:,} of {self.n:,} rows of {side} repeat others"
            for side, (m, _) in sides.items()
            if m < self.n
        ]
        if not repeated:
            return (
                f"rows come in groups, so recall counts any partner in a row's group as right "
                f"({len(self.of_x) / self.n:.3g} right answers per row)"
            )
        return (
            f"{' and '.join(repeated)}, so recall counts every distinct row once ({len(self.x):,} of x, "
            f"{len(self.y):,} of y) and any of its partners as right, as published for several captions per image"
        )


def counterparts(x: Rows, y: Rows) -> Counterparts | None:
    """Find the right answers where rows of one modality repeat exactly.

    Rows i and j answer each other if x_i = x_j or y_i = y_j, all numbers the same. Look in the data, or in embeddings
    of full width: embeddings that coincide because an encoder has collapsed are no repetitions (see `distinct_rows`).

    Args:
        x, y: `(*R, n, …)`; row i of x and row i of y are a pair. Rows repeat where they do so in every replicate.

    Returns:
        None where no row repeats: each row has one right answer.

    Raises:
        ValueError: x and y differ in the number of rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import counterparts
        >>> images = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> captions = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0]])
        >>> counterparts(captions, captions) is None  # no row repeats
        True
        >>> round(counterparts(images, captions).chance, 2)  # 3 right pairs of 2 × 3
        0.5
    """
    check_same_index({"x": x, "y": y})
    x, y = (real_tensor(rows, name, "(*R, n, …)") for rows, name in ((x, "x"), (y, "y")))
    return counterparts_of(distinct_rows(x), distinct_rows(y))


def counterparts_of(x: Tensor, y: Tensor, groups: Tensor | None = None) -> Counterparts | None:
    """Find the right answers from the number of the thing that each row shows.

    Args:
        x, y: int64 `(n,)`; equal numbers are the same thing.
        groups: `(n,)`; any two rows of a group are partners too. None: rows i alone are.

    Raises:
        ValueError: the lengths differ.
        ConfigError: groups are so large that their pairs do not fit into memory.
    """
    if len(x) != len(y):
        raise ValueError(f"x and y must have as many rows, got {len(x)} and {len(y)}")
    n = len(x)
    x, first_x = _numbered(x)
    y, first_y = _numbered(y)
    pairs = torch.stack([x, y], 1) if groups is None else _pairs_in_groups(x, y, groups)
    if len(first_x) == n and len(first_y) == n and len(pairs) == n:
        return None
    pairs = torch.unique(pairs, dim=0)
    return Counterparts(first_x, first_y, pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), n)


def distinct_rows(rows: Tensor, row_axis: int = -2) -> Tensor:
    """Return for each row the number of the first row that equals it, `(n,)` int64 on the CPU.

    Rows of zeros, rows that hold NaN, and those of a matrix with one distinct row or one column that varies, count as
    distinct: a collapsed encoder gives such rows, and so does one whose single output is normalised.

    Args:
        rows: `(*R, n, …)`.
        row_axis: the axis n.
    """
    n = rows.shape[row_axis]
    if n < 2:
        return torch.arange(n)
    table = rows.detach().movedim(row_axis, 0).reshape(n, -1).cpu()
    if table.is_floating_point():
        table = (table if table.dtype != torch.bfloat16 else table.float()) + 0.0  # no −0
    words = np.ascontiguousarray(table.numpy())
    own = np.arange(n)
    if int((words != words[:1]).any(0).sum()) < 2:
        return torch.from_numpy(own)
    whole = words.view(np.dtype((np.void, words.itemsize * words.shape[1]))).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    if len(first) == n:
        return torch.from_numpy(own)
    same = first[group.ravel()]
    is_known = (words != 0).any(1) & ~table.isnan().any(1).numpy()
    return torch.from_numpy(np.where(is_known, same, own))


def with_copies(rows: Tensor, things: Tensor) -> Tensor:
    """Merge things whose rows differ by rounding alone, as one image does that was embedded in several batches.

    They are merged where a good part of the rows has such copies; on a curve a few rows are as close by chance.

    Args:
        rows: `(n, d)`.
        things: int64 `(n,)`, as `distinct_rows` gives them.

    Returns:
        The number of the first row of each thing, `(n,)` int64.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first = things.unique()
    points = rows if len(first) == len(rows) else rows[first]
    largest = float(points.abs().max()) if points.numel() else 0.0
    if LARGE < largest < float("inf"):  # squares of distances would overflow, and all rows be copies
        points = points.double() / largest
    reach, along = _reach_and_place(points)
    along, order = along.sort()
    pairs = []
    for step in range(1, min(5, len(order))):  # the next few along a line, where copies lie side by side
        place = (along[step:] - along[:-step] <= reach).nonzero()[:, 0]
        pairs.append(_copies(points, torch.stack([order[place], order[place + step]]), reach))
    edges = torch.cat(pairs, 1) if pairs else order.new_zeros(2, 0)
    if len(edges.unique()) < COPIES * len(first):
        return things
    graph = coo_array((np.ones(edges.shape[1]), tuple(edges.numpy())), shape=(len(first), len(first)))
    group = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
    leader = first.new_full((int(group.max()) + 1,), len(things)).scatter_reduce(0, group, first, "amin")
    return leader[group][torch.searchsorted(first, things)]


def _reach_and_place(points: Tensor) -> tuple[float, Tensor]:
    """Return how far copies may lie apart, and the place of each row along a random line, `(n,)` float64."""
    centre = points[:: max(1, len(points) // 1000)].double().mean(0)
    direction = torch.randn(len(centre), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = (direction / direction.norm()).to(points.device)
    radii, along = [], []
    for block in points.split(ROWS):
        rows = block.double()
        radii.append((rows - centre).norm(dim=1))
        along.append(rows @ direction)
    return COPY * float(torch.cat(radii).median()), torch.cat(along)


def _copies(points: Tensor, pairs: Tensor, reach: float) -> Tensor:
    """Return those of the pairs, `(2, m)`, that lie within reach but apart."""
    close = []
    for part in pairs.split(ROWS, 1):
        part = part[:, _distances(points[:, :FEW], part) <= reach]  # a few columns rule most pairs out
        apart = _distances(points, part)
        close.append(part[:, (apart > 0) & (apart <= reach)])
    return torch.cat(close, 1)


def _distances(points: Tensor, pairs: Tensor) -> Tensor:
    """Return how far the rows of each of the pairs, `(2, m)`, lie apart, `(m,)` float64."""
    return (points[pairs[0]].double() - points[pairs[1]].double()).norm(dim=1)


def _pairs_in_groups(x: Tensor, y: Tensor, groups: Tensor) -> Tensor:
    """Return every pair of a thing of x and a thing of y that have a group in common, `(e, 2)`."""
    if len(groups) != len(x):
        raise ValueError(f"groups must have as many rows as x and y, got {len(groups)} and {len(x)}")
    of = torch.unique(groups, return_inverse=True)[1]
    in_x, in_y = (torch.unique(torch.stack([of, things], 1), dim=0) for things in (x, y))  # ordered by group
    sizes = torch.bincount(in_y[:, 0], minlength=int(of.max()) + 1)
    partners = sizes[in_x[:, 0]]
    total = int(partners.sum())
    if total > MOST_PAIRS:
        raise ConfigError(
            f"groups: {len(sizes):,} groups of {len(x):,} rows have {total:,} right pairs, more than fit into memory; "
            "labels=… takes classes, and max_points=… fewer rows"
        )
    place = torch.arange(total) - (partners.cumsum(0) - partners).repeat_interleave(partners)
    start = (sizes.cumsum(0) - sizes)[in_x[:, 0]].repeat_interleave(partners)
    return torch.stack([in_x[:, 1].repeat_interleave(partners), in_y[start + place, 1]], 1)


def linked(of_x: Tensor, of_y: Tensor, count_x: int, count_y: int) -> Tensor:
    """Return the number of the connected component of each thing of x, and then of y, `(count_x + count_y,)`.

    Args:
        of_x, of_y: pairs of things that hang together, `(e,)` each, as places from 0.
        count_x, count_y: things of each.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = count_x + count_y
    edges = coo_array((np.ones(len(of_x)), (of_x.numpy(), (of_y + count_x).numpy())), shape=(size, size))
    return torch.from_numpy(connected_components(edges, directed=False)[1]).long()


def halves_of_things(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Cut the rows in two halves at random, with all rows of a thing on one side, as far as that is possible.

    Args:
        x, y: int64 `(n,)`; equal numbers are the same thing.
        seed: seed of the draw.

    Returns:
        Row numbers of each half. Where nearly all rows hang together, as those of two classes do, rows are drawn alone.
    """
    n = len(x)
    order = torch.randperm(n, generator=seeded(seed))
    (x, first_x), (y, first_y) = _numbered(x), _numbered(y)
    size = len(first_x) + len(first_y)
    group = linked(x, y, len(first_x), len(first_y))[x]
    drawn = torch.randperm(size, generator=seeded(seed))[group[order]]
    by_group = order[drawn.argsort(stable=True)]
    sizes = group[by_group].unique_consecutive(return_counts=True)[1]
    cut = int(sizes.cumsum(0)[(sizes.cumsum(0) - n / 2).abs().argmin()])
    return (
        (by_group[:cut], by_group[cut:]) if n / 4 <= cut <= 3 * n / 4 else (order[: n // 2], order[n // 2 :])
    )


def _numbered(things: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rank of each row's thing by first occurrence, `(n,)`, and the first row of each thing."""
    order = torch.arange(len(things))
    _, group = torch.unique(things, return_inverse=True)
    first = order.new_full((int(group.max()) + 1 if len(things) else 0,), len(things))
    first = first.scatter_reduce(0, group, order, "amin")
    place = first.argsort().argsort()
    return place[group], first.sort().values

"""Go once through all rows, block by block, for what a search among them needs to know first."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_source import RowSource
from intrinsic_clip.dimension.row_workers import in_order
from intrinsic_clip.dimension.scaling import exponent_of
from intrinsic_clip.dimension.single_precision import full_single_precision

BLOCK_BYTES = 2**25  # of a block in float64
RESOLVED = 5e-7  # of the largest variance: fifty times what sums in float32 lose
PANEL = 192  # columns of a product that is symmetric: what lies above the diagonal of panels is not computed


@dataclass(frozen=True)
class RowSurvey:
    """Facts about the rows of a source.

    Attributes:
        finite: rows without NaN and infinity, `(n,)`.
        distinct: finite rows that equal no earlier one, `(n,)`.
        zero: rows of zeros, `(n,)`.
        first: number of the first row that equals each, `(n,)` int64; a row's own where it is not finite.
        mean: of the finite rows, float64 `(d,)`.
        radius: the largest distance of a finite row from `mean`.
        largest: the largest absolute value of a finite row.
        dims: columns that vary among the finite rows.
        low, high: the smallest and the largest value of each column among the finite rows, float64 `(d,)`.
        lengths: distance of each row from about the mean, float32 `(n,)`, in units of 2^exponent.
        moments: covariance of the finite rows, float64 `(d, d)`; None if not wanted.
    """

    finite: Tensor
    distinct: Tensor
    zero: Tensor
    first: Tensor
    mean: Tensor
    radius: float
    largest: float
    dims: int
    low: Tensor
    high: Tensor
    lengths: Tensor
    moments: Tensor | None

    @property
    def exponent(self) -> int:
        """Return e such that rows / 2^e have a largest component of about 1, so that squares do not overflow."""
        return exponent_of(torch.tensor([self.largest], dtype=torch.float64))


@dataclass(frozen=True)
class _Facts:
    """Facts about one block."""

    finite: Tensor
    zero: Tensor
    hashes: Tensor
    total: Tensor
    far: Tensor
    largest: float
    low: Tensor
    high: Tensor
    products: Tensor | None


def survey(
    source: RowSource,
    *,
    moments: bool = False,
    usable: Tensor | None = None,
    device: torch.device | str = "cpu",
    report: Callable[[int, int], object] | None = None,
) -> RowSurvey:
    """Go once through the rows.

    Args:
        source: floating-point rows.
        moments: whether to add up the covariance, which takes n d² operations: in float64, or in float32, block by
            block, of rows in half precision whose smallest variance that resolves.
        usable: rows to look at, `(n,)`; the others count as not finite. None: all.
        device: where to compute.
        report: called after every block with its number of rows, and that of all.
    """
    n, d = source.shape
    size = max(256, min(2**16, BLOCK_BYTES // (8 * d)))
    first = source.take(torch.arange(min(size, n)))
    shift, exponent = _frame(first)
    sums = _precision_of_sums(first) if moments else None
    surveyor = _Surveyor(shift.to(device), exponent, sums, usable, torch.device(device))
    workers = torch.get_num_threads() if surveyor.device.type == "cpu" else 1
    whole = _Whole(n, d)
    with full_single_precision(surveyor.device):
        for start, facts in in_order(surveyor, source.blocks(size), workers):
            whole.add(start, facts)
            if report is not None:
                report(len(facts.finite), n)
    return whole.survey(shift, exponent)


def _frame(block: Tensor) -> tuple[Tensor, int]:
    """Return about where the rows lie, and an exponent of their size, from the first of them."""
    rows = _finite(block).cpu()
    if not len(rows):
        return rows.new_zeros(block.shape[1]), 0
    exponent = exponent_of(rows)
    return (rows * 2.0**-exponent).mean(0) * 2.0**exponent, exponent  # sums of large numbers overflow


def _precision_of_sums(block: Tensor) -> torch.dtype:
    """Return float32 where sums in it keep the smallest variance of rows in half precision, judged by the first block.

    They lose about 1e-8 of the largest variance, which is nothing beside most noise, but more than the rounding of rows
    that lie in fewer dimensions, whose small variances the effective rank counts by their square roots.
    """
    if block.dtype.itemsize > 2:
        return torch.float64
    rows = _finite(block)
    rows = rows[:, (rows != rows[:1]).any(0)]
    if len(rows) <= 2 * rows.shape[1] or not rows.shape[1]:
        return torch.float64
    rows = rows - rows.mean(0)
    variances = torch.linalg.eigvalsh(symmetric_product(rows / rows.abs().max()))
    return torch.float32 if float(variances[0]) > RESOLVED * float(variances[-1]) else torch.float64


def _finite(block: Tensor) -> Tensor:
    """Return the finite rows in float64."""
    return block[block.isfinite().all(1)].double()


class _Surveyor:
    """Look at one block.

    Args:
        shift: near the rows' mean, so that second moments about it lose no digits.
        exponent: of a unit in which rows can be squared.
        sums: precision of sums of products; None: they are not wanted.
        usable: rows to look at; None: all.
        device: where.
    """

    def __init__(
        self,
        shift: Tensor,
        exponent: int,
        sums: torch.dtype | None,
        usable: Tensor | None,
        device: torch.device,
    ) -> None:
        self.usable = usable
        self.shift, self.unit, self.sums, self.device = shift, 2.0**-exponent, sums, device
        self.weights = hash_weights(len(shift)).to(device)

    def __call__(self, numbered: tuple[int, Tensor]) -> tuple[int, _Facts]:
        start, block = numbered[0], numbered[1].to(self.device)
        rows = (block.double() * self.unit).sub_(self.shift * self.unit)
        lengths = torch.linalg.vector_norm(rows, dim=1)
        finite = lengths.isfinite()
        if not bool(finite.all()):  # or squares that are too large
            finite = block.isfinite().all(1)
        if self.usable is not None:
            finite &= self.usable[start : start + len(block)].to(self.device)
        some = block
        if not bool(finite.all()):
            some = block[finite] if bool(finite.any()) else block.new_zeros(1, block.shape[1])
            block = block.masked_fill(~finite[:, None], 0)
            rows.masked_fill_(~finite[:, None], 0)
            lengths = torch.linalg.vector_norm(rows, dim=1)
        hashes = row_hashes(block, self.weights)
        return start, _Facts(
            finite,
            _zeros(block, hashes) & finite,
            hashes,
            rows.sum(0),
            lengths.float(),
            float(some.abs().max()),
            some.amin(0).double(),
            some.amax(0).double(),
            None if self.sums is None else symmetric_product(rows.to(self.sums)).double(),
        )


def _zeros(block: Tensor, hashes: Tensor) -> Tensor:
    """Return which rows are zeros, whose hash is 0."""
    zeros = hashes == 0
    zeros[zeros.clone()] = (block[zeros] == 0).all(1)
    return zeros


class _Whole:
    """Facts about all rows, filled in block by block: parts that were kept would hold on to much memory between them.

    Args:
        n, d: rows and columns.
    """

    def __init__(self, n: int, d: int) -> None:
        self.finite, self.zero = torch.zeros(2, n, dtype=torch.bool)
        self.hashes = torch.zeros(n, dtype=torch.int64)
        self.lengths = torch.zeros(n)
        self.total = torch.zeros(d, dtype=torch.float64)
        self.low, self.high = torch.full((2, d), math.inf, dtype=torch.float64)
        self.high.neg_()
        self.largest = 0.0
        self.products: Tensor | None = None

    def add(self, start: int, facts: _Facts) -> None:
        """Take in a block; blocks come in order, so that sums do not depend on the number of workers."""
        place = slice(start, start + len(facts.finite))
        self.finite[place], self.zero[place] = facts.finite.cpu(), facts.zero.cpu()
        self.hashes[place], self.lengths[place] = facts.hashes.cpu(), facts.far.cpu()
        self.total += facts.total.cpu()
        if facts.products is not None:
            products = facts.products.cpu()
            self.products = products.clone() if self.products is None else self.products.add_(products)
        if bool(facts.finite.any()):
            self.low = torch.minimum(self.low, facts.low.cpu())
            self.high = torch.maximum(self.high, facts.high.cpu())
            self.largest = max(self.largest, facts.largest)

    def survey(self, shift: Tensor, exponent: int) -> RowSurvey:
        """Return the survey, once all blocks were taken in."""
        count = max(1, int(self.finite.sum()))
        offset, scale = self.total / count, 2.0**exponent
        moments = None
        if self.products is not None:
            moments = (self.products / count - torch.outer(offset, offset)) * scale * scale
        first = _first_occurrences(self.hashes, self.finite)
        far = float(self.lengths.max()) * (1 + 1e-6)  # lengths were rounded to single precision
        return RowSurvey(
            finite=self.finite,
            distinct=self.finite & (first == torch.arange(len(first))),
            zero=self.zero,
            first=first,
            mean=shift + offset * scale,
            radius=(far + float(offset.norm())) * scale,
            largest=self.largest,
            dims=int((self.high > self.low).sum()),
            low=self.low,
            high=self.high,
            lengths=self.lengths,
            moments=moments,
        )


def _first_occurrences(hashes: Tensor, finite: Tensor) -> Tensor:
    """Return the number of the first finite row with the hash of each, and its own for the others."""
    order = torch.arange(len(hashes))
    rows = order[finite]
    distinct, group = torch.unique(hashes[finite], return_inverse=True)
    first = rows.new_full((len(distinct),), len(hashes)).scatter_reduce(0, group, rows, "amin")
    order[finite] = first[group]
    return order


def hash_weights(columns: int) -> Tensor:
    """Return odd random numbers, enough for rows of so many numbers of any type."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-(2**63), 2**63 - 1, (2, columns + 4), generator=generator) | 1


def row_hashes(block: Tensor, weights: Tensor) -> Tensor:
    """Hash the bits of each row to 64 bits, `(n,)`; two different rows get the same hash with probability about 2^-60.

    The hash is a random combination of the row's words modulo 2^64, which does not depend on the order of summation.
    """
    block = block + 0.0  # no −0
    if (short := -block.shape[1] * block.element_size() % 8) > 0:
        block = torch.nn.functional.pad(block, (0, short // block.element_size()))
    words = block.contiguous().view(torch.int64)
    mixed = words * weights[0, : words.shape[1]]
    return ((mixed ^ (mixed >> 32)) * weights[1, : words.shape[1]]).sum(1)


def symmetric_product(rows: Tensor) -> Tensor:
    """Return rowsᵀ rows, panel by panel on one side of the diagonal, which saves up to half of the work."""
    d = rows.shape[1]
    if d <= PANEL:
        return rows.mT @ rows
    product = rows.new_empty(d, d)
    for start in range(0, d, PANEL):
        stop = min(start + PANEL, d)
        part = rows[:, start:stop].mT @ rows[:, :stop]
        product[start:stop, :stop] = part
        product[:stop, start:stop] = part.mT
    return product

"""The intrinsic dimension as a function of scale."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import display_curves
from intrinsic_clip.dimension.arrays import Rows, as_points, whole_number
from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.mle import mle
from intrinsic_clip.seeding import seeded

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Two scales are within 5 % of their mean on any curve that changes by less than a tenth per doubling.
LEAST_SCALES = 3
SMALLEST = 100  # rows of a sample


@dataclass(frozen=True)
class Plateau:
    """The range of three or more scales over which a curve is level.

    Attributes:
        value: mean of the curve over the range, `(*R,)`; NaN where there is no plateau.
        start, stop: the range, `at[start:stop]`, int64 `(*R,)`; both 0 where there is no plateau.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import ScaleCurve
        >>> value = torch.tensor([9.0, 5.0, 5.1, 4.9, 2.0])
        >>> curve = ScaleCurve((1, 2, 4, 8, 16), value, 0 * value, None, n=100)
        >>> plateau = curve.plateau()
        >>> round(float(plateau.value), 1), int(plateau.start), int(plateau.stop)
        (5.0, 1, 4)
    """

    value: Tensor
    start: Tensor
    stop: Tensor


@dataclass(frozen=True, repr=False)
class ScaleCurve:
    """An estimate of intrinsic dimension at several scales, from the smallest to the largest.

    Attributes:
        at: the s scales: n1 of `gride_scales`, rows of `sample_size_curve`.
        value: the estimates, `(*R, s)`; NaN where there is none.
        standard_error: of the estimates, `(*R, s)`.
        radius: the distance at each scale, `(*R, s)`; None if it is not known.
        n: points per replicate.
        reason: why a value is NaN, else None.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import ScaleCurve
        >>> value = torch.tensor([9.0, 5.0, 5.1, 4.9, 2.0])
        >>> curve = ScaleCurve((1, 2, 4, 8, 16), value, 0 * value, None, n=100)
        >>> round(float(curve.plateau_value), 1)
        5.0
    """

    at: tuple[int, ...]
    value: Tensor
    standard_error: Tensor
    radius: Tensor | None
    n: int
    reason: str | None = None

    def plateau(self, tolerance: float = 0.05) -> Plateau:
        """Find the longest run of three or more consecutive scales that all lie within tolerance of their mean.

        Two scales are no run: on a curve that slopes everywhere, by 9 % for each doubling of the scale, any two would
        be one. (Nor are two whose difference is within twice its standard error: of a few hundred points nearly all
        are.) Among equally long runs the one at the smallest scales, that of the largest samples, is taken.

        Args:
            tolerance: the largest deviation from the mean of the run, as a share of it.
        """
        replicates, s = self.value.shape[:-1], len(self.at)
        value = self.value.new_full(replicates, math.nan)
        start = torch.zeros(replicates, dtype=torch.int64, device=value.device)
        stop = start.clone()
        runs = [
            (first, first + length)
            for length in range(s, LEAST_SCALES - 1, -1)
            for first in range(s - length + 1)
        ]
        for first, last in runs:
            run = self.value[..., first:last]
            mean = run.mean(-1)
            level = ((run - mean[..., None]).abs() <= tolerance * mean[..., None].abs()).all(-1)
            longest = level & (stop == 0)
            value = torch.where(longest, mean, value)
            start, stop = start.masked_fill(longest, first), stop.masked_fill(longest, last)
        return Plateau(value, start, stop)

    @property
    def plateau_value(self) -> Tensor:
        """Return the mean over the plateau of tolerance 5 %, `(*R,)`; NaN where there is no plateau."""
        return self.plateau().value

    def __repr__(self) -> str:
        """Return the curve in one line."""
        return display_curves.curve_line(self)

    def _repr_html_(self) -> str:
        """Return a small table for a notebook."""
        return display_curves.curve_table(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the curve, with standard errors.

        Args:
            ax: Matplotlib axes to draw on; None: new ones.

        Returns:
            The axes.
        """
        return display_curves.draw_curve(self, ax)


def sample_size_curve(
    points: Rows,
    estimator: Callable[..., DimensionEstimate] = mle,
    sizes: Sequence[int] | None = None,
    *,
    min_size: int | None = None,
    max_subsets: int = 8,
    seed: int = 0,
    **options: Any,
) -> ScaleCurve:
    """Estimate the dimension against sample size: fewer points lie farther apart and show a larger scale.

    The rows are shuffled once and cut into disjoint subsets of each size; the value is the mean over the
    subsets (Facco, d'Errico, Rodriguez, Laio, *Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information*, Scientific Reports 7, 2017). An estimate that does not depend on the sample
    size means that neither noise, which shows at small scales, nor curvature, at large ones, decides it.

    The standard error is the standard deviation over the subsets / √subsets, but no less than the estimator's own
    for their mean, √(Σ own²) / subsets, and that alone where only one subset has an estimate: two subsets often
    differ by nearly nothing. (Of 300 samples of 800 points in five dimensions the mean of MLE over both halves lay
    within 1.96 errors of its expectation in 68 % by the halves alone, 85 % by own errors, 89 % by the larger ones.)
    It ignores that subsets share one finite sample. Each size costs at most about what the full sample does, and
    all together two to four times that.

    Args:
        points: `(*R, n, d)`. Duplicates and rows with NaN are part of the size, and are left out by the
            estimator in each subset.
        estimator: called with points and options.
        sizes: rows per subset; None: n, n/2, n/4, … down to min_size.
        min_size: the smallest size if none are given; None: 100, or n where there are fewer rows.
        max_subsets: the most subsets of one size.
        seed: seed of the shuffle, which is the same for every replicate.
        options: passed to the estimator.

    Returns:
        The curve `(*R, s)` at the sizes, the largest first; no radius.

    Raises:
        ValueError: fewer than two axes, a size or min_size below 1 or above n, no size at all, or max_subsets below 1.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import mle, sample_size_curve
        >>> _ = torch.manual_seed(0)
        >>> points = torch.rand(1000, 2) @ torch.rand(2, 10)  # a plane in 10 columns
        >>> curve = sample_size_curve(points, mle, k=10, min_size=200)
        >>> curve.at
        (1000, 500, 250)
        >>> [round(value, 1) for value in curve.value.tolist()]
        [1.9, 1.9, 1.9]
    """
    points = as_points(points)
    n = points.shape[-2]
    if sizes is None:
        min_size = min(n, SMALLEST) if min_size is None else whole_number("min_size", min_size, 1)
        if min_size > n:
            raise ValueError(f"min_size must be at most {n}, the number of rows, got {min_size}")
        sizes = [n, *(n >> j for j in range(1, n.bit_length()) if n >> j >= min_size)]
    else:
        if not len(sizes) or not all(1 <= size <= n for size in sizes):
            raise ValueError(f"sizes must lie between 1 and {n}, the number of rows, got {list(sizes)}")
        sizes = [whole_number("a size", size, 1) for size in sizes]
    max_subsets = whole_number("max_subsets", max_subsets, 1)
    at = tuple(sorted(set(sizes), reverse=True))
    order = torch.randperm(n, generator=seeded(seed)).to(points.device)
    values, errors, reasons = [], [], []
    for size in at:
        subsets = min(n // max(size, 1), max_subsets) or 1
        chosen = points.index_select(-2, order[: subsets * size])
        estimate = estimator(chosen.unflatten(-2, (subsets, size)).movedim(-3, 0), **options)
        count = estimate.value.isfinite().sum(0)
        mean = estimate.value.nanmean(0)
        spread = ((estimate.value - mean).square().nansum(0) / (count - 1) / count).sqrt()
        own = estimate.standard_error.where(estimate.value.isfinite(), 0.0).square().sum(0).sqrt() / count
        values.append(mean)
        errors.append(torch.where(count > 1, torch.fmax(spread, own), own))  # own is NaN of no subset
        reasons.append(estimate.reason)
    reason = "; ".join(dict.fromkeys(r for r in reasons if r)) or None
    return ScaleCurve(at, torch.stack(values, -1), torch.stack(errors, -1), None, n, reason)

"""Prepare one view for training: standardised columns, or the leading principal inputs where it is wide."""

from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.seeding import seeded

WIDEST = 100  # inputs: the Jacobians' metrics hold its square in numbers for every point and replicate
FITTED = 20_000  # rows, at most, that principal inputs are fitted on
FAR = 20  # interquartile ranges from the median, where values are cut: 27 standard deviations of a normal column
RARE = 1_000  # rows, of which one may be cut
DIGITS = 12  # of float64's 16, within which a column is taken as constant: the others are rounding's
RANKED = 5_000  # rows, at most, that quartiles are taken of


@dataclass(frozen=True)
class View:
    """One side of the pairs as the encoders take it.

    Attributes:
        rows: inputs, `(n, p)` float32, of variance 1 on average over the columns.
        width: columns that were given.
        constant: columns left out since they hold one value, but for rounding.
        kept: share of the standardised columns' variance that the inputs hold; 1 where all are kept.
        decoys: columns of noise at the end of the inputs, so that a narrow view has something unshared.
        cut: rows with values that were cut, since they held most of a column's variance.
        dominated: columns in which a single row holds more than half of the variance all the same.
    """

    rows: Tensor
    width: int
    constant: int
    kept: float
    decoys: int
    cut: int
    dominated: int

    @property
    def inputs(self) -> int:
        """Number of inputs of an encoder."""
        return self.rows.shape[1]

    def notes(self, side: str) -> list[str]:
        """Return what was decided about this side, a sentence each."""
        sentences = []
        if self.constant:
            sentences.append(
                f"{side}: {self.constant:,} of {self.width:,} columns are constant to {DIGITS} digits and left out"
            )
        if self.cut:
            sentences.append(
                f"{side}: values of {self.cut:,} row{'s' * (self.cut > 1)}, more than {FAR} interquartile ranges from "
                "the median of their column, held most of its variance, and were cut to that"
            )
        if self.dominated:
            sentences.append(
                f"{side}: in {self.dominated:,} of {self.width:,} columns a single row holds more than half of the "
                "variance, which hides the differences between the others; look for outliers"
            )
        own = self.inputs - self.decoys
        if own < self.width - self.constant:
            sentences.append(
                f"{side}: the {own} leading principal components of {self.width - self.constant:,} columns "
                f"are the inputs; they hold {100 * self.kept:.1f} % of the variance"
            )
        if self.decoys:
            sentences.append(
                f"{side}: {self.decoys} columns of noise stand beside its {own}, "
                "so that a gap behind the last of them shows"
            )
        return sentences


def prepared(
    rows: Tensor, narrowest: int, widest: int = WIDEST, seed: int = 0, name: str | None = None
) -> View:
    """Standardise the columns of a view, leave out the constant ones, and reduce a wide view to principal inputs.

    Args:
        rows: `(n, width)`, finite.
        narrowest: inputs, at least; columns of noise are added to fewer.
        widest: inputs, at most.
        seed: of the noise and of the choice of rows that principal inputs are fitted on.
        name: of the view in messages; None: they begin without one.

    Raises:
        ValueError: every column is constant but for rounding, or values are so large that their variance overflows.
    """
    of = "" if name is None else f"{name}: "
    values, cut = _without_far_values(rows.double(), seed)
    spread = values.std(0)
    if not bool(spread.isfinite().all()):
        raise ValueError(f"{of}values up to {float(values.abs().max()):.0e} have no finite variance")
    varies = spread > 10.0**-DIGITS * values.abs().amax(0).clamp_min(1e-300)
    width, constant = values.shape[1], int((~varies).sum())
    if constant == width:
        raise ValueError(
            f"{of}every column is constant to {DIGITS} digits; subtract what its values have in common"
        )
    values = (values[:, varies] - values[:, varies].mean(0)) / spread[varies]
    dominated = int((values.square().amax(0) > 0.5 * len(values)).sum())
    kept = 1.0
    if values.shape[1] > widest:
        values, kept = _principal(values, widest, seed)
    decoys = max(0, narrowest - values.shape[1])
    noise = torch.randn(len(values), decoys, generator=seeded(seed))
    return View(torch.cat([values.float(), noise], 1), width, constant, kept, decoys, cut, dominated)


def _without_far_values(values: Tensor, seed: int) -> tuple[Tensor, int]:
    """Cut values far from all others in columns that they dominate, and return in how many rows there were any.

    A few such values hold most of the column's variance, and standardising would hide all others. A column of which
    more than half holds one value, such as a rare word's, and one of many far values are left as they are.
    """
    few = max(1, len(values) // RARE)
    chosen = torch.randperm(len(values), generator=seeded(seed))[:RANKED]
    rows = torch.zeros(len(values), dtype=torch.bool)
    cut = values
    for place, column in enumerate(values.unbind(1)):
        ordered = column[chosen].sort().values
        low, median, high = (float(ordered[round(share * (len(ordered) - 1))]) for share in (0.25, 0.5, 0.75))
        reach = FAR * (high - low)
        distance = (column - median).abs()
        far = distance > reach
        if reach == 0 or not 0 < int(far.sum()) <= few or not _dominated(distance, few):
            continue
        cut = values.clone() if cut is values else cut
        cut[:, place] = column.clamp(median - reach, median + reach)
        rows |= far
    return cut, int(rows.sum())


def _dominated(distance: Tensor, few: int) -> bool:
    """Tell whether a few rows hold more than half of the sum of squares."""
    squares = (distance / distance.max()).square()
    return bool(squares.topk(few).values.sum() > 0.5 * squares.sum())


def _principal(values: Tensor, widest: int, seed: int) -> tuple[Tensor, float]:
    """Return the leading principal components, scaled by one number to variance 1 on average, and their share."""
    directions, share = principal_directions(values, widest, seed)
    components = values @ directions.T
    return components / components.square().mean().sqrt(), share


def principal_directions(values: Tensor, widest: int, seed: int) -> tuple[Tensor, float]:
    """Return the leading principal directions of standardised rows, `(k, p)`, and the share of variance they hold."""
    chosen = torch.randperm(len(values), generator=seeded(seed))[:FITTED]
    # The signs of singular vectors are arbitrary, which only permutes equally likely initial weights.
    _, strengths, directions = torch.linalg.svd(values[chosen], full_matrices=False)
    share = float(strengths[:widest].square().sum() / strengths.square().sum())
    return directions[:widest], share

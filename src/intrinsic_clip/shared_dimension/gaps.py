"""Read a number of dimensions off the ratios of consecutive root eigenvalues."""

from dataclasses import dataclass

from torch import Tensor

LEAST_GAP = 1.35  # a ratio that counts as a gap, however even the spectrum of shuffled pairs is
NULL_POWER = 3.0  # and at least this power of the largest ratio of shuffled pairs
WEIGHT = 0.9  # of the spectrum, which the effective number holds


@dataclass(frozen=True)
class Gap:
    """The last ratio of a spectrum that stands out.

    Attributes:
        dimension: number of values before it; None where no ratio is as large as the threshold.
        ratio: its size; the largest ratio where there is no gap.
        later: the largest ratio behind it; 1 where there is none.
    """

    dimension: int | None
    ratio: float
    later: float


def threshold(null_ratios: Tensor) -> float:
    """Return the least ratio that counts as a gap, by the largest ratio that shuffled pairs show."""
    largest = float(null_ratios.max()) if null_ratios.numel() else 1.0
    return max(LEAST_GAP, largest**NULL_POWER)


def last_gap(ratios: Tensor, least: float) -> Gap:
    """Find the last ratio that is at least so large.

    Args:
        ratios: of consecutive values, `(m,)`.
        least: the threshold.
    """
    if not ratios.numel():
        return Gap(None, 1.0, 1.0)
    places = (ratios >= least).nonzero()[:, 0]
    place = int(places[-1]) if len(places) else int(ratios.argmax())
    later = float(ratios[place + 1 :].max()) if place + 1 < len(ratios) else 1.0
    return Gap(place + 1 if len(places) else None, float(ratios[place]), later)


def combined(x: Tensor, y: Tensor) -> Tensor:
    """Return the geometric means of two views' ratios, `(…, m)`, as far as both go."""
    count = min(x.shape[-1], y.shape[-1])
    return (x[..., :count] * y[..., :count]).sqrt()


def effective_number(spectrum: Tensor, weight: float = WEIGHT) -> int:
    """Return how many of the largest values hold this share of the squares' sum."""
    shares = spectrum.square().cumsum(-1) / spectrum.square().sum()
    return int((shares < weight).sum()) + 1

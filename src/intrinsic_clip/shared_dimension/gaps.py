"""Read a number of dimensions off the ratios of consecutive root eigenvalues."""

from dataclasses import dataclass

from torch import Tensor

# A ratio that counts as a gap is at least this, and at least this power of the largest ratio of shuffled pairs.
LEAST_GAP, GAP_POWER = 1.2, 2.0
# Ratios behind it are no larger than this, or than this power: one in between leaves the place of the gap open.
MOST_BEHIND, BEHIND_POWER = 1.15, 1.5
WEIGHT = 0.9  # of the spectrum, which the effective number holds


@dataclass(frozen=True)
class Gap:
    """The last ratio of a spectrum that stands out.

    Attributes:
        place: number of values before it; of the largest ratio where none is as large as the threshold.
        ratio: its size.
        later: the largest ratio behind it; 1 where there is none.
        clear: whether it is as large as the threshold, and those behind it are as on shuffled pairs.
    """

    place: int
    ratio: float
    later: float
    clear: bool

    @property
    def dimension(self) -> int | None:
        """Number of values before a clear gap; None where there is none."""
        return self.place if self.clear else None


@dataclass(frozen=True)
class Thresholds:
    """Sizes of ratios.

    Attributes:
        least: ratio that counts as a gap.
        behind: the largest that may follow a clear gap.
    """

    least: float
    behind: float


def thresholds(null_gap: float) -> Thresholds:
    """Return what counts as a gap where shuffled pairs show ratios up to this one."""
    return Thresholds(max(LEAST_GAP, null_gap**GAP_POWER), max(MOST_BEHIND, null_gap**BEHIND_POWER))


def last_gap(ratios: Tensor, sizes: Thresholds) -> Gap:
    """Find the last ratio that counts as a gap.

    Args:
        ratios: of consecutive values, `(m,)`, at least one.
        sizes: what counts.
    """
    places = (ratios >= sizes.least).nonzero()[:, 0]
    place = int(places[-1]) if len(places) else int(ratios.argmax())
    later = float(ratios[place + 1 :].max()) if place + 1 < len(ratios) else 1.0
    return Gap(place + 1, float(ratios[place]), later, len(places) > 0 and later <= sizes.behind)


def combined(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Return the geometric means of two views' ratios, `(…, m)`, as far as both go; those of x where it is alone."""
    if y is None:
        return x
    count = min(x.shape[-1], y.shape[-1])
    return (x[..., :count] * y[..., :count]).sqrt()


def effective_number(spectrum: Tensor, weight: float = WEIGHT) -> int:
    """Return how many of the largest values hold this share of the squares' sum."""
    shares = spectrum.square().cumsum(-1) / spectrum.square().sum()
    return int((shares < weight).sum()) + 1

"""Read a number of dimensions off the ratios of consecutive root eigenvalues."""

from dataclasses import dataclass

from torch import Tensor

# A ratio stands out if its logarithm is this many times any later one's: a spectrum that decays has none that does.
CONTRAST = 2.0
# The last that stands out is a gap if it is at least this, and at least this power of the largest of shuffled pairs.
LEAST_GAP, GAP_POWER = 1.15, 2.0
# Smaller ones that are at most this, or this power, are passed over; one in between leaves the place of the gap open,
# unless the logarithm of a gap before it is this many times its own. A gap right behind one that is as much larger is
# passed over too: the largest chance correlation of the pairs is the same in all replicates, and makes one direction.
MOST_BEHIND, BEHIND_POWER, DWARFS = 1.1, 1.5, 8.0
# The largest ratios of x and y together among the first half of the directions, of trainings on shuffled pairs: 1.21 of
# 66 trainings alone, 1.05 of 33 twos, 1.03 of 22 threes.
PRESUMED_GAP, PRESUMED_POWER, FEW = 0.2, 1.5, 4
WEIGHT = 0.9  # of the spectrum, which the effective number holds


@dataclass(frozen=True)
class Gap:
    """The last ratio of a spectrum that stands out.

    Attributes:
        place: number of values before it; of the largest ratio where none is as large as the threshold.
        ratio: its size.
        later: the largest ratio behind it; 1 where there is none.
        clear: whether it is as large as the threshold and stands out from those behind it.
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


def presumed_gap(trainings: int) -> float:
    """Return the largest ratio to expect of shuffled pairs where there is no training on them."""
    return 1 + PRESUMED_GAP / trainings**PRESUMED_POWER


def readable(ratios: Tensor, trainings: int) -> Tensor:
    """Return the ratios that mean something: the last values of a few trainings fall steeply, shared or not."""
    return ratios[..., : max(1, ratios.shape[-1] // 2)] if trainings < FEW else ratios


def last_gap(ratios: Tensor, sizes: Thresholds) -> Gap:
    """Find the last ratio that stands out from those behind it.

    Args:
        ratios: of consecutive values, `(m,)`, at least one.
        sizes: what counts.
    """
    logarithms = ratios.clamp_min(1.0).log()
    behind = logarithms.flip(0).cummax(0).values.flip(0).roll(-1)  # the largest of those behind each
    behind[-1] = 0
    places = ((ratios > sizes.behind) & (logarithms >= CONTRAST * behind)).nonzero()[:, 0]
    place = int(places[-1]) if len(places) else int(ratios.argmax())
    if ratios[place] < sizes.least:
        dwarfing = ((ratios >= sizes.least) & (logarithms >= DWARFS * behind)).nonzero()[:, 0]
        place = int(dwarfing[-1]) if len(dwarfing) else place
    elif place > 0 and logarithms[place - 1] >= DWARFS * logarithms[place]:
        place -= 1
    clear = len(places) > 0 and float(ratios[place]) >= sizes.least
    return Gap(place + 1, float(ratios[place]), float(behind[place].exp()), clear)


def with_length(gap: Gap, ratios: Tensor, sizes: Thresholds) -> Gap:
    """Count the length of the outputs as one more dimension where the spectrum with it has its gap one place later.

    Directions of outputs alone can match nearly all pairs that share many dimensions: replicates then map them to a
    sphere of one dimension less, and the last shared one only shows in the length. Where it is not shared, the length
    is a function of what is, and the gap stays at its place.

    Args:
        gap: of the spectrum of directions.
        ratios: of the spectrum with the length, `(m,)`.
        sizes: what counts.
    """
    if not gap.clear or gap.place >= len(ratios):
        return gap
    before, at = float(ratios[gap.place - 1]), float(ratios[gap.place])
    if at < max(sizes.least, before):
        return gap
    later = float(ratios[gap.place + 1 :].max()) if gap.place + 1 < len(ratios) else 1.0
    return Gap(gap.place + 1, at, later, True)


def combined(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Return the geometric means of two views' ratios, `(…, m)`, as far as both go; those of x where it is alone."""
    if y is None:
        return x
    count = min(x.shape[-1], y.shape[-1])
    return (x[..., :count] * y[..., :count]).sqrt()


def effective_number(spectrum: Tensor, output_dim: int) -> int:
    """Return how many of the largest values hold this share of what the squares exceed the floor by.

    The floor is the square of value d: the sphere has d − 1 dimensions, so that no more are shared.
    """
    squares = spectrum[:output_dim].square()
    excess = (squares - squares[-1]).clamp_min(0)
    weights = excess if bool(excess.any()) else squares
    return int((weights.cumsum(-1) / weights.sum() < WEIGHT).sum()) + 1

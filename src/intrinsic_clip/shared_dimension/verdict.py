"""Say what spectra and held-out matching show: a number, none, or that nothing is shared."""

from collections.abc import Sequence
from dataclasses import dataclass

from intrinsic_clip.shared_dimension.gaps import WEIGHT, Gap
from intrinsic_clip.shared_dimension.matching import HeldOut

SIGNIFICANT = 0.005  # largest p-value of held-out matching that counts as sharing
COVERAGE = 0.95  # of the interval


@dataclass(frozen=True)
class Verdict:
    """Dimension, interval and the sentence that says both.

    Attributes:
        dimension: None where there is no clear gap; 0 where nothing is shared.
        interval: of the dimension, or of the effective number where there is no gap.
        agreement: share of the bootstrap draws with that number.
        text: one sentence.
    """

    dimension: int | None
    interval: tuple[int, int]
    agreement: float
    text: str


def decide(gap: Gap, effective: int, matching: HeldOut, null_gap: float, draws: Sequence[int]) -> Verdict:
    """Decide between a number, an effective number, and nothing.

    Args:
        gap: of the combined spectrum.
        effective: how many values hold most of its weight.
        matching: of held-out pairs.
        null_gap: largest ratio on shuffled pairs.
        draws: estimates of the bootstrap, sorted.
    """
    if matching.p_value > SIGNIFICANT:
        text = f"nothing is shared: held-out matching is at chance (p = {matching.p_value:.2g})"
        return Verdict(0, (0, 0), 1.0, text)
    interval = _interval(draws)
    if gap.dimension is None:
        centred = [max(1, draw + effective - draws[len(draws) // 2]) for draw in draws]
        interval = _interval(centred)
        text = (
            f"no clear gap: the spectrum decays; {100 * WEIGHT:.0f} % of its weight in {effective} "
            f"(ratio {gap.ratio:.2f} at {gap.place}; later {gap.later:.2f}; shuffled pairs {null_gap:.2f})"
        )
        return Verdict(None, interval, centred.count(effective) / len(draws), text)
    text = f"{gap.dimension} (gap {gap.ratio:.1f}; the next {gap.later:.1f}; shuffled pairs {null_gap:.1f})"
    return Verdict(gap.dimension, interval, draws.count(gap.dimension) / len(draws), text)


def _interval(draws: Sequence[int]) -> tuple[int, int]:
    """Return the central part of sorted draws."""
    cut = int((1 - COVERAGE) / 2 * len(draws))
    return draws[cut], draws[len(draws) - 1 - cut]

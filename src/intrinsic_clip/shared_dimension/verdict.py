"""Say what spectra and held-out matching show: a number, none, or that nothing is found to be shared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intrinsic_clip.measurement.progress import duration
from intrinsic_clip.shared_dimension.gaps import WEIGHT, Gap
from intrinsic_clip.shared_dimension.matching import HeldOut
from intrinsic_clip.shared_dimension.wording import COVERAGE

SIGNIFICANT = 0.005  # largest p-value of held-out matching that counts as sharing
FLAT = "is as flat as that of shuffled pairs; something is shared, how many dimensions cannot be told"
COUNTED = 15  # shared dimensions, from which on estimates were too low: 16 to 19 of 20 to 40


@dataclass(frozen=True)
class Verdict:
    """Dimension, interval and the sentence that says both.

    Attributes:
        dimension: None where there is no clear gap; 0 where nothing is found to be shared.
        interval: of the dimension, or of the effective number where there is no gap.
        agreement: share of the bootstrap draws with that number.
        text: one sentence.
        doubt: why neither dimension nor effective number can be trusted; None where one can.
    """

    dimension: int | None
    interval: tuple[int, int]
    agreement: float
    text: str
    doubt: str | None = None


def decide(
    gap: Gap,
    effective: int,
    matching: HeldOut,
    null_gap: float | None,
    draws: Sequence[int],
    trainings: int = 6,
) -> Verdict:
    """Decide between a number, an effective number, and nothing.

    Args:
        gap: of the combined spectrum.
        effective: how many values hold most of its weight.
        matching: of held-out pairs.
        null_gap: largest ratio on shuffled pairs; None where there is none, which the sentence says.
        draws: estimates of the bootstrap, sorted.
        trainings: replicates behind the spectrum; the sentence says where there is only one.
    """
    if matching.p_value > SIGNIFICANT:  # the encoders, one training or six, know nothing of the pairs
        text = (
            "nothing is found to be shared: held-out matching is not above chance at the level "
            f"{SIGNIFICANT:g} (p = {matching.p_value:.2g})"
        )
        return Verdict(0, (0, 0), 1.0, text)
    alone = " of one training alone" if trainings == 1 else ""
    interval = _interval(draws)
    if gap.dimension is None:
        centred = [max(1, draw + effective - draws[len(draws) // 2]) for draw in draws]
        interval = _interval(centred)
        is_flat = null_gap is not None and gap.ratio <= null_gap  # its effective number is that of noise
        found = FLAT if is_flat else f"decays; {100 * WEIGHT:.0f} % of its weight in {effective}"
        text = (
            f"no clear gap: the spectrum{alone} {found} "
            f"(ratio {gap.ratio:.2f} at {gap.place}; later {gap.later:.2f}; {_shuffled(null_gap, 2)})"
        )
        agreement = centred.count(effective) / len(draws)
        return Verdict(None, interval, agreement, text, "more pairs are needed" if is_flat else None)
    text = f"{gap.dimension}{alone} (gap {gap.ratio:.1f}; the next {gap.later:.1f}; {_shuffled(null_gap, 1)})"
    return Verdict(gap.dimension, interval, draws.count(gap.dimension) / len(draws), text)


def counted_too_low(number: int, dimension: int | None) -> list[str]:
    """Return a note on a number that is as large as those of estimates that were too low; none on a smaller one.

    Args:
        number: the dimension, or the effective number where there is no clear gap. With few pairs noise is most of a
            spectrum without a gap, and such a number far above what is shared.
        dimension: None where there is no clear gap.
    """
    if number < COUNTED:
        return []
    why = (
        f"from {COUNTED} shared dimensions on, some of them match all pairs, and the others are not learned "
        "(of 20 to 40, estimates found 16 to 19; with output_dim=48, 22 of 30)"
    )
    if dimension is None:
        return [f"{number} is no bound: with few pairs, noise adds to a spectrum without a gap, and {why}"]
    return [f"{number} is a lower bound: {why}"]


def missed_perhaps(dimension: int | None) -> list[str]:
    """Return a note where nothing is found, since that does not show independence; none on another number."""
    if dimension != 0:
        return []
    return [
        f"nothing found is no proof that nothing is shared: matching counts at the level {SIGNIFICANT:g}, and a small "
        "or weak share may be missed with so many pairs; compare what other methods find (the command line prints "
        "them; `canonical_rank`, `kernel_canonical_rank` and `dimension_correlation` of `intrinsic_clip.metrics`)"
    ]


def _interval(draws: Sequence[int]) -> tuple[int, int]:
    """Return the central part of sorted draws."""
    cut = int((1 - COVERAGE) / 2 * len(draws))
    return draws[cut], draws[len(draws) - 1 - cut]


def _shuffled(null_gap: float | None, decimals: int) -> str:
    return "no shuffled pairs" if null_gap is None else f"shuffled pairs {null_gap:.{decimals}f}"


def advice(estimated: Mapping[str, Any]) -> str:
    """Return which d to give a contrastive model on such pairs, with the pairs and the time that it rests on.

    Args:
        estimated: the numbers of an estimate by name.
    """
    dimension, n = estimated["dimension"], estimated["n"]
    if dimension == 0:
        return (
            f"no d is known to help: held-out pairs cannot be told from others with {n:,} pairs; what is shared may be "
            "too weak, or too small beside what is not, for the encoders, whose inputs get noise of 0.3 standard "
            "deviations"
        )
    rests = f"; from {n:,} pairs in {duration(sum(estimated['seconds'].values()))}"
    if estimated.get("trainings") == 1:
        rests += " and one training alone: `shared` on the data themselves trains several"
    if estimated.get("doubt") is not None:
        return f"{estimated['doubt']} to tell which d would do{rests}"
    if dimension is None and (bound := estimated.get("bound")) is not None:
        return f"d = {bound + 1} holds the {bound} dimensions of a view; how many are shared cannot be told{rests}"
    if dimension is None:
        low, high = estimated["interval"]
        held = f"{estimated['effective']} ({low} to {high})"
        return f"no single d is right; {held} hold {100 * WEIGHT:.0f} % of what the model uses{rests}"
    return (
        f"d = {dimension + 1} holds {dimension} shared dimension{'s' * (dimension > 1)} on the sphere of unit vectors; "
        f"a larger d does no harm, since what is learned keeps to them{rests}"
    )

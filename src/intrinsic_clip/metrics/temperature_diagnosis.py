"""Say what the course of a temperature during training means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.metrics.temperature_verdict import (
    FOR_A_TREND,
    Course,
    Verdict,
    not_finite,
    place_beside,
)
from intrinsic_clip.metrics.temperatures import doubted_temperature

CLIP_CLAMP = 0.01  # CLIP and open_clip let the scale 1/τ reach 100
FEWEST = 20  # values


@dataclass(frozen=True)
class TemperatureDiagnosis:
    """Meaning of the course of a temperature.

    Attributes:
        verdict: one of nine.
        text: one line that says what happened and what to do, starting with the verdict.
        start, end: τ, means over the first and last twentieth of training.
        change: of log τ over the last quarter.
        optimal: the τ that is best for held-out rows, where it is known.

    Example:
        >>> from intrinsic_clip.metrics import diagnose_temperature
        >>> diagnosis = diagnose_temperature([0.07] * 100)
        >>> diagnosis.verdict, round(diagnosis.end, 2)
        ('fixed', 0.07)
    """

    verdict: Verdict
    text: str
    start: float
    end: float
    change: float
    optimal: float | None = None

    def __str__(self) -> str:
        return self.text


def diagnose_temperature(
    tau: Sequence[float] | Tensor,
    losses: Sequence[float] | Tensor | None = None,
    clamps: Sequence[float] = (CLIP_CLAMP,),
    optimal: float | None = None,
    batch_size: int | None = None,
    trusted: bool = False,
    annealed: bool = False,
    optimal_as_given: float | None = None,
    learned: bool = True,
) -> TemperatureDiagnosis:
    """Return what the course of a temperature means, in one line.

    Args:
        tau: at equal distances from the first step to the last, such as one per step.
        losses: of training, at the same steps. Without them a τ that rests is never called stalled.
        clamps: limits of τ; by default that of CLIP, 0.01.
        optimal: the τ that is best for held-out rows, as from `optimal_temperature`.
        batch_size: among how many a step finds each partner, which tells a loss that is no better than guessing.
        trusted: whether these are surely τ, so that one above 2 is not taken for a logit scale.
        annealed: whether the learning rate ended near 0, where any τ comes to rest.
        optimal_as_given: where `optimal` is of rows brought to length 1 and the loss may not do that, the best τ of the
            rows as they are: both are named then, and τ is judged by neither.
        learned: whether training changes τ. One that is set, once or by a schedule, gets no verdict on its course.

    Raises:
        ValueError: losses are not as many as temperatures, or clamps are no numbers.

    Example:
        >>> from intrinsic_clip.metrics import diagnose_temperature
        >>> print(diagnose_temperature([0.07 - 0.0004 * step for step in range(100)]).text)
        still falling: τ fell from 0.07 to 0.0304 (1/τ = 32.9), by 25 % in the last quarter; train longer, or give τ \
a larger learning rate
    """
    taus = torch.as_tensor(tau, dtype=torch.float64).flatten()
    loss = None if losses is None else torch.as_tensor(losses, dtype=torch.float64).flatten()
    if loss is not None and (len(loss) != len(taus) or not len(loss)):
        raise ValueError(
            f"losses must be as many as temperatures, got {len(loss)} losses and {len(taus)} temperatures"
        )
    limits = _numbers(clamps)
    last = float(taus[-1]) if len(taus) else math.nan
    doubt = _doubt(taus, trusted)
    if doubt is not None:
        return TemperatureDiagnosis("implausible", f"implausible: {doubt}", last, last, math.nan, optimal)
    if len(taus) < FEWEST:
        verdict, text = _of_few(taus, loss)
        return TemperatureDiagnosis(verdict, f"{verdict}: {text}", last, last, math.nan, optimal)
    course = Course(taus, loss, limits, optimal, batch_size, optimal_as_given)
    verdict, text = course.verdict(learned)
    if annealed and verdict == "settled":
        text += " as the learning rate ends near 0; a longer schedule may move it on"
    if annealed and verdict == "still falling":
        text = text.replace("train longer", "train longer, by a longer schedule")
    return TemperatureDiagnosis(
        verdict,
        text + _beside(course.end, optimal, course.guesses, optimal_as_given),
        course.start,
        course.end,
        course.change,
        optimal,
    )


def _of_few(taus: Tensor, loss: Tensor | None) -> tuple[Verdict, str]:
    """Return the verdict on a course that is too short for all but one, and why."""
    if said := not_finite(taus.log(), loss):
        return "diverging", said
    return "too short", f"{len(taus)} steps give no verdict, {FOR_A_TREND} are needed"


def _numbers(clamps: Sequence[float]) -> tuple[float, ...]:
    try:
        return tuple(map(float, clamps))
    except (TypeError, ValueError):
        raise ValueError(f"clamps must be numbers, such as (0.01,), got {clamps!r}") from None


def _doubt(taus: Tensor, trusted: bool) -> str | None:
    """Return why values that a course begins with are no temperatures; None where they may be."""
    if not len(taus) or bool(taus.isnan().all()):
        return "no value of τ is known" if len(taus) else None
    first = float(taus[0])
    if first <= 0:
        return f"τ = {first:.4g} at the start is not positive; if it is log τ, give its exponential"
    return None if trusted or math.isnan(first) else doubted_temperature(first, of_module=True)


def _beside(tau: float, optimal: float | None, guesses: bool, as_given: float | None) -> str:
    """Return what the best τ for held-out rows says about the last one."""
    if optimal is None or math.isnan(optimal):
        return ""
    if as_given is not None:
        other = f", and {as_given:.3g} if it takes them as they were given" if 0 < as_given < math.inf else ""
        return f"; the best τ for held-out rows is {optimal:.3g} if the loss brings them to length 1{other}"
    if optimal == 0:
        return "; each held-out partner is the nearest already, so any lower τ would suit held-out rows"
    if math.isinf(optimal):
        return "; held-out similarities do not favour partners, so no τ suits them"
    if guesses:
        return f"; the best τ for held-out rows is {optimal:.3g}, which means little while the loss is that of guessing"
    verdicts = {
        "above": "the model is under-confident",
        "below": "the model is over-confident",
        "close": "close to it",
    }
    return f"; the best τ for held-out rows is {optimal:.3g}: {verdicts[place_beside(tau, optimal)]}"

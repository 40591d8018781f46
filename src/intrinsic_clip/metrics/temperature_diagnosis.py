"""Say what the course of a temperature during training means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.metrics.course_statistics import blocks, change, edge, fall, noise
from intrinsic_clip.metrics.temperatures import HIGHEST, doubted_temperature

Verdict = Literal[
    "implausible",
    "too short",
    "fixed",
    "diverging",
    "at its clamp",
    "still falling",
    "rising",
    "stalled",
    "settled",
]
CLIP_CLAMP = 0.01  # CLIP and open_clip let the scale 1/τ reach 100
FEWEST = 20  # values
# Values for a verdict on a trend: with Adam at 1e-3 to 3e-3, a healthy τ rests, or rises by 3 %, for 50 to 150 steps.
FOR_A_TREND, FOR_STALLED = 100, 200
MOVES = 0.03  # change of log τ over the last quarter of training that counts
RISEN = 0.05  # of log τ, from start to end
AT_CLAMP, EXACTLY = 0.005, 1e-5  # of log τ
GUESSING = 0.97  # of log n, the loss of guessing among n
SWINGS = 0.5  # range of log τ in the last quarter
KEEPS = 0.5  # of the change in the quarter before: a τ that changes by as much is not at rest
STILL = 0.05  # share of the loss's whole fall that falls in the last quarter
CLOSE = 1.25  # ratio of τ to the optimum


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
    course = _Course(taus, loss, limits, optimal, batch_size, optimal_as_given)
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
    if lost := _lost(taus.log(), loss):
        return "diverging", lost
    return "too short", f"{len(taus)} steps give no verdict, {FOR_A_TREND} are needed"


def _lost(log: Tensor, loss: Tensor | None) -> str | None:
    """Return that log τ or the loss is not finite, and what to do; None if both are."""
    lost = None if loss is None or bool(loss.isfinite().all()) else "the loss is no longer finite"
    if not bool(log.isfinite().all()):
        lost = "τ is no longer a positive, finite number"
    return lost and f"{lost}; lower the learning rate, warm up, clamp τ, or learn its logarithm"


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


class _Course:
    """The course of a temperature, and the numbers that a verdict rests on."""

    def __init__(
        self,
        taus: Tensor,
        loss: Tensor | None,
        clamps: tuple[float, ...],
        optimal: float | None,
        batch_size: int | None,
        optimal_as_given: float | None,
    ) -> None:
        self.of_unit_rows = optimal_as_given is None  # as far as is known
        self.taus, self.loss, self.clamps, self.optimal = taus, loss, clamps, optimal
        guessing = math.log(batch_size) if batch_size else math.inf
        self.guesses = loss is not None and float(edge(loss, 0.975)) > GUESSING * guessing
        self.log = taus.log()
        self.start, self.end = (math.exp(float(edge(self.log, end))) for end in (0.025, 0.975))
        self.first, self.last = float(taus[0]), float(taus[-1])
        self.change, self.spread = change(self.log), float(self.log.max() - self.log.min())
        self.threshold = max(MOVES, 3 * noise(self.log))

    def verdict(self, learned: bool) -> tuple[Verdict, str]:
        """Return the verdict and its line."""
        if not learned:
            return self._as_set()
        for check in (
            self._diverging,
            self._at_clamp,
            self._fixed,
            self._too_short,
            self._falling,
            self._rising,
            self._stalled,
        ):
            text = check()
            if text is not None:
                return _VERDICTS[check.__name__], f"{_VERDICTS[check.__name__]}: {text}"
        return "settled", f"settled: τ {self._went()} and rests"

    def _as_set(self) -> tuple[Verdict, str]:
        """Return the verdict and the line of a temperature that training does not change."""
        if lost := _lost(self.log, self.loss):
            return "diverging", f"diverging: {lost}"
        if self._fixed():
            return "fixed", f"fixed: τ = {self.end:.3g} in all steps, as it is set"
        return "fixed", f"fixed: τ {self._went()}, set by a schedule and not learned"

    def _diverging(self) -> str | None:
        if lost := _lost(self.log, self.loss):
            return lost
        late = self.log[-(len(self.log) // 4) :]
        smooth = blocks(late)
        path = blocks(late, 8)  # longer means, since the noise of many adds up
        turns = float(path.diff().abs().sum()) > 2 * abs(float(path[-1] - path[0]))
        if turns and float(smooth.max() - smooth.min()) > SWINGS:
            return f"τ swings by a factor of {math.exp(float(smooth.max() - smooth.min())):.2g} in the last quarter"
        if self.loss is not None:
            first, last = float(edge(self.loss, 0.025)), float(edge(self.loss, 0.975))
            if last > first + max(0.1 * abs(first), 3 * noise(self.loss)):
                return f"the loss ends at {last:.3g}, above its start of {first:.3g}; lower the learning rate"
        if (
            self.of_unit_rows
            and self.end > HIGHEST
            and self.end > 1.5 * self.start
            and self.change > self.threshold
        ):
            return f"τ rose from {self.start:.3g} to {self.last:.3g}, where cosines count for nothing"
        return None

    def _at_clamp(self) -> str | None:
        late = self.log[-max(5, len(self.log) // 10) :]
        for clamp in (clamp for clamp in self.clamps if clamp > 0):
            distances = (late - math.log(clamp)).abs()
            near, exactly = (float((distances < limit).double().mean()) for limit in (AT_CLAMP, EXACTLY))
            if near >= 0.5 or exactly >= 0.05:  # the optimizer's noise throws it off now and then
                return (
                    f"τ is at {clamp:.3g} (1/τ = {1 / clamp:.3g}) in {100 * max(near, exactly):.0f} % of the last "
                    "steps, and the loss would take it further; that is common on large data, and no fault"
                )
        if bool((late == late[0]).all()) and self.spread > MOVES:
            return (
                f"τ moved and then stayed at exactly {self._at(self.last)}: a clamp, or a zero learning rate"
            )
        return None

    def _fixed(self) -> str | None:
        if bool((self.log == self.log[0]).all()):
            return f"τ = {self.end:.3g} in all steps: it is not learned, or not given to the optimizer"
        return None

    def _too_short(self) -> str | None:
        n = len(self.taus)
        if n >= FOR_A_TREND and (
            n >= FOR_STALLED or self._falling() or self._rising() or not self._stalled()
        ):
            return None
        return (
            f"{n} steps give no verdict on a trend, {FOR_A_TREND if n < FOR_A_TREND else FOR_STALLED} are needed; "
            f"so far τ {self._went()}"
        )

    def _falling(self) -> str | None:
        if self.change >= -self.threshold and not (self.change < 0 and self._moves_on()):
            return None
        percent = 100 * -math.expm1(self.change)
        advice = "train longer, or give τ a larger learning rate"
        if self._beside_best() == "below":
            advice = "the model overfits: stop earlier, or give it more pairs"
        if self.last < self.first:
            return f"τ {self._went()}, by {percent:.0f} % in the last quarter; {advice}"
        return (
            f"τ fell by {percent:.0f} % in the last quarter, after a rise, to {self._at(self.last)}; {advice}"
        )

    def _rising(self) -> str | None:
        is_best = self._beside_best() == "close"
        risen = math.log(self.end / self.start) > max(RISEN, self.threshold) and (self.guesses or not is_best)
        moves = self.change > self.threshold or (self.change > 0 and self._moves_on())
        if not (moves or risen):
            return None
        lately = f", by {100 * math.expm1(self.change):.0f} % in the last quarter" if moves else ""
        cause = "pairs are uninformative or noisy, the model overfits, weight decay pulls at the scale, or τ began low"
        if self.guesses:
            cause = "the loss is that of guessing, so the pairs are uninformative or shuffled"
        elif self._beside_best() == "above":
            cause = "weight decay pulls at the scale, its learning rate is too large, or only training pairs are noisy"
        if self.last < self.first:
            return f"τ rose{lately}, after a fall, to {self._at(self.last)}: {cause}"
        return f"τ {self._went()}{lately}: {cause}"

    def _moves_on(self) -> bool:
        """Return whether τ keeps its pace while the loss falls, so that it is not at rest, however slow it is."""
        if len(self.taus) < FOR_STALLED or self.spread < MOVES or not self._loss_falls():
            return False
        before = change(self.log, until=0.75)
        counts = abs(self.change) > max(3 * noise(self.log), self.spread / 10, MOVES / 5)
        return counts and self.change * before >= KEEPS * before * before

    def _loss_falls(self) -> bool:
        loss = self.loss
        return loss is not None and -change(loss) > max(3 * noise(loss), STILL * fall(loss))

    def _stalled(self) -> str | None:
        loss, hardly = self.loss, self.spread < MOVES
        hardly = hardly and loss is not None and fall(loss) > max(3 * noise(loss), 0.02)
        if not hardly and not self._loss_falls():
            return None
        moved = f"has hardly moved from {self.start:.3g}" if hardly else f"{self._went()} and rests"
        causes = "its learning rate is too small, weight decay holds it, or it is not given to the optimizer"
        return f"τ {moved} while the loss falls: {causes}"

    def _beside_best(self) -> str:
        """Return where τ is beside the best for held-out rows: above, below or close; "" where it is not known."""
        if self.optimal is None or math.isnan(self.optimal) or not self.of_unit_rows:
            return ""
        return _place(self.end, self.optimal)

    def _went(self) -> str:
        if abs(math.log(self.last / self.first)) < MOVES:
            return f"stayed at {self._at(self.last)}"
        verb = "fell" if self.last < self.first else "rose"
        return f"{verb} from {self.first:.3g} to {self._at(self.last)}"

    @staticmethod
    def _at(tau: float) -> str:
        return f"{tau:.3g} (1/τ = {1 / tau:.3g})"


_VERDICTS: dict[str, Verdict] = {
    "_diverging": "diverging",
    "_at_clamp": "at its clamp",
    "_fixed": "fixed",
    "_too_short": "too short",
    "_falling": "still falling",
    "_rising": "rising",
    "_stalled": "stalled",
}


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
    return f"; the best τ for held-out rows is {optimal:.3g}: {verdicts[_place(tau, optimal)]}"


def _place(tau: float, optimal: float) -> str:
    if tau > CLOSE * optimal:
        return "above"
    return "below" if tau < optimal / CLOSE else "close"

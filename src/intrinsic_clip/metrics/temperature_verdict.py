"""Tell from the course of a temperature whether it rests, moves on, diverges or is held."""

import math
from typing import Literal

import torch
from torch import Tensor

from intrinsic_clip.metrics.course_statistics import blocks, change, edge, fall, jump, noise
from intrinsic_clip.metrics.temperatures import HIGHEST

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


class Course:
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
        self.jump = jump(self.log, least=MOVES)

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
        if said := not_finite(self.log, self.loss):
            return "diverging", f"diverging: {said}"
        if self._fixed():
            return "fixed", f"fixed: τ = {self.end:.3g} in all steps, as it is set"
        return "fixed", f"fixed: τ {self._went()}, set by a schedule and not learned"

    def _diverging(self) -> str | None:
        if said := not_finite(self.log, self.loss):
            return said
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
        if bool((late == late[0]).all()) and self.spread > MOVES and not self._is_coarse():
            return (
                f"τ moved and then stayed at exactly {self._at(self.last)}: a clamp, or a zero learning rate"
            )
        return None

    def _is_coarse(self) -> bool:
        """Return whether τ, its logarithm or its inverse is in half precision, in which rounding can hold it still."""
        return any(
            torch.allclose(values.to(dtype).to(values), values, rtol=EXACTLY / 10, atol=0)
            for values in (self.taus, self.log, 1 / self.taus)
            for dtype in (torch.bfloat16, torch.float16)
        )

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
        if self.jump < 0:
            return self._jumped()
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
        if self.jump > 0:
            return self._jumped()
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

    def _jumped(self) -> str:
        return (
            f"τ jumped by a factor of {math.exp(self.jump):.2g} in the last quarter, to {self._at(self.last)}, too "
            "late to show whether it rests; look at the data and the learning rate of those steps, or train longer"
        )

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
        return place_beside(self.end, self.optimal)

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


def not_finite(log: Tensor, loss: Tensor | None) -> str | None:
    """Return that log τ or the loss is not finite, and what to do; None if both are."""
    lost = None if loss is None or bool(loss.isfinite().all()) else "the loss is no longer finite"
    if not bool(log.isfinite().all()):
        lost = "τ is no longer a positive, finite number"
    return lost and f"{lost}; lower the learning rate, warm up, clamp τ, or learn its logarithm"


def place_beside(tau: float, optimal: float) -> str:
    """Return where τ is beside the best one: above, below or close."""
    if tau > CLOSE * optimal:
        return "above"
    return "below" if tau < optimal / CLOSE else "close"

"""The course of a temperature is told in one line; courses come from small trainings whose seeds set no limit."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import diagnose_temperature, infonce_bound, optimal_temperature
from intrinsic_clip.metrics.course_statistics import jump

SCRIPT = Path(__file__).parents[2] / "docs" / "draw_temperatures.py"
_spec = importlib.util.spec_from_file_location("draw_temperatures", SCRIPT)
drawing = sys.modules["draw_temperatures"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(drawing)
STEPS = torch.linspace(0, 1, 400)
STEPS_OF_1000 = torch.linspace(0, 1, 1000, dtype=torch.float64)
NOISE = torch.randn(400, generator=torch.Generator().manual_seed(0))
WOBBLE = (1e-3 * NOISE).exp()  # that of an optimizer
RESTING = (0.03 + 0.04 * (-20 * STEPS).exp()) * WOBBLE
FALLING_LOSS = 4 - 2 * STEPS + 0.05 * NOISE
RESTING_LOSS = 4 - 2 * (1 - (-10 * STEPS).exp()) + 0.05 * NOISE


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case for case in drawing.CASES if case.expected in ("settled", "still falling", "stalled", "rising")],
    ids=lambda case: case.expected,
)
def test_trainings_are_told_apart(case) -> None:
    diagnosis = drawing.diagnosis(case, seed=301)
    assert diagnosis.verdict == case.expected
    assert "\n" not in diagnosis.text
    assert diagnosis.text.startswith(case.expected)


@pytest.mark.parametrize(
    ("tau", "losses", "verdict"),
    [
        (0.07 * (-STEPS).exp(), FALLING_LOSS, "still falling"),
        (0.01 + 0.06 * (-20 * STEPS).exp(), RESTING_LOSS, "at its clamp"),
        ((0.07 * (-5 * STEPS).exp()).clamp(min=0.02), RESTING_LOSS, "at its clamp"),  # a clamp of its own
        (0.07 + 0 * STEPS, FALLING_LOSS, "fixed"),
        (0.07 + 0.0001 * STEPS, FALLING_LOSS, "stalled"),
        (RESTING, FALLING_LOSS, "stalled"),
        ((-0.1 * STEPS).exp(), FALLING_LOSS, "still falling"),  # slow and steady is no rest
        ((-0.1 * STEPS).exp() * WOBBLE, FALLING_LOSS, "still falling"),
        ((0.04 * STEPS).exp(), FALLING_LOSS, "rising"),
        ((-0.1 * STEPS[:150]).exp(), 4 - 4 * STEPS[:150], "too short"),
        ((-0.1 * STEPS).exp(), RESTING_LOSS, "settled"),
        (1 - 0.09 * (1 - (-6 * STEPS).exp()), FALLING_LOSS, "stalled"),  # it comes to rest
        (RESTING, RESTING_LOSS, "settled"),
        (RESTING, None, "settled"),
        (0.07 * (0.5 * STEPS).exp(), RESTING_LOSS, "rising"),
        (0.07 * (0.5 * (1 - (-20 * STEPS).exp())).exp() * WOBBLE, RESTING_LOSS, "rising"),
        (0.07 * (5 * STEPS).exp(), RESTING_LOSS, "diverging"),
        (0.07 * (torch.sin(60 * STEPS)).exp(), RESTING_LOSS, "diverging"),
        (0.07 - 0.1 * STEPS, RESTING_LOSS, "diverging"),
        (0.07 * (-STEPS).exp(), 2 + 3 * STEPS, "diverging"),
        (0.07 * (-STEPS).exp(), RESTING_LOSS * math.nan, "diverging"),
        (STEPS[:10] + 1, None, "too short"),
        (STEPS[:10] + 1, RESTING_LOSS[:10] * math.nan, "diverging"),  # few steps are enough for that
        ((STEPS[:10] + 1).where(STEPS[:10] == 0, math.nan), None, "diverging"),
        (0.07 * (0.5 * STEPS[:50]).exp(), None, "too short"),
        (0.07 * (2 * STEPS[:50]).exp(), FALLING_LOSS[:50] - 20 * STEPS[:50], "too short"),
        (0.07 * (-2 * STEPS[:99]).exp(), None, "too short"),
        (0.07 * (-2 * STEPS[:100]).exp(), None, "still falling"),
        (0.07 + 0.0001 * STEPS[:150], 4 - 4 * STEPS[:150], "too short"),  # it is not yet stalled
        (0.07 + 0.0001 * STEPS[:200], 4 - 4 * STEPS[:200], "stalled"),
        (0.07 + 0 * STEPS[:30], None, "fixed"),
        (0.07 * STEPS[:30].where(STEPS[:30] < 0.05, math.nan) + 0.07, None, "diverging"),
        (14 * (0.5 * STEPS).exp(), RESTING_LOSS, "implausible"),  # a scale
        (2.66 + STEPS, RESTING_LOSS, "implausible"),  # its logarithm
        (-2.66 - STEPS, RESTING_LOSS, "implausible"),  # log τ
        (STEPS * math.nan, RESTING_LOSS, "implausible"),
        (14 + STEPS[:3], None, "implausible"),
    ],
)
def test_courses(tau, losses, verdict) -> None:
    diagnosis = diagnose_temperature(tau, losses)
    assert diagnosis.verdict == verdict, diagnosis.text
    assert diagnose_temperature(tau.tolist()).verdict  # plain numbers too


@pytest.mark.parametrize("place", [0.76, 0.9, 0.98])
@pytest.mark.parametrize("factor", [0.3, 0.9, 1.1, 1.5])
def test_a_sudden_late_jump_is_no_rest(place: float, factor: float) -> None:
    """The jump is itself most of the noise that a change is compared with."""
    jumped = RESTING.where(place > STEPS, factor * RESTING)
    diagnosis = diagnose_temperature(jumped, RESTING_LOSS)
    assert diagnosis.verdict == ("still falling" if factor < 1 else "rising")
    assert f"τ jumped by a factor of {factor:.1f}"[:-1] in diagnosis.text
    spike = RESTING.clone()
    spike[int(place * 400)] *= factor
    assert diagnose_temperature(spike, RESTING_LOSS).verdict == "settled"  # it comes back at once


@pytest.mark.parametrize("lasting", [0.0, 0.9, 0.99])
def test_noise_that_lasts_has_no_jumps(lasting: float) -> None:
    steps = 0.02 * torch.randn(100, 400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.zeros_like(steps)
    for place in range(1, 400):
        values[:, place] = lasting * values[:, place - 1] + steps[:, place]
    assert not any(jump(row, least=0.03) for row in values)


def test_a_scale_that_is_taken_for_a_temperature_is_told_as_such() -> None:
    scale, logarithm = diagnose_temperature(14 + STEPS).text, diagnose_temperature(2.66 + STEPS).text
    assert scale.startswith("implausible: tau = 14 looks like a logit scale: pass τ = 1 / scale (0.071)")
    assert "if it is log(1 / τ), τ = exp(−2.66) = 0.07" in logarithm
    assert "not positive; if it is log τ, give its exponential" in diagnose_temperature(STEPS - 3).text
    assert diagnose_temperature(5 - STEPS, trusted=True).verdict == "still falling"


def test_a_slow_course_says_by_how_much_it_moves() -> None:
    text = diagnose_temperature((-0.1 * STEPS).exp(), FALLING_LOSS).text
    assert text.startswith(
        "still falling: τ fell from 1 to 0.905 (1/τ = 1.11), by 2 % in the last quarter; train longer"
    )
    text = diagnose_temperature((0.04 * STEPS).exp(), FALLING_LOSS).text
    assert text.startswith(
        "rising: τ rose from 1 to 1.04 (1/τ = 0.961), by 1 % in the last quarter: pairs are"
    )


def test_a_short_course_says_how_many_steps_are_missing() -> None:
    assert diagnose_temperature([0.07] * 3).text == "too short: 3 steps give no verdict, 100 are needed"
    assert diagnose_temperature(0.07 * (-2 * STEPS[:50]).exp(), optimal=0.01).text == (
        "too short: 50 steps give no verdict on a trend, 100 are needed; so far τ fell from 0.07 to 0.0548 "
        "(1/τ = 18.3); the best τ for held-out rows is 0.01: the model is under-confident"
    )


def test_the_best_temperature_beside_it() -> None:
    tau = RESTING
    lines = {best: diagnose_temperature(tau, optimal=best).text for best in (0.01, 0.03, 0.1, 0.0, math.inf)}
    assert lines[0.01].endswith("the best τ for held-out rows is 0.01: the model is under-confident")
    assert lines[0.03].endswith("0.03: close to it")
    assert lines[0.1].endswith("0.1: the model is over-confident")
    assert "any lower τ would suit" in lines[0.0]
    assert "no τ suits them" in lines[math.inf]


def test_the_best_temperature_changes_the_advice() -> None:
    falling, rising = 0.07 * (-STEPS).exp(), 0.07 * (0.5 * STEPS).exp()
    assert "train longer" in diagnose_temperature(falling, optimal=0.01).text
    assert "the model overfits: stop earlier" in diagnose_temperature(falling, optimal=0.1).text
    assert "weight decay pulls at the scale, its learning" in diagnose_temperature(rising, optimal=0.01).text
    assert "that of guessing" in diagnose_temperature(rising, 0 * STEPS + math.log(64), batch_size=64).text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("of", [torch.clone, torch.reciprocal], ids=["tau", "scale"])
def test_a_temperature_at_rest_in_half_precision_is_at_no_clamp(dtype, of) -> None:
    """Rounding keeps it at one value; in single precision the same course never stays."""
    taus = 0.03 + 0.04 * (-20 * STEPS).exp()
    assert diagnose_temperature(of(of(taus).to(dtype).float()), RESTING_LOSS).verdict == "settled"
    held = taus.clamp(min=0.031)
    assert diagnose_temperature(held, RESTING_LOSS).verdict == "at its clamp"


def test_a_learning_rate_that_moves_nothing_is_no_clamp() -> None:
    tau = 0.07 + 1e-5 * STEPS.clamp(max=0.8)
    assert diagnose_temperature(tau, RESTING_LOSS).verdict == "stalled"


def test_a_wrong_number_of_losses_is_refused() -> None:
    with pytest.raises(ValueError, match="as many as temperatures, got 3 losses and 400 temperatures"):
        diagnose_temperature(STEPS + 1, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("limit", [0.01, 0.07])
def test_a_temperature_that_is_not_learned_is_at_no_clamp(limit: float) -> None:
    fixed = diagnose_temperature([limit] * 200, learned=False)
    assert fixed.text == f"fixed: τ = {limit} in all steps, as it is set"
    lost = diagnose_temperature([limit] * 200, [math.nan] * 200, learned=False)
    assert lost.text.startswith("diverging: the loss is no longer finite")
    scheduled = diagnose_temperature((limit ** (2 * STEPS).clamp(max=1)), FALLING_LOSS, learned=False)
    assert scheduled.verdict == "fixed"
    assert scheduled.text.endswith("set by a schedule and not learned")


@pytest.mark.parametrize("clamps", [0.01, None, "0.01", [None]])
def test_clamps_that_are_no_numbers_are_refused(clamps: Any) -> None:
    with pytest.raises(ValueError, match=r"clamps must be numbers, such as \(0\.01,\), got"):
        diagnose_temperature([0.07, 0.06], clamps=clamps)


def test_the_best_temperature_has_the_largest_bound() -> None:
    x = normalize(gaussian(300, 6), dim=-1)
    y = normalize(x + 0.4 * gaussian(300, 6, seed=1), dim=-1)
    best = float(optimal_temperature(x, y))
    bounds = [float(infonce_bound(x, y, tau).mean) for tau in (0.9 * best, best, 1.1 * best)]
    assert max(bounds) == bounds[1]


def test_replicates_batches_and_ends() -> None:
    x = normalize(gaussian(256, 6), dim=-1)
    y = normalize(x + 0.4 * gaussian(256, 6, seed=1), dim=-1)
    both = optimal_temperature(torch.stack([x, y]), torch.stack([y, y]))
    assert both.shape == (2,)
    assert both[0] == optimal_temperature(x, y)
    assert both[1] == 0  # each is its own nearest
    assert optimal_temperature(x, -x).isinf()
    odd = torch.stack([x, x])
    odd[1, 7, 0] = math.nan
    assert optimal_temperature(odd, torch.stack([y, y])).isnan().tolist() == [False, True]
    in_batches = float(optimal_temperature(x, y, batch_size=32))
    assert in_batches == pytest.approx(float(both[0]), rel=0.2)
    assert in_batches != both[0]
    with pytest.raises(ValueError, match="at least two pairs"):
        optimal_temperature(x[:1], y[:1])


def test_a_fall_after_a_rise_is_told_as_such() -> None:
    course = [0.07 * (1 + 0.3 * math.sin(math.pi * step / 99 * 0.93)) for step in range(100)]
    text = diagnose_temperature(course).text
    assert text.startswith("still falling: τ fell by ")
    assert "after a rise, to 0.0746" in text


def test_a_rest_at_the_end_of_a_schedule_is_said_to_be_one() -> None:
    plain, annealed = (diagnose_temperature(RESTING, annealed=ends) for ends in (False, True))
    assert plain.verdict == annealed.verdict == "settled"
    assert annealed.text == plain.text + " as the learning rate ends near 0; a longer schedule may move it on"


def test_a_loss_of_inner_products_may_have_any_temperature() -> None:
    rising = 1.5 * (0.8 * STEPS).exp() * WOBBLE
    of_cosines = diagnose_temperature(rising, RESTING_LOSS, optimal=0.05)
    assert of_cosines.verdict == "diverging"
    as_given = diagnose_temperature(rising, RESTING_LOSS, optimal=0.05, optimal_as_given=3.4)
    assert as_given.verdict == "rising"
    assert "confident" not in as_given.text
    assert as_given.text.endswith(
        "the best τ for held-out rows is 0.05 if the loss brings them to length 1, and 3.4 if it takes them as they "
        "were given"
    )
    unknown = diagnose_temperature(rising, RESTING_LOSS, optimal=0.05, optimal_as_given=math.inf)
    assert unknown.text.endswith("is 0.05 if the loss brings them to length 1")


def drifting(lasts: float, courses: int = 200, steps: int = 1000) -> Tensor:
    """Draw courses of deviation 1 that stay where they are, with noise that lasts for so many steps."""
    fresh = torch.randn(steps, courses, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = math.exp(-1 / lasts)
    values = [fresh[0]]
    for each in fresh[1:]:
        values.append(kept * values[-1] + math.sqrt(1 - kept**2) * each)
    return torch.stack(values, 1)


@pytest.mark.parametrize("lasts", [1.0, 20.0, 50.0])
@pytest.mark.parametrize("deviation", [0.02, 0.03])
def test_noise_that_lasts_for_many_steps_is_no_trend(lasts, deviation) -> None:
    verdicts = [diagnose_temperature(0.07 * (deviation * each).exp()).verdict for each in drifting(lasts)]
    assert sum(verdict in ("still falling", "rising") for verdict in verdicts) < 10
    falling = [
        diagnose_temperature(0.07 * (deviation * each - 2 * deviation * 20 * STEPS_OF_1000).exp()).verdict
        for each in drifting(lasts, 20)
    ]
    assert falling.count("still falling") > 15


@pytest.mark.parametrize("rate", [1.0, 2.0, 4.0, 5.0])
def test_a_fall_that_levels_off_is_still_one(rate) -> None:
    tau = 0.02 * (3 * (-rate * STEPS_OF_1000).exp()).exp()
    assert diagnose_temperature(tau).verdict == "still falling"


@pytest.mark.parametrize("n", [400, 2000])
def test_a_noisy_fall_is_no_swing(n: int) -> None:
    """The noise of many steps adds up to more than the fall."""
    time, noise = torch.arange(n) / n, gaussian(n, 1, seed=3)[:, 0]
    assert diagnose_temperature(0.1 * torch.exp(0.05 * noise - 2.4 * time)).verdict == "still falling"


@pytest.mark.parametrize("phase", [0.0, 0.7, 1.4, 2.1, 2.8])
@pytest.mark.parametrize("pace", [30.0, 40.0, 60.0])
def test_slow_swings_are_no_rest(pace: float, phase: float) -> None:
    """A course of one or two periods in the last quarter may end far from where the quarter began."""
    time = torch.arange(400) / 400
    diagnosis = diagnose_temperature(0.1 * torch.exp(0.4 * torch.sin(pace * time + phase)))
    assert diagnosis.verdict == "diverging"
    assert "swings by a factor of" in diagnosis.text

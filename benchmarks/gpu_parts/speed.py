"""Time a training step of 50 × 15 replicates, beside the plain loop and beside what the device can do."""

import gc
import statistics
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.steps import TO_COMPILE, Steps, embeddings, ways
from gpu_parts.timing import BytesMoved, copy_rate, product_rate, synchronise
from intrinsic_clip.dimension import mle
from training_speed import plain_loop

DIMS = [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 44]
PRECISIONS = {"highest": "float32", "high": "TF32"}
PAPER_STEPS = 800 * 39
TF32_SECONDS = 15.0  # of two short trainings, in which the processor asks for each kernel


def run(settings: Settings, record: Record, ends: float) -> None:
    """Time the ways to take a step, with and without TF32, and show what TF32 does to the dimension."""
    rates = _rates(settings)
    record.add("device", **{name: f"{rate / 1e12:.2f} T/s" for name, rate in rates.items()})
    one = Steps(_overrides(settings, 1, [19]), settings.device)
    plain = plain_loop(one.data, 2, device=settings.device)
    record.add("plain loop of one replicate", milliseconds=plain)
    replicates = settings.size(50, 2), len(_dims(settings))
    many = Steps(_overrides(settings, replicates[0], _dims(settings)), settings.device)
    for precision, name in PRECISIONS.items():
        for way in ways(settings):
            title = "{} × {} replicates, {}, {}".format(*replicates, way, name)
            latest = ends - _least(way)
            record.attempt_in_time(latest, title, _many, settings, many, way, precision, plain, rates)
    for way in ways(settings):
        latest = ends - _least(way)
        record.attempt_in_time(latest, f"one replicate, {way}", _one, settings, one, way, plain)
    del many, one
    title = "intrinsic dimension after training"
    record.attempt_in_time(ends - TF32_SECONDS, title, _effect_of_tf32, settings)


def _least(way: str) -> float:
    """Return the seconds that a way to take steps must have before it is timed."""
    return TO_COMPILE if "compiled" in way else 5.0


def _rates(settings: Settings) -> dict[str, float]:
    n, size = settings.size(8192, 256), settings.size(2**31, 2**20)
    products = {
        f"{name} product": product_rate(settings.device, n, precision)
        for precision, name in PRECISIONS.items()
    }
    return {"copy": copy_rate(settings.device, size), **products}


def _dims(settings: Settings) -> list[int]:
    return [1, 4] if settings.smoke else DIMS


def _overrides(settings: Settings, repetitions: int, dims: list[int]) -> list[str]:
    small = ["data.n_train=1024", "data.n_append=64", "data.n_test=100"] if settings.smoke else []
    return ["experiment=synthetic_linear", f"replicates={repetitions}", f"encoder.output_dim={dims}", *small]


def _one(settings: Settings, steps: Steps, way: str, plain: float) -> dict[str, Any]:
    with _released(settings):
        steps.choose(way)
        milliseconds = 1e3 * steps.seconds(settings.device, settings.size(100, 3))
    return {"milliseconds": milliseconds, "times_plain_loop": plain / milliseconds}


def _many(
    settings: Settings, steps: Steps, way: str, precision: str, plain: float, rates: dict[str, float]
) -> dict[str, Any]:
    with _released(settings):
        torch.set_float32_matmul_precision(precision)
        steps.choose(way)
        work = _work(steps) if way == "plain" else None
        seconds = steps.seconds(settings.device, settings.size(15, 2))
    replicates = len(steps.module.replicates)
    result = {
        "milliseconds": 1e3 * seconds,
        "times_plain_loop": replicates * plain / (1e3 * seconds),
        "minutes_of_1500_trainings": 1500 / replicates * seconds * PAPER_STEPS / 60,
    }
    if work is not None:
        flops, moved = work
        result["share_of_arithmetic"] = flops / seconds / rates[f"{PRECISIONS[precision]} product"]
        result["share_of_bandwidth"] = moved / seconds / rates["copy"]
        result["gigabytes_if_nothing_is_fused"] = moved / 1e9
        result["teraflop"] = flops / 1e12
    return result


def _work(steps: Steps) -> tuple[float, float]:
    """Return the floating-point operations of a step, and the bytes that its operations read and write."""
    with FlopCounterMode(display=False) as counter:
        steps.take()
    with BytesMoved() as moved:
        steps.take()
    return float(counter.get_total_flops()), float(moved.total)


class _released:
    """Gives back memory and precision when a measurement ends, however it ends.

    Args:
        settings: with the device.
    """

    def __init__(self, settings: Settings) -> None:
        self.device = settings.device

    def __enter__(self) -> None:
        self.precision = torch.get_float32_matmul_precision()

    def __exit__(self, *error: Any) -> None:
        torch.set_float32_matmul_precision(self.precision)
        gc.collect()
        if self.device == "cuda":
            synchronise(self.device)
            torch.cuda.empty_cache()


def _effect_of_tf32(settings: Settings) -> dict[str, Any]:
    """Train at the same seed with float32 and TF32 products, and return the dimension of f both ways."""
    dims, repetitions, epochs = settings.size(19, 4), settings.size(8, 2), settings.size(60, 1)
    numbers: dict[str, Any] = {"epochs": epochs, "replicates": repetitions}
    for precision, name in PRECISIONS.items():
        with _released(settings):
            torch.set_float32_matmul_precision(precision)
            steps = Steps(_overrides(settings, repetitions, [dims]), settings.device)
            for _ in range(epochs * len(steps.batches)):
                losses = steps.take()
            torch.set_float32_matmul_precision("highest")
            estimates = mle(embeddings(steps, "test").x, k=20).value.flatten().tolist()
        numbers[f"mle, {name}"] = statistics.mean(estimates)
        numbers[f"sd over replicates, {name}"] = statistics.pstdev(estimates)
        numbers[f"loss, {name}"] = float(losses.mean())
    return numbers

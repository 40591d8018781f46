"""Time the estimators of dimension on 20,000 points."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.timing import milliseconds, peak_memory, synchronise
from intrinsic_clip.dimension import (
    correlation_integral,
    gride,
    local_pca,
    mada,
    method_of_moments,
    mle,
    nearest_neighbours,
    tle,
    twonn,
)  # fmt: skip

DIMS = (50, 64, 1024)
PUBLISHED = {
    50: 13,
    1024: 28,
}  # milliseconds of torchid's MLE, by its own account, of 20,000 points of d columns
K = 20
SLOW = 0.5  # seconds, from which an estimate is timed once
REPLICATES = (750, 2000, 44)


def run(settings: Settings, record: Record, ends: float) -> None:
    """Time the search alone, each estimator with its search, and many replicates together."""
    many = settings.size(REPLICATES[0], 3), settings.size(REPLICATES[1], 100), settings.size(REPLICATES[2], 6)
    record.attempt("mle of {} × {} × {}".format(*many), _of_replicates, settings, many)
    for d in DIMS[: settings.size(3, 1)]:
        points = _points(settings.size(20_000, 300), settings.size(d, 8), settings.device)
        for name, estimate in _estimators(points).items():
            published_of = d if name == "mle" else None
            record.attempt_in_time(ends - 4, f"{name}, {d} columns", _timed, settings, estimate, published_of)


def _points(n: int, d: int, device: str) -> Tensor:
    """Return points of 5 dimensions in d columns."""
    generator = torch.Generator(device).manual_seed(0)
    latent, map_ = (torch.randn(*shape, generator=generator, device=device) for shape in ((n, 5), (5, d)))
    return torch.tanh(latent @ map_)


def _estimators(points: Tensor) -> dict[str, Callable[[], Any]]:
    return {
        "search": lambda: nearest_neighbours(points, K),
        "mle": lambda: mle(points, k=K),
        "twonn": lambda: twonn(points),
        "gride": lambda: gride(points),
        "tle": lambda: tle(points, k=K),
        "mada": lambda: mada(points, k=K),
        "method_of_moments": lambda: method_of_moments(points),
        "correlation_integral": lambda: correlation_integral(points[:10_000]),
        "local_pca": lambda: local_pca(points[:10_000]),  # 10,000 decompositions, by far the slowest
    }


def _timed(settings: Settings, estimate: Callable[[], Any], published_of: int | None) -> dict[str, Any]:
    started = time.monotonic()
    memory = peak_memory(estimate, settings.device)
    synchronise(settings.device)
    repeat = 1 if time.monotonic() - started > SLOW else settings.size(5, 1)
    numbers: dict[str, Any] = {"milliseconds": milliseconds(estimate, settings.device, repeat, repeat > 1)}
    if memory is not None:
        numbers["peak_gib"] = memory
    if published_of in PUBLISHED:
        numbers["torchid_published_milliseconds"] = PUBLISHED[published_of]
    value = getattr(estimate(), "value", None)
    return numbers if value is None else numbers | {"value": float(value)}


def _of_replicates(settings: Settings, sizes: tuple[int, int, int]) -> dict[str, Any]:
    generator = torch.Generator(settings.device).manual_seed(0)
    points = torch.randn(*sizes, generator=generator, device=settings.device)
    return {"milliseconds": milliseconds(lambda: mle(points, k=K), settings.device, 2, 1)}

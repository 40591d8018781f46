"""All numbers about embeddings, as one plain dictionary."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import (
    DimensionEstimate,
    Neighbours,
    components,
    effective_rank,
    gride_scales,
    mle,
    nearest_neighbours,
    participation_ratio,
    registry,
    sample_size_curve,
    spectrum,
)
from intrinsic_clip.dimension.scale import ScaleCurve
from intrinsic_clip.measure.advice import advise
from intrinsic_clip.measure.pairs import measure_pairs
from intrinsic_clip.runs.vocabulary import estimator_title

SHARES = (0.9, 0.95, 0.99)  # of the variance
Stage = tuple[str, Callable[[], object]]  # what to say while it runs, and what to run


def measure_embeddings(
    x: Tensor,
    y: Tensor | None = None,
    z: Tensor | None = None,
    *,
    estimators: Sequence[str] = registry.DEFAULT,
    k: int = 20,
    max_points: int = 10_000,
    seed: int = 0,
    watch: Callable[[Sequence[Stage]], Iterable[Stage]] = iter,
) -> dict[str, Any]:
    """Measure embeddings `(n, d)`: intrinsic dimension, spectrum and, of pairs, how well they match.

    Args:
        x: finite rows, float32 or float64.
        y: their partners, of any width.
        z: the true latent of each pair, where it is known; its dimension is estimated too.
        estimators: names of `intrinsic_clip.dimension`, or of classes of `skdim.id`.
        k: neighbours of mle, mada and tle.
        max_points: what is too dear for all rows gets so many, the same ones of x, y and z.
        seed: of their choice, and of which pairs are held out.
        watch: wraps the sequence of stages, to show progress.

    Returns:
        Plain numbers, lists and strings, None for what does not exist:
        `n`, `dims`; `metrics`, a number by name (`id/mle/x`, `id_standard_error/mle/x`, `retrieval/top_1/x_to_y`, …);
        `estimates`, a row for each estimator and side; `curves`; `advice`; `notes`; `seconds` of each stage.
    """
    sides = {name: rows for name, rows in (("x", x), ("y", y), ("z", z)) if rows is not None}
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    found: dict[str, Any] = {
        "n": len(x),
        "dims": {name: rows.shape[1] for name, rows in sides.items()},
        "metrics": {},
        "estimates": [],
        "curves": {},
        "notes": [],
        "seconds": {},
    }
    stages = [
        stage
        for name, rows in sides.items()
        for stage in _of_one(found, name, rows, order[:max_points], estimators, k, seed)
    ]
    if y is not None:
        stages += measure_pairs(found, x, y, order, max_points, seed)
    for name, work in watch(stages):
        started = time.perf_counter()
        found["notes"] += _run(name.partition(":")[0], work)
        found["seconds"][name] = time.perf_counter() - started
    found["notes"] = list(dict.fromkeys(found["notes"]))
    found["advice"] = advise(found)
    return found


def _run(side: str, work: Callable[[], object]) -> list[str]:
    """What the stage warned of, such as duplicates."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    return [f"{side}: {warning.message}" for warning in caught if issubclass(warning.category, UserWarning)]


def _of_one(
    found: dict[str, Any],
    side: str,
    rows: Tensor,
    chosen: Tensor,
    estimators: Sequence[str],
    k: int,
    seed: int,
) -> list[Stage]:
    """The stages of one modality, which share one search for neighbours among all rows, and one in the sample."""
    sample = rows if len(chosen) == len(rows) else rows[chosen]
    widest = max(registry.WIDE, k)
    of_sample = cache(lambda: _search(sample, widest))
    of_all = of_sample if sample is rows else cache(lambda: _search(rows, k))

    def neighbours(name: str) -> Neighbours:
        return of_all() if registry.runs_on_all_rows(name) else of_sample()

    def estimate(name: str) -> None:
        near = neighbours(name)
        try:
            estimated = registry.prepare(name, k, near.k)(near)
        except ValueError as error:  # fewer neighbours than the estimator can do with
            none = torch.tensor(math.nan)
            estimated = DimensionEstimate(none, none, None, near.n, near.k, str(error))
        _record(found, f"id/{name}", side, estimated)

    def linear() -> None:
        _record(found, "spectrum/participation_ratio", side, participation_ratio(rows))
        _record(found, "spectrum/effective_rank", side, effective_rank(rows))
        for share in SHARES:
            _record(found, f"spectrum/components_{100 * share:g}pct", side, components(rows, variance=share))
        values = spectrum(rows)
        found["curves"][f"spectrum/{side}"] = {"variance_share": numbers(values / values.sum())}

    def scales() -> None:
        found["curves"][f"scale/{side}"] = _curve(gride_scales(of_sample()))
        sizes = sample_size_curve(sample, mle, k=k, min_size=max(100, 2 * k), seed=seed)
        found["curves"][f"sample_size/{side}"] = _curve(sizes)

    searches: list[Stage] = [(f"{side}: neighbours", of_all)]
    if of_sample is not of_all:
        searches.append((f"{side}: neighbours in the sample", of_sample))
    return [
        *(searches if any(map(registry.runs_on_all_rows, estimators)) else searches[-1:]),
        *((f"{side}: {estimator_title(name)}", partial(estimate, name)) for name in estimators),
        (f"{side}: spectrum", linear),
        (f"{side}: scales", scales),
    ]


def _search(rows: Tensor, k: int) -> Neighbours:
    """The k nearest neighbours, or as many as there are where duplicates leave fewer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near = nearest_neighbours(rows, min(k, len(rows) - 1))
    if near.reason is None and bool(near.valid.all()):
        return near
    distinct = len(torch.unique(rows, dim=0))
    return nearest_neighbours(rows, max(2, min(k, distinct - 1)))  # again, to warn of the duplicates too


def _record(found: dict[str, Any], name: str, side: str, estimate: DimensionEstimate) -> None:
    kind, _, rest = name.partition("/")
    value, error = number(estimate.value), number(estimate.standard_error)
    found["metrics"] |= {f"{name}/{side}": value, f"{kind}_standard_error/{rest}/{side}": error}
    row = {"name": name, "side": side, "value": value, "standard_error": error}
    found["estimates"].append(row | {"n": estimate.n, "k": estimate.k, "reason": estimate.reason})


def _curve(curve: ScaleCurve) -> dict[str, Any]:
    plateau = curve.plateau()
    found: dict[str, Any] = {
        "at": list(curve.at),
        "value": numbers(curve.value),
        "standard_error": numbers(curve.standard_error),
        "radius": None if curve.radius is None else numbers(curve.radius),
        "n": curve.n,
    }
    start, stop = int(plateau.start), int(plateau.stop)
    level = (
        {"value": number(plateau.value), "from": curve.at[start], "to": curve.at[stop - 1]} if stop else None
    )
    return found | {"plateau": level}


def number(value: Tensor | float) -> float | None:
    """A plain number, None if it is none."""
    plain = float(value)
    return plain if math.isfinite(plain) else None


def numbers(values: Tensor) -> list[float | None]:
    """The same of a vector."""
    return [number(value) for value in values.double().tolist()]

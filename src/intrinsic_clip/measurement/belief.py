"""Say which dimension to believe where estimators disagree: one number with an interval, and why the others differ."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import Neighbours, ScaleCurve, mle
from intrinsic_clip.dimension.block_bootstrap import (
    LEVEL,
    RESAMPLES,
    block_means,
    percentiles,
)
from intrinsic_clip.dimension.doubts import REACH, reach
from intrinsic_clip.dimension.scale import LEAST_SCALES
from intrinsic_clip.measurement.assumptions import assumed, steep
from intrinsic_clip.measurement.record import Record, number
from intrinsic_clip.runs.vocabulary import estimator_title

AGREE = 1.25  # largest estimate over the smallest, up to which they agree
CURVED = 1.5  # linear over local numbers, from which on rows do not lie near a flat subspace
CHANGE = 1.15  # of the curve against scale or sample size, that is worth a sentence
LINEAR = {"participation_ratio": "participation ratio", "effective_rank": "effective rank"}


@dataclass(frozen=True)
class Evidence:
    """Neighbours, positions and a doubt, from which the belief about a side follows.

    Attributes:
        neighbours: for the curve against scale.
        near: for MLE.
        positions: returns the places of the points of `neighbours` and of `near`, `(n, d)` each.
        doubt: why distances between neighbours are not those of a smooth cloud; None if they are.
        k: neighbours of MLE.
        seed: of the bootstrap.
    """

    neighbours: Neighbours
    near: Neighbours
    positions: Callable[[Neighbours], Tensor]
    doubt: str | None
    k: int
    seed: int


@dataclass(frozen=True)
class Choice:
    """An estimate that can be believed.

    Attributes:
        estimator: its title.
        at: the scale, in words.
        value: None if there is none.
        drawn: values of draws of regions, `(resamples,)`; empty where there are too few rows.
        regions: how many were drawn from.
        k: the farthest neighbour used.
    """

    estimator: str
    at: str
    value: float | None
    drawn: Tensor
    regions: int
    k: int


def believe(record: Record, side: str, evidence: Evidence) -> None:
    """Record which dimension of a side to believe, as `record.believed[side]`.

    It holds `headline` (None where no number can be believed; else `estimator`, `value`, `low`, `high`, `level`,
    `lower_bound`, `method` and `distorted`, in a few words why the value is another than it claims, or None), `doubt`
    (why distances do not show a dimension, else None), `agree`, the sentences
    `reasons`, and all of it as one paragraph, `text`.
    """
    local, linear = _estimates(record, side)
    curve = record.curves.get(f"scale/{side}")
    headline = None
    if local and evidence.doubt is None:
        with warnings.catch_warnings():  # the stages have told of them
            warnings.simplefilter("ignore")
            headline = _headline(curve, evidence)
    values = [*local.values(), *linear.values()]
    agree = len(values) > 1 and min(values) > 0 and max(values) / min(values) <= AGREE
    reasons = [_agreement(max(values) / min(values) - 1)] if agree else _reasons(local, linear, record, side)
    if evidence.doubt is not None:
        reasons.append(f"distances between neighbours do not show a dimension: {evidence.doubt}")
    elif headline is not None:
        holds = assumed(headline, evidence.neighbours, curve)
        reasons.append(holds.sentence)
        headline["distorted"] = holds.distorted
    text = ". ".join(
        sentence[0].upper() + sentence[1:] for sentence in [*reasons, _named(headline, evidence)]
    )
    record.believed[side] = {
        "headline": headline,
        "doubt": evidence.doubt,
        "agree": agree,
        "reasons": reasons,
        "text": f"{text}.",
    }


def _agreement(spread: float) -> str:
    """Return how far estimates that agree lie above the smallest, in percent rounded up."""
    if not spread:
        return "all estimates are equal"
    percent = max(1, math.ceil(100 * spread - 1e-9))  # rounding to 0 would say that they are equal
    return f"all estimates lie within {percent} % of the smallest"


def _estimates(record: Record, side: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return the values by title of the estimators from neighbours, and of linear numbers."""
    local, linear = {}, {}
    for row in record.estimates:
        kind, _, name = row["name"].partition("/")
        if row["side"] != side or row["value"] is None:
            continue
        if kind == "id":
            local[estimator_title(name)] = row["value"]
        elif name in LINEAR:
            linear[LINEAR[name]] = row["value"]
    return local, linear


def _headline(curve: Mapping[str, Any] | None, evidence: Evidence) -> dict[str, Any] | None:
    """Return GRIDE where its curve is level, else MLE, with an interval over regions of rows.

    Each draw does what is done with the whole: it takes the level part of its own curve, and MLE where there is none.
    Which of them that is can be the larger share of the uncertainty, where noise makes the curve slope.
    """
    places = evidence.positions(evidence.near)
    by_mle = _by_mle(evidence, places)
    chosen, searched = by_mle, _searched(evidence.near)
    if curve is not None and len(curve["at"]) >= LEAST_SCALES:
        if evidence.neighbours is not evidence.near:
            places = evidence.positions(evidence.neighbours)
        chosen = _by_gride(curve, evidence, places, by_mle)
        if chosen.estimator == "GRIDE":
            searched = _searched(evidence.neighbours)
    interval = percentiles(chosen.drawn, chosen.regions)
    if chosen.value is None or not (interval.low > 0 and math.isfinite(interval.high)):
        return None
    reached = reach(chosen.value, searched, chosen.k)
    return {
        "estimator": chosen.estimator,
        "value": chosen.value,
        "low": interval.low,
        "high": interval.high,
        "level": LEVEL,
        "lower_bound": reached > REACH,
        "reach": reached,
        "rows": searched,
        "at": chosen.at,
        "method": (
            f"{RESAMPLES:,} draws of {interval.regions} regions of nearby rows, since neighbourhoods overlap"
        ),
    }


def _by_mle(evidence: Evidence, places: Tensor) -> Choice:
    """Return the value of MLE, and those of draws of regions, as inverses of means like the value itself."""
    k = min(evidence.k, evidence.near.k)
    estimate = mle(evidence.near, k)
    assert estimate.pointwise is not None
    inverse, regions = block_means(1 / estimate.pointwise[:, None], places, seed=evidence.seed)
    return Choice(
        "MLE", f"the scale of {k} neighbours", number(estimate.value), 1 / inverse[:, 0], regions, k
    )


def _by_gride(curve: Mapping[str, Any], evidence: Evidence, places: Tensor, by_mle: Choice) -> Choice:
    """Return the value of the plateau, or MLE where there is none, with draws that choose likewise.

    In m dimensions log(R_2n1 / R_n1) has the mean (1/n1 + … + 1/(2 n1 − 1)) / m, so that in each draw the value at a
    scale changes as the inverse of that mean. Where both estimates are of the same rows their draws are of the same
    regions; else they are independent, which leaves the share of each estimator as it is.
    """
    distances = evidence.neighbours.distances
    scales = [n1 for n1 in curve["at"] if 2 * n1 <= evidence.neighbours.k]
    logs = torch.stack([(distances[..., 2 * n1 - 1] / distances[..., n1 - 1]).log() for n1 in scales], -1)
    drawn, regions = block_means(logs, places, seed=evidence.seed)
    whole = logs[logs.isfinite().all(-1)].double().mean(0).cpu()
    known = [math.nan if value is None else value for value in curve["value"][: len(scales)]]
    values = torch.tensor(known, dtype=torch.float64) * whole / drawn
    curves = ScaleCurve(tuple(scales), values, torch.full_like(drawn, math.nan), None, curve["n"])
    own = curves.plateau_value
    alike = len(own) == len(by_mle.drawn)  # else rows are too few for draws of one of them
    likewise = own.where(own.isfinite(), by_mle.drawn) if alike else own
    level = curve["plateau"]
    if level is None or level["to"] not in scales:
        at = f"{by_mle.at}, since the curve of GRIDE against scale is nowhere level"
        return replace(by_mle, at=at, drawn=likewise if alike else by_mle.drawn)
    at = f"the level part of its curve against scale, n1 = {level['from']} to {level['to']}"
    within = [n1 for n1 in scales if level["from"] <= n1 <= level["to"]]
    return Choice("GRIDE", at, level["value"], likewise, regions, 2 * within[len(within) // 2])


def _reasons(local: Mapping[str, float], linear: Mapping[str, float], record: Record, side: str) -> list[str]:
    """Return why estimates differ: what they measure, and the two curves."""
    sentences = []
    if local:
        sentences.append(f"estimates from neighbours, which follow a curved surface, give {_range(local)}")
    sentences += _of_linear(linear, local)
    pca, distance = local.get("local PCA"), [v for name, v in local.items() if name != "local PCA"]
    if pca is not None and distance and pca > AGREE * max(distance):
        sentences.append(
            "local PCA counts directions in wide neighbourhoods, where curvature and noise add some; the others "
            "compare distances"
        )
    return [*sentences, *_over_scales(record, side)]


def _of_linear(linear: Mapping[str, float], local: Mapping[str, float]) -> list[str]:
    """Return what linear numbers say, beside those from neighbours.

    Of centred rows the effective rank is never below the participation ratio. It is of rows about the origin, as
    published, so that a large mean counts as a direction that outweighs the others.
    """
    participation, effective = (linear.get(name, math.nan) for name in LINEAR.values())
    centred = {"participation ratio": participation} if effective < participation else linear
    if not centred:
        return []
    clause = f"linear ones, which count the directions that the whole cloud fills, give {_range(centred)}"
    middle = sorted(local.values())[len(local) // 2] if local else 0.0
    if not middle > 0:
        return [clause]
    ratio = max(centred.values()) / middle
    if ratio >= CURVED:
        clause += _many(ratio, min(centred.values()), middle, local, both=len(centred) > 1)
    elif min(centred.values()) < middle / AGREE:
        fewer = "fewer" if max(centred.values()) <= middle else "fewer by the participation ratio"
        clause += f": {fewer}, since few directions hold most of the variance"
        if max(centred.values()) > middle:
            clause += ", but not by effective rank, which weighs small variances more"
    else:
        clause += ", much the same: the rows lie near a flat subspace"
    if centred is linear:
        return [clause]
    return [
        clause,
        f"effective rank, {effective:.3g}, is of rows about the origin, so that their mean outweighs these directions",
    ]


def _many(ratio: float, least: float, middle: float, local: Mapping[str, float], both: bool) -> str:
    """Return the clause on linear numbers of which the larger is well above those from neighbours.

    They are called upper bounds only where no estimate from neighbours is above them: neither the participation ratio
    nor the effective rank is a bound by itself.
    """
    clause = f"{ratio:.2g} times as many, as of a curved surface or of noise in many directions"
    if least < middle:
        return (
            f": by effective rank, which weighs small variances more, {clause}; by the participation ratio no more, "
            "since few directions hold most of the variance"
        )
    higher = "effective rank, which weighs small variances more, the higher one"
    if least >= max(local.values()):
        return f": {clause}; they are upper bounds" + f", and {higher}" * both
    return f": {clause}" + f", {higher}" * both


def _over_scales(record: Record, side: str) -> list[str]:
    """Return how the values change with scale and with the number of rows."""
    sentences = []
    curve = record.curves.get(f"scale/{side}", {"value": []})
    ends = [value for value in curve["value"] if value is not None]
    if len(ends) > 1 and ends[0] > CHANGE * ends[-1]:
        sentences.append(
            f"over scales the value falls from {ends[0]:.3g} to {ends[-1]:.3g}: noise of short range fills further "
            "dimensions, or wide neighbourhoods reach the edges"
        )
    elif len(ends) > 1 and ends[-1] > CHANGE * ends[0]:
        sentences.append(
            f"over scales the value rises from {ends[0]:.3g} to {ends[-1]:.3g}: the surface is curved, or rows lie in "
            "clusters of fewer dimensions"
        )
    sizes = record.curves.get(f"sample_size/{side}", {"value": [], "at": []})
    if len(sizes["value"]) > 1 and None not in sizes["value"][:2]:
        most, half = sizes["value"][:2]
        if most > 1.05 * half:
            shown = "more dimensions or more of the noise" if steep(curve) else "more dimensions"
            sentences.append(
                f"with twice the rows MLE rises from {half:.3g} to {most:.3g}: more rows would show {shown}"
            )
    return sentences


def _named(headline: Mapping[str, Any] | None, evidence: Evidence) -> str:
    """Return the sentence that names the number to believe."""
    if headline is None:
        why = "as long as that is so" if evidence.doubt is not None else "since none has an interval"
        return f"no number is to be believed {why}"
    least = "at least " if headline["lower_bound"] else ""
    return (
        f"believe {least}{headline['value']:.3g} ({100 * headline['level']:.0f} % interval {headline['low']:.3g} to "
        f"{headline['high']:.3g}): {headline['estimator']} at {headline['at']}; the interval is of "
        f"{headline['method']}, and shows sampling noise alone"
    )


def _range(values: Mapping[str, float]) -> str:
    """Return the smallest and the largest value with their titles."""
    low, high = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    if low == high:
        return f"{values[low]:.3g} ({low})"
    return f"{values[low]:.3g} ({low}) to {values[high]:.3g} ({high})"


def _searched(neighbours: Neighbours) -> int:
    """Return the number of distinct rows that neighbours were sought among."""
    return int(neighbours.valid.sum()) if neighbours.searched is None else int(neighbours.searched)

"""Advise in one or two sentences how few dimensions are enough, with the evidence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from intrinsic_clip.reports.form_tables import form_name, within_error
from intrinsic_clip.reports.number_format import hold, plus_minus, signed, to_digits_of

BASES = ("principal", "canonical")
RULE = "within one standard error"  # of the paired difference from all dimensions
MAPPED_RULE = "99 % of recall@1 along all canonical directions"  # where cosines match no pair
ALIKE = 2.0  # standard errors of the paired difference, within which numbers of dimensions are not told apart
ONE_SIDED = 1.645  # standard errors below the difference, at 95 % confidence
NEIGHBOURS = 0.9  # share of the ten nearest that should be kept where there are no partners
NO_ESTIMATE = "there is no estimate of the intrinsic dimension"
NONE_TO_BELIEVE = "none to believe"
CEILING = 0.98  # a recall above it leaves little to lose


def advise(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Advise how many dimensions to keep.

    Args:
        measurement: as `measure_embeddings` gathers it.

    Returns:
        `text`, and its numbers: `dims` of `of` dimensions along `basis`; dims is None where no number follows.
    """
    bases = [basis for basis in BASES if f"retrieval/{basis}" in measurement["curves"]]
    if not bases:
        return _from_variance(measurement)
    return _from_retrieval(measurement, bases)


def _from_retrieval(measurement: Mapping[str, Any], bases: list[str]) -> dict[str, Any]:
    """Advise the fewest directions that keep recall@1: principal ones where x and y are equally wide."""
    curve = measurement["curves"][f"retrieval/{bases[0]}"]
    width, n = curve["at"][-1], curve["n"]
    full = plus_minus(curve["full"], curve["full_standard_error"])
    dims = curve["sufficient"]
    advice = {"dims": dims, "of": width, "basis": bases[0], "rule": RULE}
    if curve["full"] - 3 * curve["full_standard_error"] <= curve["chance"]:
        said, mapped = _along_canonical(measurement)
        text = (
            f"the pairs are matched no better than by guessing (recall@1 {full} among {n:,}), so retrieval does "
            f"not show how many dimensions are needed; {said}{_intrinsic(measurement)}"
        )
        return advice | {"text": text, "dims": None} | mapped
    if dims is None:  # canonical ones may all be worse than the whole rows
        text = f"no number of {bases[0]} directions keeps recall@1 {full} within one standard error"
        return advice | {"text": f"{text}; {_intrinsic(measurement)}"}
    parts = [_enough(curve, dims, full, bases[0]), *_told_apart(curve, dims)]
    parts += [f"or {few:,} {basis} ones" for basis, few in _others(measurement, bases[1:]) if few < dims]
    highest = max(curve["value"])
    if highest > curve["full"] + 2 * curve["full_standard_error"]:
        shown = to_digits_of(highest, curve["full_standard_error"])
        parts.append(f"recall is highest, {shown}, with {curve['at'][curve['value'].index(highest)]:,}")
    parts += stored(measurement.get("forms") or {}, dims)
    if curve["full"] > CEILING:
        parts.append(
            "among so few rows nearly every partner is found; among more rows, more dimensions may be needed"
        )
    return advice | {"text": "; ".join([*parts, _intrinsic(measurement)])}


def _enough(curve: Mapping[str, Any], dims: int, full: str, basis: str) -> str:
    """Say how few dimensions are enough by the one-standard-error rule, with the paired difference."""
    width, n = curve["at"][-1], curve["n"]
    few = f"{dims:,} of {width:,}" if dims < width else f"only all {width:,}"
    place = curve["at"].index(dims)
    kept = f"recall@1 {to_digits_of(curve['value'][place], curve['full_standard_error'])} of {full}"
    if curve.get("difference"):
        difference = curve["difference"][place]
        kept += f", paired difference {signed(difference, curve['difference_standard_error'][place])}"
    return f"{few} dimensions keep retrieval {RULE} ({kept}, {n:,} held-out pairs, {basis} directions)"


def _told_apart(curve: Mapping[str, Any], dims: int) -> list[str]:
    """Say which numbers of dimensions the held-out pairs cannot tell from all, and what loss they would miss."""
    width = curve["at"][-1]
    if not curve.get("difference") or dims >= width:
        return []
    rows = list(zip(curve["at"], curve["difference"], curve["difference_standard_error"], strict=True))
    if any(None in row for row in rows):
        return []
    apart = [at for at, difference, error in rows if abs(difference) > ALIKE * error]
    smallest = next(at for at in curve["at"] if all(other < at for other in apart))
    _, difference, error = rows[curve["at"].index(dims)]
    loss = largest_loss(difference, error, curve["n"])
    parts = []
    if difference > ALIKE * error:  # those that are not told apart are others
        parts.append(f"{dims:,} retrieve more than all {width:,} do")
    elif smallest < width:
        parts.append(f"{smallest:,} to {width:,} dimensions are not told apart by so few pairs")
    if loss > 0:
        parts.append(f"a loss of up to {loss:.2g} at {dims:,} would not show (95 % confidence)")
    return [", ".join(parts)] if parts else []


def largest_loss(difference: float, error: float, n: int) -> float:
    """Return the largest loss that a paired difference of recall leaves possible, at 95 % confidence.

    One pair more that is lost and one that is won count with the n (Bonett and Price, *Adjusted Wald confidence
    interval for a difference of binomial proportions based on paired data*, Journal of Educational and Behavioral
    Statistics 37, 2012): where few pairs differ, their own standard error is too small, and 0 where none does. (With
    three pairs lost and one won in expectation, of 800, the loss + 1.645 errors lay above the truth in 91 of 100 draws,
    and this in 97.)

    Args:
        difference, error: of recall from that of all dimensions, and its standard error.
        n: held-out pairs.

    Example:
        >>> from intrinsic_clip.measurement.advice import largest_loss
        >>> round(largest_loss(0.0, 0.0, 800), 4), round(largest_loss(-0.01, 0.01, 5000), 4)
        (0.0029, 0.0264)
    """
    squares = error**2 * n * (n - 1) + n * difference**2 + 2
    mean = n * difference / (n + 2)
    return ONE_SIDED * math.sqrt((squares / (n + 2) - mean**2) / (n + 2)) - mean


def _others(measurement: Mapping[str, Any], bases: Sequence[str]) -> list[tuple[str, int]]:
    sufficient = ((basis, measurement["curves"][f"retrieval/{basis}"]["sufficient"]) for basis in bases)
    return [(basis, few) for basis, few in sufficient if few is not None]


def stored(forms: Mapping[str, Any], dims: int) -> list[str]:
    """Say whether a plain prefix is enough, if there are any, and which form of stored rows takes the fewest bytes.

    Args:
        forms: of the measurement; empty where they were not compared.
        dims: number of principal dimensions that is advised.
    """
    if not forms or forms["cheapest"] is None:
        return []
    by, cheapest = forms["decided_by"], forms["cheapest"]
    prefixes = sorted((row for row in forms["rows"] if row["form"] == "prefix"), key=lambda row: row["dims"])
    enough = [row for row in prefixes if within_error(row[by])]
    at_dims = next((row for row in prefixes if row["dims"] == dims), None)
    prefix = (
        f"a plain prefix (truncate_dim) needs {enough[0]['dims']:,}"
        if enough
        else "no plain prefix is enough"
    )
    if at_dims is not None and (not enough or enough[0]["dims"] > dims):
        prefix += f" (recall@1 {at_dims[by]['value']:.3g} with {dims:,})"
    return [
        *([prefix] if prefixes else []),
        f"the cheapest form {RULE} is {form_name(cheapest)}, {cheapest['bytes']:,} bytes per row of "
        f"{forms['full']['bytes']:,} (difference "
        f"{signed(cheapest[by]['difference'], cheapest[by]['difference_error'])}, {forms['n']:,} held-out pairs)",
    ]


def _along_canonical(measurement: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Describe what a linear map of each modality would retrieve beyond cosines, and advise that; empty if little."""
    curve = measurement["curves"]["retrieval/canonical"]
    full = curve["value"][-1]
    if full <= 10 * curve["chance"]:
        return "", {}
    enough = next(m for m, recall in zip(curve["at"], curve["value"], strict=True) if recall >= 0.99 * full)
    text = (
        f"along canonical directions, which take a linear map of each modality, recall@1 is {full:.3g}, "
        f"and {enough:,} of {curve['at'][-1]:,} {'keeps' if enough == 1 else 'keep'} 99 % of it; "
    )
    return text, {"dims": enough, "basis": "canonical", "rule": MAPPED_RULE}


def _from_variance(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Advise from the variance of x alone, where there are no pairs."""
    d, needed = measurement["dims"]["x"], measurement["metrics"]["spectrum/components_99pct/x"]
    dims = None if needed is None else int(needed)
    variance = (
        ""
        if dims is None
        else f"{dims:,} of {d:,} principal components {hold(dims)} 99 % of the variance of x; "
    )
    intrinsic = _intrinsic(measurement)
    headline = (measurement.get("believed") or {}).get("x", {}).get("headline") or {}
    is_sound = intrinsic != NO_ESTIMATE and NONE_TO_BELIEVE not in intrinsic
    if is_sound and not headline.get("distorted"):
        intrinsic += ", the fewest coordinates that a nonlinear map could keep"
    text = (
        f"{variance}{intrinsic}. "
        f"{_neighbours_kept(measurement)}"
        "How few are enough for retrieval can be measured on pairs only (y=…)"
    )
    return {"text": text, "dims": dims, "of": d, "basis": "variance"}


def _neighbours_kept(measurement: Mapping[str, Any]) -> str:
    """Name the form of the fewest bytes that keeps nine of ten neighbours; empty where forms were not compared."""
    forms = measurement.get("forms") or {}
    kept = [row for row in forms.get("rows", ()) if row.get("overlap_10", {}).get("value", 0) >= NEIGHBOURS]
    if not kept:
        return ""
    fewest = min(kept, key=lambda row: (row["bytes"], -row["overlap_10"]["value"]))
    overlap = plus_minus(fewest["overlap_10"]["value"], fewest["overlap_10"]["standard_error"])
    return (
        f"Of the ten nearest neighbours nine are kept with the fewest bytes by {form_name(fewest)}: {overlap} with "
        f"{fewest['bytes']:,} bytes per row of {forms['full']['bytes']:,}. "
    )


def _intrinsic(measurement: Mapping[str, Any]) -> str:
    """Describe the intrinsic dimensions to believe, and of sides that have none the first estimator's.

    A side whose distances show no dimension has no number: that of an estimator would look like one to believe.
    """
    estimates = [
        row for row in measurement["estimates"] if row["name"].startswith("id/") and row["side"] in "xy"
    ]
    believed = measurement.get("believed") or {}
    clauses = {}
    sides = sorted({row["side"] for row in estimates})
    for side in sides:
        belief = believed.get(side, {})
        headline = belief.get("headline")
        if headline:
            least = "at least " if headline["lower_bound"] else ""
            distorted = f"; {headline['distorted']}" if headline.get("distorted") else ""
            clauses[side] = (
                f"{least}{headline['value']:.3g} ({headline['low']:.3g} to {headline['high']:.3g}{distorted})"
            )
        elif belief.get("doubt") and not belief["agree"]:  # a column of even steps is one dimension by all
            clauses[side] = NONE_TO_BELIEVE
    rest = set(sides) - set(clauses)
    for name in dict.fromkeys(row["name"] for row in estimates):
        rows = [row for row in estimates if row["name"] == name and row["side"] in rest]
        if rest and all(row["value"] is not None for row in rows):
            clauses |= {row["side"]: plus_minus(row["value"], row["standard_error"]) for row in rows}
            break
    if not clauses:
        return NO_ESTIMATE
    return "intrinsic dimension " + ", ".join(f"{side} {clauses.get(side, 'no estimate')}" for side in sides)

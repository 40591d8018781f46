"""Advise in one or two sentences how few dimensions are enough, with the evidence."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.measurement_tables import plus_minus

BASES = ("principal", "canonical")
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
    """Advise the fewest directions that keep 99 % of recall@1: principal ones where x and y are equally wide."""
    curve = measurement["curves"][f"retrieval/{bases[0]}"]
    width, n = curve["at"][-1], curve["n"]
    full = plus_minus(curve["full"], curve["full_standard_error"])
    advice = {"dims": curve["sufficient"], "of": width, "basis": bases[0]}
    if curve["full"] - 3 * curve["full_standard_error"] <= curve["chance"]:
        text = (
            f"the pairs are matched no better than by guessing (recall@1 {full} among {n:,}), so retrieval does "
            f"not show how many dimensions are needed; {_along_canonical(measurement)}{_intrinsic(measurement)}"
        )
        return advice | {"text": text, "dims": None}
    dims = curve["sufficient"]
    kept = curve["value"][curve["at"].index(dims)]
    few = f"{dims:,} of {width:,}" if dims < width else f"only all {width:,}"
    text = (
        f"{few} dimensions keep 99 % of retrieval (recall@1 {kept:.3g} of {full}, {n:,} held-out pairs, "
        f"{bases[0]} directions)"
    )
    for basis in bases[1:]:
        sufficient = measurement["curves"][f"retrieval/{basis}"]["sufficient"]
        if sufficient is not None and sufficient < dims:
            text += f", or {sufficient:,} {basis} ones"
    highest = max(curve["value"])
    if highest > curve["full"] + 2 * curve["full_standard_error"]:
        text += f"; recall is highest, {highest:.3g}, with {curve['at'][curve['value'].index(highest)]:,}"
    if curve["full"] > CEILING:
        text += "; among so few rows nearly every partner is found; among more rows, more dimensions may be needed"
    return advice | {"text": f"{text}; {_intrinsic(measurement)}"}


def _along_canonical(measurement: Mapping[str, Any]) -> str:
    """Describe what a linear map of each modality would retrieve beyond cosines; empty if little."""
    curve = measurement["curves"]["retrieval/canonical"]
    full = curve["value"][-1]
    if full <= 10 * curve["chance"]:
        return ""
    enough = next(m for m, recall in zip(curve["at"], curve["value"], strict=True) if recall >= 0.99 * full)
    return (
        f"along canonical directions, which take a linear map of each modality, recall@1 is {full:.3g}, "
        f"and {enough:,} of {curve['at'][-1]:,} keep 99 % of it; "
    )


def _from_variance(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Advise from the variance of x alone, where there are no pairs."""
    d, needed = measurement["dims"]["x"], measurement["metrics"]["spectrum/components_99pct/x"]
    dims = None if needed is None else int(needed)
    variance = (
        "" if dims is None else f"{dims:,} of {d:,} principal components hold 99 % of the variance of x; "
    )
    text = (
        f"{variance}{_intrinsic(measurement)}, the fewest coordinates that a nonlinear map could keep. "
        "How few are enough for retrieval can be measured on pairs only (y=…)"
    )
    return {"text": text, "dims": dims, "of": d, "basis": "variance"}


def _intrinsic(measurement: Mapping[str, Any]) -> str:
    """Describe the intrinsic dimensions by the first estimator that has one of every side."""
    names = list(
        dict.fromkeys(row["name"] for row in measurement["estimates"] if row["name"].startswith("id/"))
    )
    for name in names:
        rows = {
            row["side"]: row
            for row in measurement["estimates"]
            if row["name"] == name and row["side"] in "xy"
        }
        if all(row["value"] is not None for row in rows.values()):
            dimensions = ", ".join(
                f"{side} {plus_minus(row['value'], row['standard_error'])}" for side, row in rows.items()
            )
            return f"intrinsic dimension {dimensions}"
    return "there is no estimate of the intrinsic dimension"

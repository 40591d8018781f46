"""How few dimensions would do, in one or two sentences, with the evidence."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.measurement_tables import plus_minus

BASES = ("principal", "canonical")
CEILING = 0.98  # a recall above it leaves little to lose


def advise(found: Mapping[str, Any]) -> dict[str, Any]:
    """`text`, and the numbers in it: `dims` of `of`, `basis`; dims is None where there is nothing to advise."""
    bases = [basis for basis in BASES if f"retrieval/{basis}" in found["curves"]]
    if not bases:
        return _from_variance(found)
    return _from_retrieval(found, bases)


def _from_retrieval(found: Mapping[str, Any], bases: list[str]) -> dict[str, Any]:
    """The fewest directions whose recall@1 is 99 % of that of the whole; principal ones, if the widths are equal."""
    curve = found["curves"][f"retrieval/{bases[0]}"]
    of, n, full = curve["at"][-1], curve["n"], plus_minus(curve["full"], curve["full_standard_error"])
    found_by = {"dims": curve["sufficient"], "of": of, "basis": bases[0]}
    if curve["full"] - 3 * curve["full_standard_error"] <= 1 / n:
        text = (
            f"the pairs are matched no better than by guessing (recall@1 {full} among {n:,}), so retrieval does "
            f"not tell how many dimensions are needed; {_along_canonical(found)}{_intrinsic(found)}"
        )
        return found_by | {"text": text, "dims": None}
    dims = curve["sufficient"]
    kept = curve["value"][curve["at"].index(dims)]
    few = f"{dims:,} of {of:,}" if dims < of else f"only all {of:,}"
    text = (
        f"{few} dimensions keep 99 % of retrieval (recall@1 {kept:.3g} of {full}, {n:,} held-out pairs, "
        f"{bases[0]} directions)"
    )
    others = [found["curves"][f"retrieval/{basis}"] for basis in bases[1:]]
    for basis, other in zip(bases[1:], others, strict=True):
        if other["sufficient"] is not None and other["sufficient"] < dims:
            text += f", or {other['sufficient']:,} {basis} ones"
    most = max(curve["value"])
    if most > curve["full"] + 2 * curve["full_standard_error"]:
        text += f"; recall is highest, {most:.3g}, with {curve['at'][curve['value'].index(most)]:,}"
    if curve["full"] > CEILING:
        text += "; among so few nearly every partner is found, so among more it may take more dimensions"
    return found_by | {"text": f"{text}; {_intrinsic(found)}"}


def _along_canonical(found: Mapping[str, Any]) -> str:
    """What a linear map of each modality would find that cosines do not."""
    curve = found["curves"]["retrieval/canonical"]
    whole = curve["value"][-1]
    if whole <= 10 / curve["n"]:
        return ""
    enough = next(m for m, recall in zip(curve["at"], curve["value"], strict=True) if recall >= 0.99 * whole)
    return (
        f"along canonical directions, which take a linear map of each modality, recall@1 is {whole:.3g}, "
        f"and {enough:,} of {curve['at'][-1]:,} keep 99 % of it; "
    )


def _from_variance(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without pairs, or where nothing was retrieved: what is known of x alone."""
    d, held = found["dims"]["x"], found["metrics"]["spectrum/components_99pct/x"]
    dims = None if held is None else int(held)
    variance = (
        "" if dims is None else f"{dims:,} of {d:,} principal components hold 99 % of the variance of x; "
    )
    text = (
        f"{variance}{_intrinsic(found)}, which is how few coordinates a nonlinear map could do with. "
        "How few are enough for retrieval takes pairs to tell (y=…)"
    )
    return {"text": text, "dims": dims, "of": d, "basis": "variance"}


def _intrinsic(found: Mapping[str, Any]) -> str:
    """The intrinsic dimensions by the first estimator that has them."""
    names = list(dict.fromkeys(row["name"] for row in found["estimates"] if row["name"].startswith("id/")))
    for name in names:
        rows = {row["side"]: row for row in found["estimates"] if row["name"] == name and row["side"] in "xy"}
        if all(row["value"] is not None for row in rows.values()):
            told = ", ".join(
                f"{side} {plus_minus(row['value'], row['standard_error'])}" for side, row in rows.items()
            )
            return f"intrinsic dimension {told}"
    return "there is no estimate of the intrinsic dimension"

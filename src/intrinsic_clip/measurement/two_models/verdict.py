"""Say in one sentence which of two models retrieves better, and how much of the first is left in the second."""

from collections.abc import Mapping, Sequence
from typing import Any

from intrinsic_clip.measurement.doubts import above_guessing
from intrinsic_clip.reports.measurement_tables import plus_minus

SURE = 2.0  # standard errors from which on a difference is not chance
ALIKE = 0.98  # recall from which on little is left to tell


def verdict(compared: Mapping[str, Any]) -> str:
    """Return the verdict.

    Args:
        compared: `metrics` and `recalls` of two models, and `own_y`, as `judged_by` takes it.
    """
    judged = judged_by(compared["recalls"], compared.get("own_y", False))
    retrieval = "without y nothing says which of the two is better"
    if judged is not None:
        retrieval = _retrieval(judged) + _otherwise(judged, compared["recalls"])
    return "; ".join(part for part in (retrieval, _agreement(compared["metrics"])) if part)


def judged_by(recalls: Sequence[Mapping[str, Any]], own_y: bool = False) -> Mapping[str, Any] | None:
    """Return the recall@1 that decides: by cosine, unless a model finds partners so only by guessing.

    Rows of a second model and a y that was not made for it lie in different spaces, and only a linear map shows how
    well they match. With a y of its own that is no excuse, unless the first model guesses too.

    Args:
        recalls: of both models, by cosine and along canonical directions.
        own_y: the second model has a y of its own.
    """
    cosine, canonical = _at_1(recalls)
    if cosine is None or canonical is None:
        return cosine or canonical
    excused = _guessing(cosine) == 2 or (_guessing(cosine) == 1 and not own_y)
    return canonical if excused and not _guessing(canonical) else cosine


def _at_1(recalls: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return recall@1 by cosine and along canonical directions."""
    by = {each["by"]: each for each in recalls if each["k"] == 1}
    return by.get("cosine"), by.get("canonical")


def _guessing(recall: Mapping[str, Any]) -> int:
    """Return how many of the two models find partners no better than by guessing."""
    least = above_guessing(recall["chance"], recall["n"])
    return sum(recall[model] <= least for model in ("first", "second"))


def _otherwise(judged: Mapping[str, Any], recalls: Sequence[Mapping[str, Any]]) -> str:
    """Return what the other recall@1 says, where one of the models finds partners by cosine only by guessing."""
    cosine, canonical = _at_1(recalls)
    if cosine is None or canonical is None or not _guessing(cosine) or _guessing(canonical):
        return ""
    other = canonical if judged["by"] == "cosine" else cosine
    how = "by cosine" if other["by"] == "cosine" else "after a linear map, along canonical directions"
    return f"; {how} {other['second']:.3g} against {other['first']:.3g}"


def _retrieval(recall: Mapping[str, Any]) -> str:
    first, second, error = recall["first"], recall["second"], recall["standard_error"]
    difference = recall["difference"]
    how = "by cosine" if recall["by"] == "cosine" else "along canonical directions"
    numbers = f"recall@1 {how} {second:.3g} against {first:.3g} of x"
    pairs = f"paired over {recall['n']:,} {'pairs' if recall['by'] == 'cosine' else 'held-out pairs'}"
    if error != error:
        return f"{numbers}, which cannot be compared"
    sign = "+" if difference > 0 else ""
    gain = f"{sign}{plus_minus(100 * difference, 100 * error)} points, {pairs}"
    close = ", where nearly every partner is found among so few rows" if min(first, second) > ALIKE else ""
    if difference == 0 and error == 0:
        return f"against retrieves exactly as x does: recall@1 {how} {first:.3g}, {pairs}{close}"
    if abs(difference) <= SURE * error:
        return f"the two cannot be told apart by retrieval: {numbers} ({gain}){close}"
    return f"against retrieves {'better' if difference > 0 else 'worse'} than x: {numbers} ({gain})"


def _agreement(metrics: Mapping[str, float | None]) -> str:
    """Return what the two have in common, in words."""
    overlap, chance = metrics.get("overlap/top_10"), metrics.get("overlap_chance/top_10")
    parts = []
    if overlap is not None and chance is not None:
        parts.append(
            f"{100 * overlap:.4g} % of the 10 nearest neighbours are kept ({100 * chance:.2g} % by chance)"
        )
    if metrics.get("linear_cka") is not None:
        parts.append(f"CKA {metrics['linear_cka']:.3g}")
    if metrics.get("shared_dimension") is not None:
        parts.append(f"{metrics['shared_dimension']:,.0f} dimensions shared")
    return ", ".join(parts)

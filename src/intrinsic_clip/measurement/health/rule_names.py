"""Names that rules may use: every number of a measurement, and short ones for both modalities at once."""

from functools import cache

from intrinsic_clip.dimension.percentages import components_name
from intrinsic_clip.runs.vocabulary import DIRECTIONS, ESTIMATORS, SIDES, describe

AGAINST = "against/"  # numbers of a second model, and of its comparison with the first
# short name → the number's name, once for each side or way
SHORT = {
    "effective_rank": "spectrum/effective_rank/<side>",
    "participation_ratio": "spectrum/participation_ratio/<side>",
    "duplicates": "duplicates/<side>",
    "duplicate_rows": "duplicate_rows/<side>",
    "nonfinite_rows": "nonfinite_rows/<side>",
    "zero_rows": "zero_rows/<side>",
    "norm": "norm/<side>",
    "norm_spread": "norm_spread/<side>",
    "modality_gap": "modality_gap",
    "alignment": "alignment/cosine",
    "recall": "retrieval/top_1/<way>",
    "recall@1": "retrieval/top_1/<way>",
    "recall@5": "retrieval/top_5/<way>",
    "recall@10": "retrieval/top_10/<way>",
    "rows": "rows",
    "dims": "dims/<side>",
}
PARTS = {"<side>": tuple(SIDES), "<way>": tuple(DIRECTIONS)}
COMPARED = {  # numbers of the comparison of two models
    "overlap/top_10": "share of the 10 nearest neighbours that both models agree on",
    "linear_cka": "debiased linear CKA of the two models",
    "procrustes": "share of the variance that no rotation of the second model onto the first explains",
    "shared_dimension": "canonical correlations of the two models above those of permuted rows",
    **{
        f"{kind}_difference/top_{k}": f"recall@{k} of the second model less that of the first, {words}"
        for kind, words in (("retrieval", "by cosine"), ("canonical", "along canonical directions"))
        for k in (1, 10)
    },
}


def numbers_of(name: str, paired: bool = True) -> list[str]:
    """Return the names of the numbers that a rule is about; empty where there are no such.

    Args:
        name: of a rule.
        paired: whether there is a y; without one a short name stands for x alone.

    Example:
        >>> from intrinsic_clip.measurement.health.rule_names import numbers_of
        >>> numbers_of("recall@10"), numbers_of("effective_rank", paired=False), numbers_of("recal")
        (['retrieval/top_10/x_to_y', 'retrieval/top_10/y_to_x'], ['spectrum/effective_rank/x'], [])
    """
    if name.startswith(AGAINST):
        own = name.removeprefix(AGAINST)
        if own in COMPARED:
            return [name]
        return [] if own.startswith(AGAINST) else [f"{AGAINST}{each}" for each in numbers_of(own, paired)]
    stem, _, last = name.rpartition("/")
    if name in SHORT:
        return _expanded(SHORT[name], paired)
    for placeholder, parts in PARTS.items():
        if last in parts and placeholder in SHORT.get(stem, ""):
            return [SHORT[stem].replace(placeholder, last)]
    return [name] if _is_declared(name) else []


def _expanded(template: str, paired: bool) -> list[str]:
    for placeholder, parts in PARTS.items():
        if placeholder in template:
            taken = parts if paired or placeholder == "<way>" else parts[:1]
            return [template.replace(placeholder, part) for part in taken]
    return [template]


def _is_declared(name: str) -> bool:
    """Return whether the vocabulary has the name, and the estimator, if it names one of the package."""
    kind, _, parts = name.partition("/")
    if kind in ("id", "id_standard_error"):
        estimator = parts.rpartition("/")[0]
        if estimator == estimator.lower() and estimator not in ESTIMATORS:
            return False
    return describe(name).declared


def share_of_rows(name: str) -> bool:
    """Return whether a rule is about the share of rows that repeat others."""
    return name.removeprefix(AGAINST).partition("/")[0] == "duplicates"


@cache
def known_names() -> list[str]:
    """Return names to suggest: the short ones, the usual numbers of measurements, and those of two models."""
    usual = ["alignment/cosine", "retrieval/candidates", *(f"uniformity/{side}" for side in SIDES)]
    usual += [f"id/{name}/{side}" for name in ESTIMATORS for side in SIDES]
    usual += [
        f"spectrum/{name}/{side}" for name in ("effective_rank", "participation_ratio") for side in SIDES
    ]
    usual += [f"spectrum/{components_name(share)}/{side}" for share in (0.9, 0.95, 0.99) for side in SIDES]
    usual += [f"retrieval/top_{k}/{way}" for k in (1, 5, 10) for way in DIRECTIONS]
    usual += [f"sufficient_dimension/{basis}" for basis in ("principal", "canonical")]
    return [*SHORT, *usual, *(f"{AGAINST}{name}" for name in COMPARED)]

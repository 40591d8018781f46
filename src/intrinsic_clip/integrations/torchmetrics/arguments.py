"""Refuse arguments that `intrinsic_clip.measure` or other metrics take, and name the right ones."""

from collections.abc import Collection, Iterable

SEVERAL = 'EmbeddingNumbers(["id/mle", "spectrum"]) gives several numbers'
INSTEAD = {
    "max_points": "max_rows=… says how many rows are kept and measured, at most",
    "max_samples": "max_rows=… says how many rows are kept and measured, at most",
    "budget": "max_rows=… bounds the time, as it bounds the rows",
    "gather": "torchmetrics gathers the rows of all processes itself, unless sync_on_compute=False",
    "labels": "a metric takes no labels; intrinsic_clip.measure and intrinsic_clip.Measure do",
    "only": f"it is of one number; {SEVERAL}",
    "name": f'EmbeddingNumber("id/mle/x") takes a name, and {SEVERAL}',
    "names": SEVERAL,
    "estimators": f'IntrinsicDimension("twonn") takes one, and {SEVERAL}',
    "estimator": 'IntrinsicDimension("twonn") takes one; elsewhere the name has it, as in "id/twonn/x"',
    "temperature": "tau=… is the temperature",
    "logit_scale": "tau=… is the temperature, 1 / scale",
    "top_k": "PairMatching(k=…) says how many of the most similar rows count",
    "ks": "PairMatching(k=…) says how many of the most similar rows count; one metric has one k",
    "alphas": "PairMatching(share=…) says which share of the most similar rows counts",
    "shares": 'Spectrum("components_95pct") names the share',
}


def refuse_options(metric: str, options: Iterable[str]) -> None:
    """Check that names are not those of arguments elsewhere; torchmetrics refuses what nobody knows.

    Args:
        metric: the name of the class that was given them.
        options: names that are no arguments of its own.

    Raises:
        ValueError: an argument that this metric does not take; the message names the right one.
    """
    for name in options:
        if name in INSTEAD:
            raise ValueError(f"{metric} has no argument {name}: {INSTEAD[name]}")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Check that an argument is one of a few words.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")

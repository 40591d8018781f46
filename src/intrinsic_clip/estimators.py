"""Which estimators of intrinsic dimension there are to ask for, and what each is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # PyTorch takes seconds to import: what is measured already does not wait for it
    from intrinsic_clip.dimension import DimensionEstimate, Neighbours

WIDE = 100  # neighbours of the estimators that look at neighbourhoods, and of the scale curve


@dataclass(frozen=True)
class Estimator:
    """How an estimator is called.

    Attributes:
        label: its name in tables.
        k: how many neighbours it uses: a number, or which of the user's two.
        on_all: whether it is cheap enough for all rows.
        takes_k: whether the number is an option.
    """

    label: str
    k: int | Literal["k", "wide"]
    on_all: bool = False
    takes_k: bool = True


OURS = {
    "mle": Estimator("MLE", "k", on_all=True),
    "twonn": Estimator("TwoNN", 2, on_all=True, takes_k=False),
    "gride": Estimator("GRIDE", 2, on_all=True, takes_k=False),
    "correlation_integral": Estimator("correlation integral", 20, takes_k=False),
    "method_of_moments": Estimator("method of moments", "wide"),
    "mada": Estimator("MADA", "k"),
    "tle": Estimator("TLE", "k"),
    "local_pca": Estimator("local PCA", "wide"),
}
DEFAULT = tuple(OURS)


def check(names: list[str]) -> None:
    """Raise ValueError for a name that is neither ours nor scikit-dimension's, or is there twice."""
    if len(set(names)) < len(names):
        raise ValueError(f"estimators={names}: must name each once")
    others = [name for name in names if name not in OURS]
    if not others:
        return
    try:
        import skdim
    except ImportError as error:
        raise ValueError(
            f"estimators: {others[0]} is none of {', '.join(OURS)}, and would have to come from scikit-dimension, "
            "which is not installed: pip install scikit-dimension"
        ) from error
    known = [name for name, value in vars(skdim.id).items() if isinstance(value, type)]
    for name in others:
        if name not in known:
            raise ValueError(
                f"estimators: there is no {name}; there is {', '.join(OURS)}, "
                f"and of scikit-dimension {', '.join(known)}"
            )


def label(name: str) -> str:
    """What a table calls it."""
    return OURS[name].label if name in OURS else f"{name} (scikit-dimension)"


def is_on_all(name: str) -> bool:
    """Whether it gets all rows, not a sample."""
    return name in OURS and OURS[name].on_all


def needed(name: str, k: int, wide: int = WIDE) -> int:
    """How many neighbours it wants."""
    wanted = OURS[name].k if name in OURS else 1
    return wanted if isinstance(wanted, int) else {"k": k, "wide": wide}[wanted]


def prepared(
    name: str, k: int, available: int, wide: int = WIDE
) -> Callable[["Neighbours"], "DimensionEstimate"]:
    """The estimator as a function of neighbours, with as many of them as it wants and there are."""
    from intrinsic_clip import dimension

    if name not in OURS:
        return partial(dimension.scikit_dimension, estimator=name)
    options = {"k": min(needed(name, k, wide), available)} if OURS[name].takes_k else {}
    return partial(getattr(dimension, name), **options)

"""Which estimators of intrinsic dimension there are to ask for, and what each is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

if TYPE_CHECKING:  # PyTorch takes seconds to import: what is measured already does not wait for it
    from intrinsic_clip.dimension import DimensionEstimate, Neighbours

WIDE = 100  # neighbours of the estimators that look at neighbourhoods, and of the scale curve


@dataclass(frozen=True)
class Estimator:
    """How an estimator is called.

    Attributes:
        k: how many neighbours it uses: a number, or which of the user's two.
        on_all: whether it is cheap enough for all rows.
        takes_k: whether the number is an option.
    """

    k: int | Literal["k", "wide"]
    on_all: bool = False
    takes_k: bool = True


OURS = {
    "mle": Estimator("k", on_all=True),
    "twonn": Estimator(2, on_all=True, takes_k=False),
    "gride": Estimator(2, on_all=True, takes_k=False),
    "correlation_integral": Estimator(20, takes_k=False),
    "method_of_moments": Estimator("wide"),
    "mada": Estimator("k"),
    "tle": Estimator("k"),
    "local_pca": Estimator("wide"),
}
DEFAULT = tuple(OURS)


def check(names: Sequence[str]) -> Sequence[str]:
    """The names, or ValueError where one is neither ours nor scikit-dimension's, or is there twice."""
    if len(set(names)) < len(names):
        raise ValueError("must name each estimator once")
    others = [name for name in names if name not in OURS]
    if not others:
        return names
    try:
        import skdim
    except ImportError as error:
        raise ValueError(
            f"{others[0]} is none of {', '.join(OURS)}, and would have to come from scikit-dimension, "
            "which is not installed: pip install scikit-dimension"
        ) from error
    known = [name for name, value in vars(skdim.id).items() if isinstance(value, type)]
    for name in others:
        if name not in known:
            raise ValueError(
                f"there is no estimator {name}; there is {', '.join(OURS)}, "
                f"and of scikit-dimension {', '.join(known)}"
            )
    return names


Names = Annotated[Sequence[str], AfterValidator(check)]  # in a config


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

"""Estimators of intrinsic dimension by name: how configs, probes and `measure` ask for them.

To add an estimator, write a module in this folder with a function that carries the decorator `estimator`. The package
imports all its modules, so nothing else needs an edit.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator

from intrinsic_clip.dimension.estimate import DimensionEstimate
from intrinsic_clip.dimension.neighbours import Neighbours
from intrinsic_clip.dimension.scikit_dimension import scikit_dimension

# The order of tables and charts, and the estimators that `measure` runs by default.
DEFAULT = ("mle", "twonn", "gride", "correlation_integral", "method_of_moments", "mada", "tle", "local_pca")
WIDE = 100  # neighbours of the estimators that use wide neighbourhoods, and of the scale curve

Function = TypeVar("Function", bound=Callable[..., DimensionEstimate])


@dataclass(frozen=True)
class _Entry:
    function: Callable[..., DimensionEstimate]
    neighbours: int | Literal["k", "wide"]
    on_all_rows: bool


_entries: dict[str, _Entry] = {}


def estimator(
    *, neighbours: int | Literal["k", "wide"], on_all_rows: bool = False
) -> Callable[[Function], Function]:
    """Register the decorated estimator under its own name, for configs, probes and `measure`.

    The function takes points `(*R, n, d)` or `Neighbours` first and returns a `DimensionEstimate`.

    Args:
        neighbours: how many neighbours it uses of each point: a fixed number, or one of the user's two numbers, which
            it then takes as its option `k`: "k" (20 by default) or "wide" (100 by default).
        on_all_rows: whether it is fast enough for all rows; otherwise `measure` gives it a sample of them.

    Raises:
        ValueError: a name that another function has, or a function without the option `k` that is to get one.

    Example:
        A file `dimension/first_distance.py` that makes `estimators=[first_distance]` work::

            @estimator(neighbours=1, on_all_rows=True)
            def first_distance(points: Rows | Neighbours) -> DimensionEstimate:
                neighbours = as_neighbours(points, 1)
                ...
                return conclude(neighbours, 1, value, standard_error, None, "why there is no value", "first_distance")
    """

    def register(function: Function) -> Function:
        name = function.__name__
        if name in _entries and _entries[name].function.__module__ != function.__module__:
            raise ValueError(f"{_entries[name].function.__module__} has an estimator {name} already")
        if isinstance(neighbours, str) and "k" not in inspect.signature(function).parameters:
            raise ValueError(f'{name} needs an option k to be registered with neighbours="{neighbours}"')
        _entries[name] = _Entry(function, neighbours, on_all_rows)
        return function

    return register


def registered() -> Mapping[str, Callable[..., DimensionEstimate]]:
    """Return the registered estimators by name: the default ones in their order, then the others by name."""
    others = sorted(_entries.keys() - set(DEFAULT))
    names = [name for name in (*DEFAULT, *others) if name in _entries]
    return MappingProxyType({name: _entries[name].function for name in names})


def check_names(names: Sequence[str]) -> Sequence[str]:
    """Check that each name is a registered estimator or a class of `skdim.id`, and occurs once.

    Returns:
        The names.

    Raises:
        ValueError: an unknown name, or a repeated one.
    """
    if len(set(names)) < len(names):
        raise ValueError("must name each estimator once")
    others = [name for name in names if name not in _entries]
    if not others:
        return names
    try:
        import skdim
    except ImportError as error:
        raise ValueError(
            f"there is no estimator {others[0]}; choose from {', '.join(registered())}. More are in scikit-dimension, "
            "which is not installed: pip install scikit-dimension"
        ) from error
    classes = [name for name, value in vars(skdim.id).items() if isinstance(value, type)]
    for name in others:
        if name not in classes:
            raise ValueError(
                f"there is no estimator {name}; choose from {', '.join(registered())}, "
                f"or of scikit-dimension {', '.join(classes)}"
            )
    return names


EstimatorNames = Annotated[Sequence[str], AfterValidator(check_names)]  # the type of an argument in a config


def runs_on_all_rows(name: str) -> bool:
    """Return whether the estimator is fast enough for all rows; otherwise it gets a sample."""
    return name in _entries and _entries[name].on_all_rows


def takes_queries(name: str) -> bool:
    """Return whether the estimator can ask some of the points for their neighbours among all."""
    return name in _entries and "queries" in inspect.signature(_entries[name].function).parameters


def neighbours_needed(name: str, k: int, wide: int = WIDE) -> int:
    """Return the number of neighbours of each point that the estimator uses.

    Args:
        name: of a registered estimator or of a class of `skdim.id`.
        k: the user's number for estimators registered with "k".
        wide: the user's number for estimators registered with "wide".
    """
    if name not in _entries:
        return 1  # scikit-dimension searches its own
    neighbours = _entries[name].neighbours
    return neighbours if isinstance(neighbours, int) else {"k": k, "wide": wide}[neighbours]


def prepare(name: str, k: int, available: int, wide: int = WIDE) -> Callable[[Neighbours], DimensionEstimate]:
    """Return the estimator as a function of neighbours, its options set.

    Args:
        name: of a registered estimator or of a class of `skdim.id`.
        k, wide: as for `neighbours_needed`.
        available: neighbours available of each point; the option `k` is at most this.
    """
    if name not in _entries:
        return partial(scikit_dimension, estimator=name)
    entry = _entries[name]
    if isinstance(entry.neighbours, int):
        return entry.function
    return partial(entry.function, k=min(neighbours_needed(name, k, wide), available))

"""See to it that tables which belong together have their columns in one order."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from intrinsic_clip.dimension.arrays import is_table
from intrinsic_clip.errors import ConfigError

Columns: TypeAlias = dict[str, tuple[Any, ...]]


def columns_of(tables: Mapping[str, Any]) -> Columns:
    """Return the names of the columns of those values that are data frames."""
    return {name: tuple(table.columns) for name, table in tables.items() if is_table(table)}


def with_columns(first: Columns, batch: Mapping[str, Any]) -> Columns:
    """Return the columns of the first tables, with those of a batch that is the first to have some.

    Args:
        first: columns so far, by name.
        batch: values by name, of which data frames have columns.

    Raises:
        ConfigError: the batch has other columns than the first one, or another order.
    """
    now = columns_of(batch)
    for name in first.keys() & now.keys():
        if _reordered(first[name], now[name]):
            raise ConfigError(
                f"batches differ: {name} has the columns of the first batch in another order: give "
                f"{name}[first.columns]"
            )
        # Numbers are what a table without names of its own has.
        if first[name] != now[name] and all(isinstance(each, str) for each in (*first[name], *now[name])):
            missing = next((each for each in first[name] if each not in now[name]), first[name][-1])
            raise ConfigError(
                f"batches differ: {name} has other columns than in the first batch, where {missing!r} is"
            )
    return now | first


def check_sides(x: Any, y: Any) -> None:
    """Check that x and y, which are compared column by column, do not have one set of columns in two orders.

    Raises:
        ConfigError: they do.
    """
    columns = columns_of({"x": x, "y": y})
    if len(columns) == 2 and _reordered(columns["x"], columns["y"]):
        raise ConfigError(
            "x and y have the same columns in another order, and are compared column by column: give y[x.columns]"
        )


def _reordered(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one != other and sorted(map(str, one)) == sorted(map(str, other))

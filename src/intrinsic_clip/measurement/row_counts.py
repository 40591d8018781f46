"""Check that row i of each side can belong together."""

from collections.abc import Mapping

from intrinsic_clip.errors import ConfigError

GROUPS = "where several rows belong to one, groups=FILE says to which"


def check_same_rows(shapes: Mapping[str, tuple[int, int]], otherwise: str = "") -> None:
    """Require the same number of rows of each side.

    Args:
        shapes: rows and columns by side.
        otherwise: advice where one side has at least twice as many rows.

    Raises:
        ConfigError: their numbers of rows differ.

    Example:
        >>> from intrinsic_clip.measurement.row_counts import check_same_rows
        >>> check_same_rows({"x": (600, 8), "y": (599, 8)})
        Traceback (most recent call last):
            ...
        intrinsic_clip.errors.ConfigError: x has 600 rows, y has 599 rows; row i of each must belong together
    """
    counts = {name: shape[0] for name, shape in shapes.items()}
    if len(set(counts.values())) == 1:
        return
    listed = ", ".join(f"{name} has {count:,} rows" for name, count in counts.items())
    turned = [name for name, (n, d) in shapes.items() if {d} == set(counts.values()) - {n}]
    several = max(counts.values()) >= 2 * min(counts.values())
    hint = f"is {turned[0]} transposed?" if turned else otherwise if several else ""
    raise ConfigError("; ".join(filter(None, [listed, "row i of each must belong together", hint])))

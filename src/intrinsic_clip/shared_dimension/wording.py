"""Say the verdict on the shared dimension in one line, with its interval where the draws do not agree."""

from collections.abc import Mapping
from typing import Any

COVERAGE = 0.95  # of the interval: if fewer draws agree, it cannot but hold other numbers too


def verdict_line(estimated: Mapping[str, Any]) -> str:
    """Return the verdict, such as `3, 3 to 4 in 95 % of draws (gap 2.0; the next 1.1; shuffled pairs 1.0)`.

    Args:
        estimated: the numbers of an estimate by name.
    """
    text = str(estimated["text"])
    low, high = estimated["interval"]
    canonical = estimated.get("canonical")
    agreed = canonical is None and (estimated["agreement"] >= COVERAGE or low == high)
    untold = estimated.get("doubt") is not None or estimated.get("bound") is not None
    if estimated["dimension"] == 0 and canonical is not None:
        return f"{text}; CCA finds {canonical}"
    if agreed or untold or estimated["dimension"] == 0:
        return text
    dimension = estimated["dimension"]
    number = f"weight in {estimated['effective']}" if dimension is None else str(dimension)
    before, found, after = text.partition(number)
    of = f"in {100 * COVERAGE:.0f} % of draws" if canonical is None else f"since CCA finds {canonical}"
    return f"{before}{found}, {low} to {high} {of}{after}" if found else text

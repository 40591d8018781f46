"""Claims of the paper beside measured numbers, and whether the two agree."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Claim:
    """A line of RESULTS.md.

    Attributes:
        says: the paper's claim, or a question of ours.
        measured: the numbers, as text.
        agrees: None for a question of ours.
    """

    says: str
    measured: str
    agrees: bool | None = None

    @property
    def verdict(self) -> str:
        """Text of the table's cell on the agreement."""
        return {True: "agrees", False: "**does not agree**", None: "–"}[self.agrees]


def mean_sd(values: "pd.Series[float]", digits: int = 2) -> str:
    """Return `5.49 ± 0.13`; a lone value has no deviation, and no value is an en dash."""
    if not len(values):
        return "–"
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"


def judged(holds: bool | None, *values: "pd.Series[float]") -> bool | None:
    """Return whether a claim holds, and None where any of the values that it rests on could not be measured."""
    return bool(holds) if all(map(len, values)) else None


def near(values: "pd.Series[float]", truth: float) -> bool | None:
    """Return whether the mean of dimensions lies within one of the truth; None if there are no values."""
    return judged(abs(float(values.mean()) - truth) <= 1, values)

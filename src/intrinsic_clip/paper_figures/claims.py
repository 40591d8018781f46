"""What the paper says beside what was measured, and whether the two agree."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Claim:
    """One line of RESULTS.md.

    Attributes:
        says: the paper's claim, or for what goes beyond it the question.
        measured: the numbers.
        agrees: None where there is nothing to agree with.
    """

    says: str
    measured: str
    agrees: bool | None = None

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "agrees", False: "**does not agree**", None: "–"}[self.agrees]


def mean_sd(values: "pd.Series[float]", digits: int = 2) -> str:
    """`5.49 ± 0.13`; a lone value stands alone, and none is an en dash."""
    if not len(values):
        return "–"
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"


def near(values: "pd.Series[float]", truth: float, tolerance: float = 1.0) -> bool:
    """Whether the mean is within the tolerance of the truth: of a dimension, by default one."""
    return bool(len(values)) and abs(float(values.mean()) - truth) <= tolerance

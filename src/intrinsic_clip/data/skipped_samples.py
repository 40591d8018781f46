"""Samples that cannot be used: skipped, counted, reported; too many of them stop the run."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from intrinsic_clip.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
EXAMPLES = 5
JUDGED_FROM = 1000  # samples: of fewer, their share of bad ones says little about all of them
DEVIATIONS = 3  # standard deviations by which a part may exceed the share that all of them may have


@dataclass
class SkippedSamples:
    """What was skipped of one source, and why.

    Attributes:
        source: the setting that names the source, `data.folder=photos`.
        max_bad: the share of samples that may be skipped.
        seen: samples looked at, the skipped ones included.
        reasons: how many were skipped for which reason.
        examples: the first of them, "name (reason)".
    """

    source: str
    max_bad: float = 0.01
    seen: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reasons, self.examples = Counter(self.reasons), [*self.examples]

    def __len__(self) -> int:
        return self.reasons.total()

    def skip(self, name: str, reason: str) -> None:
        """Count a sample that cannot be used; it is to be counted in `seen` as well."""
        self.reasons[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{name} ({reason})")

    def merge(self, other: "SkippedSamples") -> None:
        """Count what another process saw."""
        self.seen += other.seen
        self.reasons.update(other.reasons)
        self.examples += other.examples[: EXAMPLES - len(self.examples)]

    def pop_counts(self) -> "SkippedSamples":
        """What was counted so far, to be sent to the process that adds it up; counts anew from here."""
        taken = SkippedSamples(self.source, self.max_bad, self.seen, self.reasons, self.examples)
        self.seen, self.reasons, self.examples = 0, Counter(), []
        return taken

    def counts(self) -> dict[str, Any]:
        """What was counted so far, as a checkpoint can hold it: the arguments of an equal object."""
        return {"seen": self.seen, "reasons": dict(self.reasons), "examples": [*self.examples]}

    def check(self, so_far: bool = False) -> None:
        """Raise ConfigError, with the first examples, where more than `max_bad` of what was seen is skipped.

        Args:
            so_far: there are more to come, so raise only if chance does not explain that these are worse than allowed.
        """
        allowed = self.max_bad * self.seen
        if so_far:
            allowed += DEVIATIONS * math.sqrt(allowed)
        if len(self) > allowed:
            raise ConfigError(
                f"{self.source}: {len(self):,} of {self.seen:,} samples cannot be used, more than data.max_bad="
                f"{self.max_bad:g} allows; the first: {', '.join(self.examples)}"
            )

    @rank_zero_only
    def report(self) -> None:
        """Say in one line what was skipped, if anything was."""
        if len(self):
            counts = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
            told = f"{len(self):,} of {self.seen:,} samples skipped: {counts}; the first: {self.examples[0]}"
            tqdm.write(f"{self.source}: {told}", file=sys.stderr)  # above a progress bar, if there is one

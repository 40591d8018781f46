"""Count and report samples that cannot be used; too many of them stop the run."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field
from tqdm.auto import tqdm

from intrinsic_clip.data.main_process import is_main_process
from intrinsic_clip.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
EXAMPLES = 5
KINDS = 50  # of members that are told apart
USED, OF_SKIPPED, OTHER = "used", "of skipped samples", "others"  # kinds of members
JUDGED_FROM = 1000  # samples; the share of bad ones among fewer says little about the whole source
DEVIATIONS = 3  # standard deviations by which a part may exceed the share allowed of the whole


@dataclass
class SkippedSamples:
    """Counts of the samples that were skipped in one source, by reason, and of a shard's members.

    Attributes:
        source: the setting that names the source, `data.folder=photos`.
        max_bad: the share of samples that may be skipped.
        seen: samples looked at, the skipped ones included.
        reasons: number of skipped samples per reason.
        examples: the first few skipped samples, "name (reason)".
        members: number of a shard's members that were used, and of the others by kind.
    """

    source: str
    max_bad: float = 0.01
    seen: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    members: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.reasons, self.examples = Counter(self.reasons), [*self.examples]
        self.members = Counter(self.members)

    def __len__(self) -> int:
        return self.reasons.total()

    def skip(self, name: str, reason: str, details: str = "") -> None:
        """Count a sample that cannot be used; the caller counts it in `seen` as well.

        Args:
            name: its name, of any characters.
            reason: what samples are counted under.
            details: what else an example says.
        """
        self.reasons[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(
                f"{_printable(name)} ({_printable(': '.join(filter(None, [reason, details])))})"
            )

    def count_member(self, kind: str, number: int = 1) -> None:
        """Count members of a shard: `USED`, or the kind of those that are not."""
        known = kind in self.members or len(self.members) < KINDS
        self.members[kind if known else OTHER] += number

    def merge(self, other: "SkippedSamples") -> None:
        """Add the counts of another process."""
        self.seen += other.seen
        self.reasons.update(other.reasons)
        for kind, number in other.members.items():
            self.count_member(kind, number)
        self.examples += other.examples[: EXAMPLES - len(self.examples)]

    def pop_counts(self) -> "SkippedSamples":
        """Return the counts so far, for another process to merge, and start again from zero."""
        counts = SkippedSamples(
            self.source, self.max_bad, self.seen, self.reasons, self.examples, self.members
        )
        self.seen, self.reasons, self.examples, self.members = 0, Counter(), [], Counter()
        return counts

    def counts(self) -> dict[str, Any]:
        """Return the counts so far in a form for checkpoints: the arguments of an equal object."""
        return {
            "seen": self.seen,
            "reasons": dict(self.reasons),
            "examples": [*self.examples],
            "members": dict(self.members),
        }

    def check(self, so_far: bool = False) -> None:
        """Raise ConfigError, with the first examples, if more than the share `max_bad` was skipped.

        Args:
            so_far: more samples will follow, so raise only if chance does not explain a larger share.
        """
        allowed = self.max_bad * self.seen
        if so_far:
            allowed += DEVIATIONS * math.sqrt(allowed)
        if len(self) > allowed:
            raise ConfigError(
                f"{self.source}: {len(self):,} of {self.seen:,} samples cannot be used, more than data.max_bad="
                f"{self.max_bad:g} allows; the first: {', '.join(self.examples)}"
            )

    def report(self) -> None:
        """Print one line about the skipped samples, and one about members of shards that are left out, if any are."""
        if not is_main_process():
            return
        if len(self):
            counts = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
            summary = (
                f"{len(self):,} of {self.seen:,} samples skipped: {counts}; the first: {self.examples[0]}"
            )
            tqdm.write(f"{self.source}: {summary}", file=sys.stderr)  # above a progress bar, if there is one
        left_out = {kind: n for kind, n in self.members.items() if kind not in (USED, OF_SKIPPED)}
        if left_out:
            counts = ", ".join(f"{n:,} {kind}" for kind, n in Counter(left_out).most_common())
            summary = f"{sum(left_out.values()):,} of {self.members.total():,} members are not read: {counts}"
            tqdm.write(f"{self.source}: {summary}", file=sys.stderr)


def _printable(text: str) -> str:
    """Return text on one line, with escapes for characters that a terminal could not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

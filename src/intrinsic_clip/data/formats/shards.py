"""Read WebDataset shards: tar files whose samples are members of one name, `000017.jpg`, `000017.txt`, ….

Each member of a shard is counted once in `SkippedSamples.members`: as used, or under the reason for which it is not.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from intrinsic_clip.data.formats.samples import Members, Sample, Unusable, decode
from intrinsic_clip.data.formats.tar_members import (
    DAMAGE,
    DAMAGED,
    LARGEST_MEMBER,
    Member,
    list_members,
    opened_for_contents,
    plain_name,
    problem_of,
    read_content,
)
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.contents import FILE_MANAGERS, expand_pattern

__all__ = ["Members", "Sample", "Unusable", "decode", "expand", "read_members"]

CUT_OFF = "of samples that are cut off"
TOO_LARGE = Unusable(f"member of more than {LARGEST_MEMBER >> 20} MiB")
DANGLING = Unusable("link to what the shard does not hold")
REPEATED = Unusable("repeated name")  # members of several samples, and no telling which belong together


@dataclass(frozen=True)
class NamedSample:
    """The members of one sample by extension, before their contents are read; `mixed` with other samples' members."""

    name: str
    members: dict[str, Member]
    mixed: bool = False

    @property
    def place(self) -> int:
        """Return the place of its first member in the shard."""
        return min(member.info.offset for member in self.members.values())

    @property
    def offsets(self) -> list[int]:
        """Return where the contents of its members begin, in the order in which they are read."""
        contents = [member.content for member in self.members.values()]
        return [] if self.mixed else [info.offset_data for info in contents if info is not None]


def expand(pattern: str, setting: str = "data.shards=") -> list[Path]:
    """Return the shards of a pattern: `{000..127}` counts, `{a,b}` lists, `*` and `?` match existing files.

    Args:
        pattern: of their names.
        setting: what a message puts before it.

    Raises:
        ConfigError: no file matches, or what is counted or listed is missing or no file.
    """
    shards = expand_pattern(pattern)
    missing = [shard for shard in shards if not shard.is_file()]
    if not shards or missing:
        problem = "no file matches"
        if missing:
            state = "no regular files" if missing[0].exists() else "missing"
            problem = f"{len(missing)} of {len(shards)} are {state}, the first {missing[0]}"
        raise ConfigError(
            f"{setting}{pattern}: {problem}; expected .tar files such as shards/{{00000..00127}}.tar"
        )
    return shards


def read_members(shard: Path, skipped: SkippedSamples) -> Iterator[tuple[str, Members]]:
    """Yield the samples of a shard in the order of their first members: name, and content by extension.

    Members of one name belong together wherever they are in the shard. A shard that ends early or is no tar counts as
    one skipped sample; whole samples before its end are used.
    """
    listing = list_members(shard)
    problem = listing.problem
    samples = named_samples(listing.members(), skipped)
    if problem and listing.cut and samples:
        last = max(samples, key=lambda sample: max(member.info.offset for member in sample.members.values()))
        samples.remove(last)  # it may lack members
        skipped.count_member(CUT_OFF, len(last.members))
    left = iter(samples)
    try:
        with opened_for_contents(shard, [offset for sample in samples for offset in sample.offsets]) as file:
            for sample in left:
                yield sample.name, _contents(file, sample)
    except DAMAGE:
        problem = problem or DAMAGED
    except OSError as error:
        problem = problem or problem_of(error)
    if problem:
        skipped.seen += 1
        skipped.skip(shard.name, problem)


def _contents(file: IO[bytes], sample: NamedSample) -> Members:
    """Return the contents of a sample's members."""
    return {
        extension: REPEATED if sample.mixed else _content(file, member)
        for extension, member in sample.members.items()
    }


def _content(file: IO[bytes], member: Member) -> bytes | Unusable:
    if member.content is None:
        return DANGLING
    return TOO_LARGE if member.content.size > LARGEST_MEMBER else read_content(file, member.content)


def named_samples(members: list[Member], skipped: SkippedSamples) -> list[NamedSample]:
    """Return the samples of a shard in the order of their first members; count members that belong to none."""
    named: dict[str, list[tuple[str, Member]]] = {}
    for member in members:
        reason = _reason_to_leave_out(member)
        if reason is not None:
            skipped.count_member(reason)
            continue
        name, extension = _split_name(plain_name(member.info.name))
        named.setdefault(name, []).append((extension, member))
    samples = [sample for name, parts in named.items() for sample in _told_apart(name, parts)]
    return sorted(samples, key=lambda sample: sample.place)


def _reason_to_leave_out(member: Member) -> str | None:
    """Return why a member is no part of a sample, None if it is one."""
    *folders, base = plain_name(member.info.name).split("/")
    if member.info.isdir():
        return "folders"
    if not (member.info.isreg() or member.info.islnk() or member.info.issym()):
        return "pipes and devices"
    if "__MACOSX" in folders or base.startswith("._"):
        return "macOS's ._ files"
    if base in {*FILE_MANAGERS, "desktop.ini"}:
        return "file managers' files"
    if base.startswith("."):
        return "hidden files"
    return None if "." in base else "files without an extension"


def _told_apart(name: str, parts: list[tuple[str, Member]]) -> list[NamedSample]:
    """Return the samples of one name: one, or several that follow one another with members of equal extensions.

    Where the members of several samples are mixed, there is no telling which image belongs to which caption.
    """
    samples: list[dict[str, Member]] = [{}]
    for extension, member in parts:
        if extension in samples[-1]:
            samples.append({})
        samples[-1][extension] = member
    if all(list(sample) == list(samples[0]) for sample in samples):
        return [NamedSample(name, sample) for sample in samples]
    numbers: Counter[str] = Counter()
    mixed: list[dict[str, Member]] = []
    for extension, member in parts:
        if numbers[extension] == len(mixed):
            mixed.append({})
        mixed[numbers[extension]][extension] = member
        numbers[extension] += 1
    return [NamedSample(name, sample, mixed=True) for sample in mixed]


def _split_name(name: str) -> tuple[str, str]:
    """Split a member's name at the first dot of its last part, WebDataset's rule: `a/b.c.jpg` → `a/b`, `c.jpg`."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, extension.lower()

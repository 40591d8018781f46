"""Choose columns of tables by name, place or pattern."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from intrinsic_clip.errors import ConfigError

Entries = str | int | list[str | int] | None  # how a setting names columns


@dataclass
class ColumnChoice:
    """The columns of tables to read: names, places from 0, or patterns such as `emb_*`.

    Attributes:
        columns: to read, whatever they hold; empty: those that are dimensions.
        drop: to leave out.
        prefix: what the settings' names begin with, for messages: `data.`.
        ids: those of `drop` that name groups or classes of rows, by the setting that names them, for messages.
        matched: entries that a table had; offered: the names of the tables so far.
        read: what `drop` calls each column that the last table gave; empty where it has no columns of numbers.
    """

    columns: Sequence[str | int] = ()
    drop: Sequence[str | int] = ()
    prefix: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    offered: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, columns: Entries, drop: Entries, prefix: str = "") -> "ColumnChoice":
        """Return the choice that two settings make."""
        return cls(_listed(columns), _listed(drop), prefix)

    def places(self, names: Sequence[str]) -> tuple[list[int], bool]:
        """Return the places of the columns that remain, and whether they were chosen by name."""
        self.offered += [name for name in names if name not in self.offered]
        chosen = self._matching(self.columns, names)
        dropped = set(self._matching(self.drop, names))
        return [p for p in chosen or range(len(names)) if p not in dropped], bool(chosen)

    def left_out(self, names: Sequence[str]) -> list[str]:
        """Return a note for each setting that leaves out columns of a table, with how many and the setting."""
        notes, seen = [], set[int]()
        for setting in dict.fromkeys([*self.ids.values(), "drop"]):
            entries = [entry for entry in self.drop if self.ids.get(str(entry), "drop") == setting]
            places = set(self._matching(entries, names)) - seen
            seen |= places
            if places:
                left_out = f"{len(places)} of {len(names)} columns are left out"
                notes.append(f"{left_out}, as {self.prefix}{setting}=… says")
        return notes

    def note_read(self, names: Sequence[str], places: Sequence[int]) -> None:
        """Keep what the columns that are read are called: their names, or their places where there is no heading."""
        self.read = [names[place] or str(place) for place in places]

    def _matching(self, entries: Sequence[str | int], names: Sequence[str]) -> list[int]:
        places: dict[int, None] = {}
        for entry in entries:
            matches = [p for p, name in enumerate(names) if name == str(entry)]
            matches = matches or [p for p, name in enumerate(names) if fnmatchcase(name, str(entry))]
            if not matches and str(entry).isdecimal() and int(entry) < len(names):
                matches = [int(entry)]
            if matches:
                self.matched.add(str(entry))
            places |= dict.fromkeys(matches)
        return list(places)

    def check_matched(self) -> None:
        """Raise ConfigError that names the first entry that no table had, once all are read."""
        for setting, entries in (("columns", self.columns), ("drop", self.drop)):
            for entry in entries:
                if str(entry) not in self.matched:
                    some = ", ".join(self.offered[:20]) + (", …" if len(self.offered) > 20 else "")
                    tables = f"its columns are {some}" if some else "the file is no table"
                    raise ConfigError(f"{self.prefix}{setting}: no column {entry!r}; {tables}")


def _listed(entries: Entries) -> list[str | int]:
    if entries is None:
        return []
    return [entries] if isinstance(entries, str | int) else list(entries)

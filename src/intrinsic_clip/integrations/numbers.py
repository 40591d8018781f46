"""The result of a measurement: a plain dict of floats that can explain itself."""

import json
import math

from intrinsic_clip.dimension.display import html_table, plus_minus


class Numbers(dict[str, float]):
    """Floats by name, ready for any logger, with the reasons of those that are NaN.

    Attributes:
        reasons: by name, why a number is NaN.
        notes: what was decided or is doubtful, a sentence each.
        rows: rows that were measured.
    """

    def __init__(self, *args: object, rows: int = 0) -> None:
        super().__init__(*args)
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self.rows = rows

    def __reduce__(self) -> tuple[object, ...]:
        """Return what pickle needs."""
        return type(self), (dict(self),), vars(self)

    def to_json(self) -> str:
        """Return the numbers as one line of JSON, null where a number is NaN or infinite, which JSON does not have."""
        return json.dumps({name: value if math.isfinite(value) else None for name, value in self.items()})

    def missing(self) -> list[str]:
        """Return a sentence for each reason why numbers are NaN; standard errors are not listed."""
        names: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            if not name.partition("/")[0].endswith("_standard_error"):
                names.setdefault(reason, []).append(name)
        return [
            f"{', '.join(some[:2])}{f' and {len(some) - 2} more' * (len(some) > 2)} {'are' if some[1:] else 'is'} NaN: "
            f"{reason}"
            for reason, some in names.items()
        ]

    def __repr__(self) -> str:
        """Return a line for each number, with its standard error or the reason why it is NaN, and the notes."""
        width = max(map(len, self), default=0)
        lines = [f"{name:<{width}}  {self._shown(name)}" for name in self._main()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)]) or "no numbers"

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        rows = [[name, self._shown(name)] for name in self._main()]
        return html_table(["name", f"of {self.rows:,} rows"], rows, self.notes)

    def _main(self) -> list[str]:
        """Return the names that have a line: standard errors stand beside their numbers."""
        return [name for name in self if self._value_of(name) not in self]

    def _shown(self, name: str) -> str:
        kind, _, parts = name.partition("/")
        value = self[name]
        if math.isnan(value):
            return f"NaN: {self.reasons[name]}" if name in self.reasons else "NaN"
        error = self.get(f"{kind}_standard_error/{parts}")
        return f"{value:.4g}" if error is None else plus_minus(value, error)

    @staticmethod
    def _value_of(name: str) -> str | None:
        kind, _, parts = name.partition("/")
        return f"{kind.removesuffix('_standard_error')}/{parts}" if kind.endswith("_standard_error") else None

"""Describe the independent trainings of one run, and how they lie on the leading axes R of every tensor."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

STREAMS = {
    "data": (),
    "f": (1,),
    "g": (2,),
    "world": (3,),
    **{name: (4 + place,) for place, name in enumerate("zuvw")},  # encoders of further modalities
}  # spawn keys: draws for one must not depend on the others


@dataclass(frozen=True)
class Replicates:
    """Repetitions × output dimensions of one run.

    A lone run has R = (), repetitions have R = (repetitions,), and a list of output dimensions puts one more axis
    in front, R = (output dimensions, repetitions).

    Attributes:
        indices: of the repetitions; an index and the run's seed determine data and initial weights. None: a lone run,
            which is repetition 0.
        output_dims: of the first axis; None: all have the same.
    """

    indices: tuple[int, ...] | None = None
    output_dims: tuple[int, ...] | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Replicates":
        """Return the replicates of a resolved config, in which `replicates` is a number, a list of indices or null."""
        number_or_indices, output_dim = config["replicates"], config["encoder"].get("output_dim")
        indices = None
        if number_or_indices is not None:
            is_number = isinstance(number_or_indices, int)
            indices = tuple(range(number_or_indices) if is_number else number_or_indices)
        if not isinstance(output_dim, list):
            return cls(indices)
        return cls(indices or (0,), tuple(output_dim))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the leading axes R."""
        axes = (self.output_dims, self.indices)
        return tuple(len(axis) for axis in axes if axis is not None)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        count = len(self.indices or (0,))
        repetitions = f"{count} replicate{'s' * (count > 1)}"
        return (
            repetitions
            if self.output_dims is None
            else f"{repetitions} × {len(self.output_dims)} output dimensions"
        )

    def labels(self) -> list[tuple[int | None, int | None]]:
        """Return (output dimension, index) of each training, in the order of the flattened axes; None: no such axis."""
        return [(d, index) for d in self.output_dims or (None,) for index in self.indices or (None,)]


def stream_seed(seed: int, replicate: int, stream: str) -> int:
    """Return a 64-bit seed that depends on the run's seed, the replicate's index and the stream alone."""
    state = np.random.SeedSequence([seed, replicate], spawn_key=STREAMS[stream]).generate_state(2, np.uint32)
    return int(state[0]) << 32 | int(state[1])

"""Keep the course of temperatures during a training, thinned so that it stays small, and say what it means."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.metrics.temperature_diagnosis import diagnose_temperature

MOST = 1000  # points of a course


class TemperatureCourse:
    """Values of every n-th step, where n doubles whenever there are too many."""

    def __init__(self) -> None:
        self.every, self.steps = 1, list[int]()
        self.taus: dict[str, list[Tensor]] = {}
        self.losses: list[Tensor] = []

    def add(self, steps: Sequence[int], taus: Mapping[str, Tensor], losses: Tensor | None) -> None:
        """Add consecutive steps.

        Args:
            taus: by name, `(steps, *R)` each.
            losses: `(steps, *R)` or `(steps,)`; None where they are not known.
        """
        for place, step in enumerate(steps):
            if step % self.every:
                continue
            if losses is not None and len(self.losses) == len(self.steps):
                self.losses.append(losses[place].float().flatten())
            self.steps.append(step)
            for name, values in taus.items():
                self.taus.setdefault(name, []).append(values[place].float().flatten())
            if len(self.steps) > MOST:
                self._thin()

    def _thin(self) -> None:
        self.every *= 2
        kept = [place for place, step in enumerate(self.steps) if step % self.every == 0]
        has_losses = len(self.losses) == len(self.steps)
        self.losses = [self.losses[place] for place in kept] if has_losses else []
        self.taus = {name: [values[place] for place in kept] for name, values in self.taus.items()}
        self.steps = [self.steps[place] for place in kept]

    def diagnose(
        self,
        name: str,
        clamps: Sequence[float],
        optimal: Tensor | None,
        batch_size: int | None,
        trusted: bool = False,
        annealed: bool = False,
        as_given: Tensor | None = None,
        learned: bool = True,
    ) -> str | None:
        """Return what the course of a temperature means; None where there was no step.

        `as_given` is the best τ of rows that are not of length 1, as they were given. With several replicates it is the
        commonest verdict, with the line of the first replicate that has it.
        """
        if not self.taus.get(name):
            return None
        taus = torch.stack(self.taus[name])
        losses = torch.stack(self.losses) if len(self.losses) == len(self.steps) else None
        usual = [clamp for clamp in clamps if 0 < clamp < math.inf]
        diagnoses = []
        for r in range(taus.shape[1]):
            best = None if optimal is None else float(optimal.flatten()[r if optimal.numel() > 1 else 0])
            unscaled = None if as_given is None else float(as_given)
            loss = None if losses is None else losses[:, r if losses.shape[1] > 1 else 0]
            diagnoses.append(
                diagnose_temperature(
                    taus[:, r], loss, usual, best, batch_size, trusted, annealed, unscaled, learned
                )
            )
        verdict, count = Counter(each.verdict for each in diagnoses).most_common(1)[0]
        text = next(each.text for each in diagnoses if each.verdict == verdict)
        return (
            text
            if len(diagnoses) == 1
            else f"in {count} of {len(diagnoses)} replicates, such as this: {text}"
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"every": self.every, "steps": self.steps, "taus": self.taus, "losses": self.losses}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue a course that a checkpoint keeps."""
        self.every, self.steps = state["every"], list(state["steps"])
        self.taus = {name: list(values) for name, values in state["taus"].items()}
        self.losses = list(state["losses"])

"""Estimate the dimension that two paired data sets share, with its interval and controls."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from intrinsic_clip.dimension.arrays import Rows, check_same_index, real_tensor
from intrinsic_clip.shared_dimension.arguments import check_arguments
from intrinsic_clip.shared_dimension.canonical_check import canonical_number, compared
from intrinsic_clip.shared_dimension.kept import KeptTrainings
from intrinsic_clip.shared_dimension.own_dimension import bounded
from intrinsic_clip.shared_dimension.pairs import prepare
from intrinsic_clip.shared_dimension.reading import evidence, read
from intrinsic_clip.shared_dimension.result import SharedDimension
from intrinsic_clip.shared_dimension.stages import Report, Stages
from intrinsic_clip.shared_dimension.training import Recipe
from intrinsic_clip.shared_dimension.verdict import counted_too_low, missed_perhaps
from intrinsic_clip.shared_dimension.views import WIDEST

__all__ = ["SharedDimension", "shared"]


def shared(
    x: Rows,
    y: Rows,
    *,
    output_dim: int = 24,
    replicates: int = 6,
    steps: int = 1200,
    widest: int = WIDEST,
    seed: int = 0,
    budget: float | None = None,
    report: Report | None = None,
    keep_in: Path | str | None = None,
    threads: int = 1,
) -> SharedDimension:
    """Estimate how many dimensions two paired data sets share.

    Replicates of a pair of encoders are trained with a learned temperature on random parts of the pairs, for a quarter
    of the steps and, where the validation loss is still falling at its end, anew for all of them. At held-out
    points, the metric that the normalised outputs of one half of the replicates pull back to the inputs gives
    directions, and that of the other half their lengths, which have a gap behind the shared dimensions. The same on
    shuffled pairs says how large a ratio is by chance, and held-out matching whether anything is shared.

    Args:
        x, y: `(n, width)`, row i of x the partner of row i of y: tensors, arrays, or data frames of one index.
        output_dim: d of the encoders; at most d − 2 shared dimensions can be seen.
        replicates: trainings side by side.
        steps: of each, at most.
        widest: inputs of an encoder, at most; a wider view is reduced to its principal components.
        seed: of all that is drawn: the same seed gives the same numbers.
        budget: seconds, about; the training is shortened to end in time. None: no limit.
        report: is told the stage, the steps done and their number.
        keep_in: a folder in which finished trainings are kept, so that an estimate that is killed continues.
        threads: CPU threads of a training: its matrices are small, and wait for one another on busy cores.

    Raises:
        ValueError: a setting out of bounds, shapes that do not fit, data frames of different index, rows that are not
            finite, too few pairs, or a view without variance.

    Example:
        >>> import torch
        >>> from intrinsic_clip import shared
        >>> generator = torch.Generator().manual_seed(0)
        >>> z = torch.randn(1000, 1, generator=generator)
        >>> x, y = (torch.cat([z, torch.randn(1000, 2, generator=generator)], 1) for _ in range(2))
        >>> shared(x, y, steps=200).dimension
        1
    """
    begun = time.monotonic()
    check_arguments(
        output_dim=output_dim,
        replicates=replicates,
        steps=steps,
        widest=widest,
        budget=budget,
        threads=threads,
    )
    check_same_index({"x": x, "y": y})
    first, second = (real_tensor(rows, name, "(n, width)").detach() for name, rows in (("x", x), ("y", y)))
    recipe = Recipe(output_dim=int(output_dim), replicates=int(replicates), steps=int(steps))  # of NumPy, too
    kept = None if keep_in is None else KeptTrainings(keep_in, budget)
    stages = Stages(budget, report, begun, kept, threads)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in
        pairs = prepare(first, second, output_dim, widest, seed)
        trained, null = stages.train(pairs, recipe, seed)
    started = time.monotonic()
    result = bounded(read(evidence(trained, null, pairs.held_out(), output_dim), seed), pairs.own)
    result = result.without_number(pairs.doubt)
    result = compared(result, canonical_number(pairs, seed), pairs.own, output_dim)
    ended = time.monotonic()
    seconds = {**stages.seconds, "reading": ended - started}
    notes = [*pairs.notes, *stages.notes, *stages.exceeded(ended), *result.notes]
    notes += counted_too_low(result.number, result.dimension) + missed_perhaps(result.dimension)
    return replace(result, n=len(pairs.x), notes=notes, seconds=seconds)

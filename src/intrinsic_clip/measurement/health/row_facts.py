"""Count rows that are not finite, are zeros or repeat others, and take the mean and spread of norms."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intrinsic_clip.measurement.inputs import Inputs

if TYPE_CHECKING:
    from intrinsic_clip.dimension.row_source import RowSource

BLOCK = 2**24  # bytes of a block of rows in float64
Facts = dict[str, dict[str, float | None]]  # by name and side


def row_facts(inputs: Inputs) -> Facts:
    """Return numbers of the rows of x and y, by name and side, after one pass over each.

    They are of the rows of the files, each once, whatever pairs groups make of them.

    Names are `nonfinite_rows`, and of the finite rows `zero_rows`, `duplicate_rows`, `duplicates`, the share of rows
    that repeat an earlier one exactly, `norm`, the mean norm, and `norm_spread`, its standard deviation as a share of
    the mean. None stands for a number that does not exist.
    """
    facts: Facts = {}
    left_out = {} if inputs.files is not None else inputs.embeddings.nonfinite
    for side, source in _of_files(inputs).items():
        for name, value in _of_source(source).items():
            facts.setdefault(name, {})[side] = (
                value + left_out.get(side, 0) if name == "nonfinite_rows" else value
            )
    return facts


def _of_files(inputs: Inputs) -> Mapping[str, "RowSource"]:
    """Return the rows of each side, without those that are there again for another partner."""
    grouping = None if inputs.files is not None else inputs.embeddings.grouping
    if grouping is None:
        return inputs.sources
    from intrinsic_clip.dimension.row_source import TensorRows

    each = {side: grouping.each(side) for side in inputs.sources}
    sides = inputs.embeddings.sides
    return {
        side: source if (places := each[side]) is None else TensorRows(sides[side][places])
        for side, source in inputs.sources.items()
    }


def _of_source(source: "RowSource") -> dict[str, Any]:
    import torch

    from intrinsic_clip.dimension.row_survey import hash_weights, row_hashes

    weights = hash_weights(source.shape[1])
    hashes, norms, zeros, nonfinite = [], [], 0, 0
    for _, block in source.blocks(max(1, BLOCK // (8 * source.shape[1]))):
        finite = block.isfinite().all(1)
        nonfinite += int((~finite).sum())
        rows = block if bool(finite.all()) else block[finite]
        hashes.append(row_hashes(rows, weights))
        norms.append(torch.linalg.vector_norm(rows.double(), dim=1))
        zeros += int((rows == 0).all(1).sum())
    norm, hashed = torch.cat(norms), torch.cat(hashes)
    n = len(norm)
    repeated = n - len(hashed.unique())
    mean = float(norm.mean()) if n else math.nan
    spread = float(norm.std(correction=0)) / mean if mean > 0 else math.nan
    return {
        "nonfinite_rows": nonfinite,
        "zero_rows": zeros,
        "duplicate_rows": repeated,
        "duplicates": repeated / n if n else None,
        "norm": mean if math.isfinite(mean) else None,
        "norm_spread": spread if math.isfinite(spread) else None,
    }

"""Read the shared dimension off trained encoders: no training on shuffled pairs, and few replicates."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.dimension.derivatives import Encoder
from intrinsic_clip.encoders.preprocessing import in_unit_range
from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension.dependent_rows import one_of_each, relatives
from intrinsic_clip.shared_dimension.gaps import FEW
from intrinsic_clip.shared_dimension.matching import COMPARED
from intrinsic_clip.shared_dimension.pairs import FEWEST, SIDES, repeats
from intrinsic_clip.shared_dimension.pulled_back import OTHERS, VECTORS, directions, metrics
from intrinsic_clip.shared_dimension.reading import Evidence, read
from intrinsic_clip.shared_dimension.result import SharedDimension
from intrinsic_clip.shared_dimension.stages import Report
from intrinsic_clip.shared_dimension.verdict import missed_perhaps
from intrinsic_clip.shared_dimension.views import WIDEST

BATCH = 256  # rows that are embedded at once
ONE_TRAINING = (
    "one training: what its overfitting adds is not averaged away, so a gap is smaller than over replicates "
    "(in trials 1.7 where six give 2.4 to 3.2), and the interval, which is over points alone, too narrow"
)
NO_SHUFFLED_PAIRS = (
    "nothing was trained on shuffled pairs, so how large a ratio is by chance is presumed, from trials"
)
FIRST_HALF = (
    f"with fewer than {FEW} trainings, gaps are looked for among the first half of the directions alone: "
    "the last values fall steeply, shared or not"
)


@dataclass(frozen=True)
class _Side:
    """One side of the pairs with its encoder."""

    name: str
    encoder: Encoder
    rows: Tensor

    @property
    def smooth(self) -> bool:
        """Tell whether a derivative in the inputs makes sense."""
        return self.rows.is_floating_point()


def shared_of_encoders(
    f: Encoder,
    g: Encoder,
    x: Tensor,
    y: Tensor,
    *,
    on_sphere: bool = True,
    widest: int = WIDEST,
    seed: int = 0,
    report: Report | None = None,
) -> SharedDimension:
    """Read the shared dimension off a trained pair of encoders, at pairs that they were not trained on.

    The metric that their outputs pull back to the inputs is averaged over the replicates, of which there is often
    only one. Token ids have no derivative; then the other side alone is read.

    Args:
        f, g: map rows `(n, *input)`, and `(S, n, *input)` where they are S replicates, to outputs with d last.
        x, y: pairs that were held out: `(n, p)` vectors, `(n, 3, h, w)` images, or token ids.
        on_sphere: whether outputs are compared by their cosine, so that their length says nothing.
        widest: directions of a side, at most, along which the metric is taken.
        seed: of all that is drawn.
        report: is told the stage, the rows done and their number.

    Raises:
        ValueError: too few pairs, rows that are not finite, or no side with a derivative.

    Example:
        >>> import torch
        >>> from intrinsic_clip.shared_dimension.given_encoders import shared_of_encoders
        >>> generator = torch.Generator().manual_seed(0)
        >>> z = torch.randn(400, 2, generator=generator)
        >>> x, y = (torch.cat([z, torch.randn(400, 6, generator=generator)], 1) for _ in range(2))
        >>> weight = torch.eye(8) * torch.tensor([1.0] * 2 + [0.1] * 6)
        >>> shared_of_encoders(lambda rows: rows @ weight, lambda rows: rows @ weight, x, y).dimension
        2
    """
    begun = time.monotonic()
    x, y = (in_unit_range(rows) if rows.ndim == 4 else rows for rows in (x, y))
    x, y, notes = _drawn(x, y, seed)
    sides = [_Side(name, *pair) for name, pair in zip(SIDES, ((f, x), (g, y)), strict=True)]
    embedded = [_embedded(side, on_sphere, report) for side in sides]
    if len({rows.shape[2] for rows in embedded}) > 1 or len({len(rows) for rows in embedded}) > 1:
        raise ValueError(f"f and g give outputs of shapes {[tuple(rows.shape) for rows in embedded]}")
    tangent = embedded[0].shape[2] - on_sphere
    local = {}
    for side in sides:
        metric, said = _metric(side, on_sphere, tangent, widest, seed, report)
        notes += said
        if metric is not None:
            local[side.name] = metric
    if not local:
        raise ValueError("neither x nor y has a derivative that shows directions; " + " ".join(notes))
    result = read(Evidence((embedded[0], embedded[1]), local, {}, tangent + 1), seed)
    trainings = len(embedded[0])
    notes += [ONE_TRAINING] * (trainings == 1) + [FIRST_HALF] * (trainings < FEW) + [NO_SHUFFLED_PAIRS]
    notes += missed_perhaps(result.dimension)
    return replace(result, n=len(x), notes=notes, seconds={"reading": time.monotonic() - begun})


def _drawn(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor, list[str]]:
    """Return distinct pairs in random order, one of each row, no more than are compared, and what was left out.

    Raises:
        ValueError: there are too few, or some are not finite.
    """
    if len(x) != len(y):
        raise ValueError(f"x has {len(x):,} rows and y {len(y):,}; row i of each must belong together")
    for name, side in zip(SIDES, (x, y), strict=True):
        if side.is_floating_point() and not bool(side.isfinite().all()):
            raise ValueError(f"{name}: some rows hold NaN or infinity")
    distinct, notes = repeats(x.flatten(1), y.flatten(1))
    once, copies, few = one_of_each(x[distinct], y[distinct], FEWEST, seed)
    kept, notes = distinct[once], [*notes, *copies, *relatives(few)[0]]
    order = kept[torch.randperm(len(kept), generator=seeded(seed))][:COMPARED]
    if len(order) < len(kept):
        notes.append(f"{len(order):,} of {len(kept):,} pairs, drawn at random, are looked at")
    return x[order], y[order], notes


def _embedded(side: _Side, on_sphere: bool, report: Report | None) -> Tensor:
    """Return the outputs for all rows `(S, n, d)`, of length 1, or of mean length 1 where the length counts."""
    batches = []
    for start in range(0, len(side.rows), BATCH):
        outputs = side.encoder(side.rows[start : start + BATCH]).float()
        batches.append(outputs if outputs.ndim == 3 else outputs[None])
        if report is not None:
            report(f"embedding {side.name}", min(start + BATCH, len(side.rows)), len(side.rows))
    outputs = torch.cat(batches, 1).detach()
    if on_sphere:
        return normalize(outputs, dim=-1)
    return outputs / outputs.norm(dim=-1).mean(1).clamp_min(1e-12)[:, None, None]


def _metric(
    side: _Side, on_sphere: bool, tangent: int, widest: int, seed: int, report: Report | None
) -> tuple[Tensor | None, Sequence[str]]:
    """Return the metrics at some rows of a side, None where there are none, and what was decided."""
    if not side.smooth:
        return None, [
            f"{side.name}: rows are token ids, which have no derivative; the other side alone is read"
        ]
    chosen = directions(side.rows, widest, seed)
    p = side.rows[0].numel()
    notes = [f"{side.name}: {chosen.note}"] if chosen.note else []
    if min(p, tangent) < 2:
        return None, [*notes, f"{side.name}: fewer than 2 directions can be told apart; they show no gap"]
    if p <= tangent:
        notes.append(f"{side.name}: it has {p} inputs, and a gap behind the last of them cannot show")

    def outputs(rows: Tensor) -> Tensor:
        return normalize(side.encoder(rows), dim=-1) if on_sphere else side.encoder(rows)

    rows = side.rows[: VECTORS if side.rows.ndim == 2 else OTHERS]
    label = f"derivatives of {side.name}"
    told = None if report is None else lambda done, count: report(label, done, count)
    metric = metrics(outputs, rows, chosen.columns, widest, seed, told)
    if metric.shape[1] < len(rows):
        notes.append(
            f"{side.name}: {len(rows) - metric.shape[1]} of {len(rows)} points have no finite derivative"
        )
    return metric, notes

"""Estimate the dimension that two paired data sets share, with its interval and controls."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.metrics.counterparts import distinct_rows
from intrinsic_clip.shared_dimension import gaps, verdict
from intrinsic_clip.shared_dimension.consensus import metrics, ratios, spectra
from intrinsic_clip.shared_dimension.matching import HeldOut, held_out
from intrinsic_clip.shared_dimension.training import Recipe, Trained, train
from intrinsic_clip.shared_dimension.views import WIDEST, prepared

FEWEST = 100  # pairs
HELD_OUT = 0.2  # of the pairs
POINTS = 400  # held-out pairs, at most, where the metric is taken
DRAWS, DRAWN = 40, 100  # of the bootstrap: repetitions, and points in each
SHORT = 0.25  # of the steps: the length of a first training, and of that on shuffled pairs
STILL_FALLING = 0.8  # of a training, after which the best validation loss asks for a longer one
BUDGETS = {"shuffled pairs": 0.15, "pairs, short": 0.2, "pairs": 0.9}  # of the time that is left
SIDES = ("x", "y")
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SharedDimension:
    """Number of dimensions that two views share, and all that it rests on.

    Attributes:
        dimension: the number; None where the spectrum has no clear gap; 0 where nothing is shared.
        sides: read off each view's spectrum alone.
        interval: of the dimension, or of the effective number where there is no gap; 95 % of bootstrap draws.
        agreement: share of the bootstrap draws that name the same dimension.
        text: the verdict in one sentence.
        effective: how many values hold 90 % of the weight of the spectrum, the larger of both views.
        gap: ratio at the gap, geometric mean of both views; the largest ratio where there is none.
        later_gap: the largest ratio behind it.
        null_gap: the largest ratio on shuffled pairs.
        threshold: least ratio that counts as a gap.
        spectrum: mean root eigenvalues of the consensus metric by view.
        null_spectrum: likewise on shuffled pairs.
        ratios: of consecutive values by view, and `both`, their geometric mean.
        matching: numbers about held-out pairs.
        n: pairs.
        notes: what was decided or cut short, a sentence each.
        seconds: duration by stage.
        representations: normalised outputs for held-out pairs of x and of y, `(S, n, d)` each.
    """

    dimension: int | None
    sides: dict[str, int | None]
    interval: tuple[int, int]
    agreement: float
    text: str
    effective: int
    gap: float
    later_gap: float
    null_gap: float
    threshold: float
    spectrum: dict[str, list[float]]
    null_spectrum: dict[str, list[float]]
    ratios: dict[str, list[float]]
    matching: HeldOut
    representations: tuple[Tensor, Tensor]
    n: int
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name as plain values, without the representations."""
        numbers = {key: value for key, value in vars(self).items() if key != "representations"}
        return {**numbers, "interval": list(self.interval), "matching": asdict(self.matching)}


def shared(
    x: Tensor,
    y: Tensor,
    *,
    output_dim: int = 24,
    replicates: int = 6,
    steps: int = 1200,
    widest: int = WIDEST,
    seed: int = 0,
    budget: float | None = None,
    report: Report | None = None,
) -> SharedDimension:
    """Estimate how many dimensions two paired data sets share.

    Replicates of a pair of encoders are trained with a learned temperature on random parts of the pairs, for a quarter
    of the steps and, where the validation loss is still falling at its end, anew for all of them. At held-out
    points, the metric that their normalised outputs pull back to the inputs is averaged over the replicates. Its root
    eigenvalues have a gap behind the shared dimensions. The same on shuffled pairs says how large a ratio is by
    chance, and held-out matching whether anything is shared.

    Args:
        x, y: `(n, width)`, row i of x the partner of row i of y; tensors or arrays.
        output_dim: d of the encoders; at most d − 2 shared dimensions can be seen.
        replicates: trainings side by side.
        steps: of each, at most.
        widest: inputs of an encoder, at most; a wider view is reduced to its principal components.
        seed: of all that is drawn: the same seed gives the same numbers.
        budget: seconds, about; the training is shortened to end in time. None: no limit.
        report: is told the stage, the steps done and their number.

    Raises:
        ValueError: shapes that do not fit, rows that are not finite, too few pairs, or a view without variance.

    Example:
        >>> import torch
        >>> from intrinsic_clip import shared
        >>> generator = torch.Generator().manual_seed(0)
        >>> z = torch.randn(600, 1, generator=generator)
        >>> x, y = (torch.cat([z, torch.randn(600, 2, generator=generator)], 1) for _ in range(2))
        >>> shared(x, y, steps=150).dimension
        1
    """
    begun = time.monotonic()
    x, y = (torch.as_tensor(side) for side in (x, y))
    check(x, y)
    x, y, notes = without_repeats(x, y)
    views = [prepared(side, output_dim, widest, seed + place) for place, side in enumerate((x, y))]
    notes += [note for side, view in zip(SIDES, views, strict=True) for note in view.notes(side)]
    left, right = (view.rows for view in views)
    order = torch.randperm(len(left), generator=torch.Generator().manual_seed(seed))
    count = max(2, round(HELD_OUT * len(order)))
    apart, training = order[:count], order[count:]
    short = Recipe(output_dim=output_dim, replicates=replicates, steps=max(1, round(SHORT * steps)))
    seconds = {}

    def trained(label: str, y_rows: Tensor, recipe: Recipe, seed: int) -> Trained:
        started = time.monotonic()
        limit = None if budget is None else max(1.0, BUDGETS[label] * (budget - (started - begun)))
        result = train(left[training], y_rows, recipe, seed, limit, report and _labelled(report, label))
        seconds[label] = time.monotonic() - started
        if result.shortened:
            notes.append(f"budget: {result.steps:,} of {recipe.steps:,} steps of training on {label}")
        return result

    shuffled = training[torch.randperm(len(training), generator=torch.Generator().manual_seed(seed + 1))]
    null = trained("shuffled pairs", right[shuffled], short, seed + 2)
    pairs = trained("pairs, short", right[training], short, seed)
    if float(pairs.step.double().mean()) >= STILL_FALLING * pairs.steps:
        longer = trained("pairs", right[training], replace(short, steps=steps), seed)
        pairs = min(pairs, longer, key=lambda result: float(result.loss.mean()))
    started = time.monotonic()
    points = [side[apart] for side in (left, right)]
    result = _read(pairs, null, points, output_dim, seed)
    seconds["reading"] = time.monotonic() - started
    return replace(result, n=len(x), notes=notes + result.notes, seconds=seconds)


def check(x: Tensor, y: Tensor) -> None:
    """Check two views.

    Raises:
        ValueError: they cannot be compared.
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"x and y must be (n, width) with one n, got {tuple(x.shape)} and {tuple(y.shape)}; "
            "row i of each must belong together"
        )
    if len(x) < FEWEST:
        raise ValueError(f"{len(x):,} pairs are too few; there must be at least {FEWEST}")
    for name, side in zip(SIDES, (x, y), strict=True):
        if not bool(side.isfinite().all()):
            raise ValueError(f"{name}: some rows hold NaN or infinity")
        if bool((side == side[0]).all()):
            raise ValueError(f"{name}: every column is constant")


def without_repeats(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[str]]:
    """Leave out pairs that equal an earlier one, which would be held out and learned from at once; say how many.

    Raises:
        ValueError: too few are left.
    """
    first_x, first_y = distinct_rows(x), distinct_rows(y)
    codes = first_x * len(x) + first_y
    _, group = codes.unique(return_inverse=True)
    seen = torch.full((int(group.max()) + 1,), len(x)).scatter_reduce(0, group, torch.arange(len(x)), "amin")
    kept = seen.sort().values
    repeats = len(x) - len(kept)
    if len(kept) < FEWEST:
        raise ValueError(f"{len(kept):,} distinct pairs are too few; there must be at least {FEWEST}")
    notes = [f"{repeats:,} of {len(x):,} pairs repeat an earlier one and are left out"] if repeats else []
    return x[kept], y[kept], notes


def _labelled(report: Report, label: str) -> Callable[[int, int], None]:
    return lambda done, steps: report(label, done, steps)


@torch.no_grad()
def _read(pairs: Trained, null: Trained, points: list[Tensor], output_dim: int, seed: int) -> SharedDimension:
    """Read the estimate off trained replicates and those of shuffled pairs, at held-out points."""
    normalise = torch.nn.functional.normalize
    embedded = [normalise(f(side), dim=-1) for f, side in zip((pairs.f, pairs.g), points, strict=True)]
    matching = held_out(embedded[0], embedded[1], seed)
    few = [side[:POINTS] for side in points]
    local = [metrics(f, side) for f, side in zip((pairs.f, pairs.g), few, strict=True)]
    spectrum = [spectra(side).mean(0) for side in local]
    null_spectrum = [spectra(metrics(f, side)).mean(0) for f, side in zip((null.f, null.g), few, strict=True)]
    steps = [ratios(values, output_dim) for values in spectrum]
    null_steps = torch.stack([ratios(values, output_dim) for values in null_spectrum])
    both, null_gap = gaps.combined(*steps), float(null_steps.max())
    sizes = gaps.thresholds(null_gap)
    gap = gaps.last_gap(both, sizes)
    effective = max(gaps.effective_number(values) for values in spectrum)
    draws = _bootstrap(local, output_dim, sizes, gap.dimension is None, seed)
    decided = verdict.decide(gap, effective, matching, null_gap, draws)
    return SharedDimension(
        dimension=decided.dimension,
        sides={
            name: 0 if decided.dimension == 0 else gaps.last_gap(side, sizes).dimension
            for name, side in zip(SIDES, steps, strict=True)
        },
        interval=decided.interval,
        agreement=decided.agreement,
        text=decided.text,
        effective=effective,
        gap=gap.ratio,
        later_gap=gap.later,
        null_gap=null_gap,
        threshold=sizes.least,
        spectrum={name: side.tolist() for name, side in zip(SIDES, spectrum, strict=True)},
        null_spectrum={name: side.tolist() for name, side in zip(SIDES, null_spectrum, strict=True)},
        ratios={name: s.tolist() for name, s in zip((*SIDES, "both"), (*steps, both), strict=True)},
        matching=matching,
        representations=(embedded[0], embedded[1]),
        n=0,
    )


def _bootstrap(
    local: list[Tensor], output_dim: int, sizes: gaps.Thresholds, soft: bool, seed: int
) -> list[int]:
    """Return the estimate on replicates and points drawn with replacement, sorted.

    Replicates that are drawn twice average less away, which lowers the effective number: `verdict.decide` centres it.

    Args:
        local: metrics of replicates at points by view.
        output_dim: d of the encoders.
        sizes: what counts as a gap.
        soft: whether the effective number is estimated; if not, the place of the gap, or of the largest ratio.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    replicates, n = local[0].shape[:2]
    estimates = []
    for _ in range(DRAWS):
        copies = torch.randint(replicates, (replicates,), generator=generator)
        points = torch.randint(n, (min(n, DRAWN),), generator=generator)
        drawn = [spectra(side[:, points][copies]).mean(0) for side in local]
        if soft:
            estimates.append(max(gaps.effective_number(values) for values in drawn))
        else:
            both = gaps.combined(*(ratios(values, output_dim) for values in drawn))
            estimates.append(gaps.last_gap(both, sizes).place)
    return sorted(estimates)

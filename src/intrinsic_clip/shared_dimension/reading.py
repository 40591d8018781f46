"""Read the shared dimension off metrics and representations at held-out pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.shared_dimension import gaps, verdict
from intrinsic_clip.shared_dimension.consensus import crossed, metrics, ratios, spectra
from intrinsic_clip.shared_dimension.matching import held_out
from intrinsic_clip.shared_dimension.pairs import SIDES
from intrinsic_clip.shared_dimension.result import SharedDimension
from intrinsic_clip.shared_dimension.training import Trained

POINTS = 200  # held-out pairs, at most, where the metric is taken
DRAWS, CHOICES = 100, 2  # of the bootstrap: repetitions, and choices of a half of the replicates in each


@dataclass(frozen=True)
class Evidence:
    """All that an estimate is read off.

    Attributes:
        representations: normalised outputs for held-out pairs of x and of y, `(S, n, d)` each.
        metrics: of the replicates at some held-out points by side, `(S, m, p, p)`; of one side at least.
        null_spectrum: mean root eigenvalues of the consensus metric on shuffled pairs by side; {} without them.
        output_dim: d of the encoders; one more where the length of outputs counts.
    """

    representations: tuple[Tensor, Tensor]
    metrics: dict[str, Tensor]
    null_spectrum: dict[str, Tensor]
    output_dim: int

    def ratios(self, spectrum: Tensor) -> Tensor:
        """Return the ratios of consecutive values; without shuffled pairs those alone that mean something."""
        all_ratios = ratios(spectrum, self.output_dim)
        few = len(self.representations[0])
        return all_ratios if self.null_spectrum else gaps.readable(all_ratios, few)


@torch.no_grad()
def evidence(pairs: Trained, null: Trained, points: Sequence[Tensor], output_dim: int) -> Evidence:
    """Return the evidence that trained replicates and those of shuffled pairs give at held-out points.

    Args:
        pairs, null: trained on the pairs, and on shuffled ones.
        points: both sides of the held-out pairs, `(n, p)` each.
        output_dim: d of the encoders.
    """
    encoders, null_encoders = (pairs.f, pairs.g), (null.f, null.g)
    embedded = [normalize(f(side), dim=-1) for f, side in zip(encoders, points, strict=True)]
    few = [side[:POINTS] for side in points]
    local = {name: metrics(f, side) for name, f, side in zip(SIDES, encoders, few, strict=True)}
    null_spectrum = {
        name: spectra(metrics(f, side[: POINTS // 2])).mean(0)
        for name, f, side in zip(SIDES, null_encoders, few, strict=True)
    }
    return Evidence((embedded[0], embedded[1]), local, null_spectrum, output_dim)


@torch.no_grad()
def read(of: Evidence, seed: int) -> SharedDimension:
    """Read the estimate off the evidence; the number of pairs and the seconds are left to the caller.

    Args:
        of: what the trainings showed.
        seed: of permutations and of the bootstrap.

    Raises:
        ValueError: the encoders gave NaN or infinity.
    """
    if not all(bool(side.isfinite().all()) for side in of.representations):
        raise ValueError("the encoders' outputs for held-out pairs hold NaN or infinity")
    matching = held_out(*of.representations, seed)
    values = {name: crossed(side) for name, side in of.metrics.items()}
    spectrum = {name: side.mean(0).sqrt().mean(0) for name, side in values.items()}
    trainings = len(of.representations[0])
    steps = {name: of.ratios(values) for name, values in spectrum.items()}
    both = gaps.combined(*steps.values())
    null_gap = max((float(of.ratios(values).max()) for values in of.null_spectrum.values()), default=None)
    sizes = gaps.thresholds(gaps.presumed_gap(trainings) if null_gap is None else null_gap)
    gap = gaps.last_gap(both, sizes)
    effective = max(gaps.effective_number(values, of.output_dim) for values in spectrum.values())
    draws = _bootstrap(list(values.values()), of, sizes, gap.dimension is None, seed)
    decided = verdict.decide(gap, effective, matching, null_gap, draws, trainings)
    return SharedDimension(
        dimension=decided.dimension,
        sides={
            name: 0 if decided.dimension == 0 else gaps.last_gap(side, sizes).dimension
            for name, side in steps.items()
        },
        interval=decided.interval,
        agreement=decided.agreement,
        text=decided.text,
        effective=effective,
        gap=gap.ratio,
        later_gap=gap.later,
        null_gap=null_gap,
        threshold=sizes.least,
        spectrum=_as_lists(spectrum),
        null_spectrum=_as_lists(of.null_spectrum),
        ratios=_as_lists({**steps, "both": both}),
        matching=matching,
        representations=of.representations,
        n=0,
        trainings=trainings,
    )


def _as_lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    return {name: side.tolist() for name, side in values.items()}


def _bootstrap(
    values: Sequence[Tensor], of: Evidence, sizes: gaps.Thresholds, soft: bool, seed: int
) -> list[int]:
    """Return the estimate on choices of a half of the replicates and on points drawn with replacement, sorted.

    Args:
        values: crossed values by side, `(m, n, p)` each.
        of: the evidence that they are from.
        sizes: what counts as a gap.
        soft: whether the effective number is estimated; if not, the place of the gap, or of the largest ratio.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    choices, n = values[0].shape[:2]
    estimates = []
    for _ in range(DRAWS):
        chosen = torch.randint(choices, (CHOICES,), generator=generator)
        points = torch.randint(n, (n,), generator=generator)
        drawn = [side[chosen][:, points].mean(0).sqrt().mean(0) for side in values]
        if soft:
            estimates.append(max(gaps.effective_number(side, of.output_dim) for side in drawn))
        else:
            both = gaps.combined(*(of.ratios(side) for side in drawn))
            estimates.append(gaps.last_gap(both, sizes).place)
    return sorted(estimates)

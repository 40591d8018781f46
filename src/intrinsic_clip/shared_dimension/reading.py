"""Read the shared dimension off metrics and representations at held-out pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.seeding import seeded
from intrinsic_clip.shared_dimension import gaps, verdict
from intrinsic_clip.shared_dimension.consensus import crossed, metrics, ratios, spectra
from intrinsic_clip.shared_dimension.matching import held_out
from intrinsic_clip.shared_dimension.pairs import SIDES
from intrinsic_clip.shared_dimension.result import SharedDimension
from intrinsic_clip.shared_dimension.training import Trained

POINTS = 200  # held-out pairs, at most, where the metric is taken
DRAWS, CHOICES = 100, 2  # of the bootstrap: repetitions, and choices of a half of the replicates in each


LENGTH = (
    "one of the shared dimensions shows in the length of the outputs alone, which the spectrum leaves out"
)


@dataclass(frozen=True)
class Evidence:
    """All that an estimate is read off.

    Attributes:
        representations: normalised outputs for held-out pairs of x and of y, `(S, n, d)` each.
        metrics: of the replicates at some held-out points by side, `(S, m, p, p)`; of one side at least.
        null_spectrum: mean root eigenvalues of the consensus metric on shuffled pairs by side; {} without them.
        output_dim: d of the encoders; one more where the length of outputs counts.
        with_lengths: metrics as above in which the outputs' lengths count; {} where they are not looked at.
    """

    representations: tuple[Tensor, Tensor]
    metrics: dict[str, Tensor]
    null_spectrum: dict[str, Tensor]
    output_dim: int
    with_lengths: dict[str, Tensor] = field(default_factory=dict)

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
    longer = {
        name: metrics(f, side, lengths=True) for name, f, side in zip(SIDES, encoders, few, strict=True)
    }
    return Evidence((embedded[0], embedded[1]), local, null_spectrum, output_dim, longer)


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
    values, longer = (
        {name: crossed(side) for name, side in metric.items()} for metric in (of.metrics, of.with_lengths)
    )
    spectrum, with_lengths = _spectra(values), _spectra(longer)
    steps = {name: of.ratios(side) for name, side in spectrum.items()}
    both = gaps.combined(*steps.values())
    null_gap = max((float(of.ratios(side).max()) for side in of.null_spectrum.values()), default=None)
    trainings = len(of.representations[0])
    sizes = gaps.thresholds(gaps.presumed_gap(trainings) if null_gap is None else null_gap)
    gap = _gap(of, spectrum, with_lengths, sizes)
    effective = max(gaps.effective_number(values, of.output_dim) for values in spectrum.values())
    draws = _bootstrap(of, values, longer, sizes, gap.dimension is None, seed)

    def alone(side: str) -> gaps.Gap:
        return _gap(of, _only(side, spectrum), _only(side, with_lengths), sizes)

    decided = verdict.decide(gap, effective, matching, null_gap, draws, trainings)
    return SharedDimension(
        dimension=decided.dimension,
        sides={name: 0 if decided.dimension == 0 else alone(name).dimension for name in spectrum},
        interval=decided.interval,
        agreement=decided.agreement,
        text=decided.text,
        doubt=decided.doubt,
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
        notes=[LENGTH] if decided.dimension and gap.dimension != gaps.last_gap(both, sizes).dimension else [],
        trainings=trainings,
        draws=tuple(draws),
    )


def _as_lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    return {name: side.tolist() for name, side in values.items()}


def _spectra(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean lengths of directions by side, from crossed values `(m, n, p)`."""
    return {name: side.mean(0).sqrt().mean(0) for name, side in values.items()}


def _only(side: str, by_side: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what there is of one side, by its name."""
    return {name: value for name, value in by_side.items() if name == side}


def _gap(
    of: Evidence, spectrum: dict[str, Tensor], with_lengths: dict[str, Tensor], sizes: gaps.Thresholds
) -> gaps.Gap:
    """Return the gap of the sides' spectra together, one later where the outputs' length is shared too."""
    gap = gaps.last_gap(gaps.combined(*(of.ratios(side) for side in spectrum.values())), sizes)
    if not with_lengths:
        return gap
    longer = gaps.combined(*(of.ratios(side) for side in with_lengths.values()))
    return gaps.with_length(gap, longer, sizes)


def _bootstrap(
    of: Evidence,
    values: dict[str, Tensor],
    longer: dict[str, Tensor],
    sizes: gaps.Thresholds,
    soft: bool,
    seed: int,
) -> list[int]:
    """Return the estimate on choices of a half of the replicates and on points drawn with replacement, sorted.

    Args:
        of: the evidence.
        values, longer: crossed values by side, `(m, n, p)` each, without and with the outputs' lengths.
        sizes: what counts as a gap.
        soft: whether the effective number is estimated; if not, the place of the gap, or of the largest ratio.
        seed: of the draws.
    """
    generator = seeded(seed)
    choices, n = next(iter(values.values())).shape[:2]
    estimates = []
    for _ in range(DRAWS):
        chosen = torch.randint(choices, (CHOICES,), generator=generator)
        points = torch.randint(n, (n,), generator=generator)
        drawn, drawn_longer = (
            _spectra({name: side[chosen][:, points] for name, side in each.items()})
            for each in (values, longer)
        )
        if soft:
            estimates.append(max(gaps.effective_number(side, of.output_dim) for side in drawn.values()))
        else:
            estimates.append(_gap(of, drawn, drawn_longer, sizes).place)
    return sorted(estimates)

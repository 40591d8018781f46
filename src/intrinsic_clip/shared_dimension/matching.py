"""Test held-out pairs: do the replicates together tell partners from strangers, and how much do they know?"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.metrics import infonce_bound, partner_ranks, top_matching
from intrinsic_clip.seeding import seeded

PERMUTATIONS = 1999
COMPARED = 2000  # held-out pairs, at most, that are compared all with all
TEMPERATURES = 16
SATURATED = 0.95  # of the ceiling
TIED = 1e-5  # standard deviations of permutations: means this near are equal, but for the order of their sums


@dataclass(frozen=True)
class HeldOut:
    """Numbers about held-out pairs.

    Attributes:
        pairs: how many are compared all with all.
        top_1: share of rows whose partner is the most similar, mean of both ways.
        chance: of top_1, by guessing.
        p_value: of the mean standardised similarity of partners, by permutation.
        z: that mean, in standard deviations of its permutations.
        information: InfoNCE bound of the mutual information in nats, at the τ that suits other held-out pairs.
        tau: that τ, the mean of two halves.
        ceiling: of information: mean log of the pairs in either half, which the bound cannot exceed whatever is shared.
        saturates: whether it comes so near its ceiling that the information may be any larger number.
    """

    pairs: int
    top_1: float
    chance: float
    p_value: float
    z: float
    information: float
    tau: float
    ceiling: float = math.inf
    saturates: bool = False


def held_out(x: Tensor, y: Tensor, seed: int) -> HeldOut:
    """Compare held-out pairs by the mean cosine over the replicates.

    Args:
        x, y: normalised representations, `(S, n, d)`.
        seed: of the permutations.
    """
    x, y = (_side_by_side(side[:, :COMPARED]) for side in (x, y))
    n = len(x)
    matching = top_matching(partner_ranks(x, y), 1)
    p_value, z = _permutation_test(x @ y.T, seed)
    information, tau = _information(x, y)
    ceiling = (math.log(n // 2) + math.log(n - n // 2)) / 2
    saturates = information >= SATURATED * ceiling
    return HeldOut(n, float(sum(matching)) / 2, 1 / n, p_value, z, information, tau, ceiling, saturates)


def _side_by_side(representations: Tensor) -> Tensor:
    """Return rows whose inner products are the mean cosines over the replicates, `(n, S d)`."""
    return representations.transpose(0, 1).flatten(1) / math.sqrt(len(representations))


def _permutation_test(similarity: Tensor, seed: int) -> tuple[float, float]:
    """Return the p-value of the diagonal's mean among those of permutations, and its distance in deviations.

    Rows of codes and classes are exchanged without effect, so that many permutations have the mean of the diagonal.
    Summed in another order it differs by rounding, and all of them count.
    """
    centred = similarity.double()
    centred = centred - centred.mean(1, keepdim=True)
    centred = centred - centred.mean(0, keepdim=True)
    n = len(centred)
    # The permutations' standard deviation is known: Hoeffding, A combinatorial central limit theorem, 1951.
    deviation = math.sqrt(float(centred.square().sum()) / (n - 1)) / n
    if deviation == 0:
        return 1.0, 0.0
    observed = float(centred.diagonal().mean())
    generator, rows = seeded(seed), torch.arange(n)
    least = observed - TIED * deviation
    larger = sum(
        float(centred[rows, torch.randperm(n, generator=generator)].mean()) >= least
        for _ in range(PERMUTATIONS)
    )
    return (1 + larger) / (1 + PERMUTATIONS), observed / deviation


def _information(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the mean over two halves of the bound at the τ that is best for the other half, at least 0."""
    half = len(x) // 2
    parts = [(x[:half], y[:half]), (x[half:], y[half:])]
    taus = torch.logspace(-2.5, 0, TEMPERATURES).tolist()
    bounds = torch.tensor([[float(infonce_bound(*part, tau).mean) for tau in taus] for part in parts])
    best = bounds.argmax(1).flip(0)  # each half's τ is the other's best
    information = float(bounds.gather(1, best[:, None]).mean())
    return max(0.0, information), sum(taus[int(place)] for place in best) / 2

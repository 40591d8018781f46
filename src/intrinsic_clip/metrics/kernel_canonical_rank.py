"""The number of canonical correlations in the feature space of a Gaussian kernel, by Nyström's approximation."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, whole_number
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import as_same_rows, each_replicate
from intrinsic_clip.metrics.canonical_rank import LEVEL, PERMUTATIONS, CanonicalRank, collected
from intrinsic_clip.metrics.recovery import typical_square
from intrinsic_clip.seeding import seeded

LANDMARKS = 200
RIDGE = 0.03  # smaller ones let products and powers of shared latents count too
SAME = 1e-10  # eigenvalues of a kernel this small, relative to its trace, are rounding


@torch.no_grad()
def kernel_canonical_rank(
    x: Rows,
    y: Rows,
    ridge: float = RIDGE,
    landmarks: int = LANDMARKS,
    permutations: int = PERMUTATIONS,
    level: float = LEVEL,
    seed: int = 0,
) -> CanonicalRank:
    """Count the kernel canonical correlations that exceed a quantile of the largest one of permuted pairs.

    They are the singular values of (Cₓₓ + ε)^−½ Cₓᵧ (Cᵧᵧ + ε)^−½, C being covariances in the feature space of the
    kernel exp(−‖a − b‖² / (2 width²)), whose width is the median distance (Fukumizu, Bach, Gretton, *Statistical
    consistency of kernel canonical correlation analysis*, JMLR 8, 2007), with the kernel approximated by its values
    at some of the rows (Williams, Seeger, *Using the Nyström method to speed up kernel machines*, NIPS 2000).

    The number is one of functions, not of dimensions: the square of a shared latent is shared too, and so is the
    product of two. For a pair of standard normal variables of correlation ρ the correlations are ρ, ρ², ρ³, …
    (Lancaster, *The structure of bivariate distributions*, 1958), so that one shared latent may count several times.

    Args:
        x, y: `(*R, n, p_x)` and `(*R, n, p_y)`; row i of x and row i of y are a pair.
        ridge: ε, the penalty relative to the kernel's diagonal, 1; positive.
        landmarks: rows that the kernel is evaluated at; all rows make it exact.
        permutations, level, seed: as for `canonical_rank`; the seed is that of the landmarks too.

    Raises:
        ValueError: x and y differ in replicates or rows, or are empty, a ridge that is not positive, no landmark, or
            permutations or a level as for `canonical_rank`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import canonical_rank, kernel_canonical_rank
        >>> _ = torch.manual_seed(0)
        >>> z = torch.linspace(-1, 1, 1000)[:, None]
        >>> x, y = z, z.square() + 0.1 * torch.randn(1000, 1)
        >>> int(canonical_rank(x, y).rank), int(kernel_canonical_rank(x, y).rank) > 0
        (0, True)
    """
    x, y = as_same_rows(x, y)
    if not ridge > 0:
        raise ValueError(f"ridge must be positive, got {ridge}")
    landmarks = whole_number("landmarks", landmarks, 1)
    chosen = torch.randperm(x.shape[-2], generator=seeded(seed))[:landmarks].to(x.device)
    bases = [(_shrunk(x_r, chosen, ridge), _shrunk(y_r, chosen, ridge)) for x_r, y_r in each_replicate(x, y)]
    return collected(bases, list(x.shape[:-2]), permutations, level, seed, regularised=True)


def _shrunk(rows: Tensor, chosen: Tensor, ridge: float) -> Tensor:
    """Return K^½ (K + n ε)^−½ of the centred kernel K up to a rotation, as columns, float32.

    If a value is not finite, all are NaN. Float32 is enough for correlations, and halves the time of the permutations.
    """
    if not bool(rows.isfinite().all()):
        return torch.full_like(rows, math.nan, dtype=torch.float32)
    features = _features(rows.double() / scale_of(rows), chosen)
    features = features - features.mean(0)
    values, vectors = torch.linalg.eigh(features.T @ features)
    kept = values > SAME * len(rows)  # of a constant view, none
    return (features @ vectors[:, kept] / (values[kept] + len(rows) * ridge).sqrt()).float()


def _features(rows: Tensor, chosen: Tensor) -> Tensor:
    """Return columns whose inner products are the kernel's values, exactly at the chosen rows, `(n, q)`."""
    squares = torch.cdist(rows, rows[chosen]).square_()
    among = squares[chosen]
    scale = typical_square(among)
    values, vectors = torch.linalg.eigh((among / (-2 * scale)).exp())
    kept = values > SAME * len(chosen)
    return squares.div_(-2 * scale).exp_() @ (vectors[:, kept] / values[kept].sqrt())

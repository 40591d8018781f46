"""The dimension of a representation from its encoder: the rank of the Jacobian ∂f/∂x.

Where f = φ ∘ h with h of k dimensions, the Jacobian has rank at most k at every point, so its singular values
show the dimension without a sample of neighbours, and its right singular vectors show which directions of the
input the encoder reads.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from intrinsic_clip.dimension import display_curves
from intrinsic_clip.dimension.arrays import as_points, kind, whole_number
from intrinsic_clip.dimension.derivatives import Encoder, Jacobians
from intrinsic_clip.dimension.display import in_replicates
from intrinsic_clip.dimension.latent import orthonormal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 16  # units in the last place, times the longer side of the Jacobian: the rounding of a zero


@dataclass(frozen=True, repr=False)
class JacobianSpectrum:
    """Singular values of the Jacobian ∂f/∂x per replicate: m of them, largest first.

    Attributes:
        singular_values: mean over the points, `(*R, m)` float64, in units of output per unit of input; NaN
            where no point has a finite Jacobian.
        standard_error: of that mean, the standard deviation over the points divided by √n, `(*R, m)`.
        pointwise: at every point, `(*R, n, m)`; NaN at points that are left out.
        rank: `(*R,)` float64, read off the mean values as `jacobian_spectrum` defines; NaN where there are none.
        gap: the largest ratio of one mean singular value to the next, `(*R,)`; NaN where there is no next.
        participation: a soft rank, (Σ σ²)² / Σ σ⁴ of the mean values, `(*R,)`; NaN where all are zero.
        overlap: how much of the leading right singular vectors lies in the latent directions, between 0 and 1,
            mean over the points, `(*R,)`; None if no latent was given.
        n: points per replicate.
        reason: why some value is NaN, else None.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import jacobian_spectrum
        >>> x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
        >>> jacobian = jacobian_spectrum(lambda rows: rows * torch.tensor([4.0, 2.0, 0.0]), x)
        >>> jacobian.singular_values.round(decimals=3).tolist(), int(jacobian.rank)
        ([4.0, 2.0, 0.0], 2)
    """

    singular_values: Tensor
    standard_error: Tensor
    pointwise: Tensor
    rank: Tensor
    gap: Tensor
    participation: Tensor
    overlap: Tensor | None
    n: int
    reason: str | None = None

    def __repr__(self) -> str:
        """Return the singular values in one line."""
        return display_curves.jacobian_line(self)

    def _repr_html_(self) -> str:
        """Return a small table for a notebook."""
        return display_curves.jacobian_table(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the singular values, with standard errors.

        Args:
            ax: Matplotlib axes to draw on; None: new ones.

        Returns:
            The axes.
        """
        return display_curves.draw_jacobian(self, ax)


def jacobian_spectrum(
    encoder: Encoder,
    x: Tensor,
    *,
    input_dims: int = 1,
    latent: Tensor | None = None,
    directions: int | None = None,
    seed: int = 0,
    min_gap: float = 3.0,
    block_bytes: int = 2**28,
) -> JacobianSpectrum:
    """Compute the singular values of the encoder's Jacobian at every row of x, and the rank they show.

    Gui, Ma, Ma, NeurIPS 2025, define the dimension of a representation as the smallest k with f = φ ∘ h, dim
    range(h) = k. The rank is the k with the largest ratio σ_k / σ_{k+1} of the values averaged over the points
    if that ratio, the gap, is at least `min_gap`, else the number of values above the floor. The floor is 16
    machine units of x's type times max(d, d_in) σ_1; a value below it counts as zero and divides as if it
    lay at the floor. Outputs that depend on no input, such as columns masked to zero, do not count in d. A full
    rank whose last value lies `min_gap` times below its neighbour thus reads as one less, and with `directions`
    no rank is larger than their number.

    Without `directions` the Jacobian is computed row by row of it (or column by column, if there are fewer),
    for a block of points at once, exactly. With it, its leading singular values are those of Qᵀ ∂f/∂x, with Q
    an orthonormal basis of the images of that many random directions (Halko, Martinsson, Tropp, *Finding
    structure with randomness*, SIAM Review 2011, algorithms 4.1 and 5.1): exact where the rank is not larger,
    and never too large.

    The encoder is neither changed nor given a gradient, and attention runs in its plain form, since fused forms
    have no forward derivative. Set it to eval mode first: dropout would be drawn, and batch normalisation would
    mix rows.

    Args:
        encoder: maps rows `(*R, n, *input)` to `(*R, n, d)`, each row independently.
        x: `(*R, n, *input)`, of the type of the encoder's weights; axes of R that only the encoder has may be
            missing.
        input_dims: axes of one row: 1 for vectors, 3 for images.
        latent: directions of the input space, `(*R, d_in, k)` of which leading axes may be missing
            (`latent_directions` finds them), with d_in the numbers in a row. With V the k leading right singular
            vectors at a point and L an orthonormal basis of the latent, the overlap is ‖Lᵀ V‖² / k in squared
            Frobenius norm; a direction whose singular value lies below the floor adds nothing, so that d < k
            outputs reach d / k at most.
        directions: random directions, at least k of the latent; None: exact.
        seed: of the random directions, which all points and replicates share.
        min_gap: the least ratio that counts as a gap.
        block_bytes: about the most memory for the Jacobians of one block of points; memory that the encoder
            uses itself comes on top.

    Returns:
        m = min(d, d_in, directions) singular values per replicate. Points whose Jacobian is not finite are left
        out with a warning.

    Raises:
        ValueError: shapes that do not fit, fewer directions than one or than those of the latent, a gap below 1, or
            a latent whose directions are dependent.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import jacobian_spectrum
        >>> _ = torch.manual_seed(0)
        >>> encoder = torch.nn.Sequential(torch.nn.Linear(20, 3), torch.nn.Linear(3, 8))  # a bottleneck of 3
        >>> int(jacobian_spectrum(encoder, torch.randn(10, 20)).rank)
        3
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor, as the encoder takes it, got the {kind(x)}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x must be float32 or float64, since fewer digits show no rank, got {x.dtype}")
    input_dims = whole_number("input_dims", input_dims, 1)
    if x.ndim <= input_dims or 0 in x.shape[-input_dims - 1 :]:
        raise ValueError(
            f"x must be (*R, n, *input) with {input_dims} input axes, got shape {tuple(x.shape)}"
        )
    if directions is not None:
        directions = whole_number("directions", directions, 1)
    if not min_gap >= 1:
        raise ValueError(f"min_gap must be at least 1, got {min_gap}")
    n, *row = x.shape[-input_dims - 1 :]
    jacobians = Jacobians(encoder, x, input_dims, directions, seed, block_bytes)
    replicates, d, m = jacobians.replicates, jacobians.d, jacobians.m
    basis = None
    if latent is not None:
        basis = orthonormal(as_points(latent, "latent").to(x.device), replicates, math.prod(row))
    flat, k = math.prod(replicates), 0 if basis is None else basis.shape[-1]
    if directions is not None and directions < k:
        raise ValueError(f"directions must be at least the {k} of the latent, got {directions}")
    pointwise = x.new_empty(flat, n, m, dtype=torch.float64)
    shares = x.new_zeros(flat, n, k, dtype=torch.float64)
    used = torch.zeros(flat, d, dtype=torch.bool, device=x.device)
    for points, jacobian, used_here in jacobians:
        used |= used_here
        finite = jacobian.isfinite().all(-1).all(-1)
        jacobian = jacobian.double().where(finite[..., None, None], 0.0)
        with torch.no_grad():
            values, right = _svd(jacobian)
            pointwise[:, points] = values.where(finite[..., None], math.nan)
            if basis is not None:
                leading = right[..., :k, :]  # fewer where there are fewer outputs
                shares[:, points, : leading.shape[-2]] = (leading @ basis[:, None]).square().sum(-1)
    unit = ROUNDING * torch.finfo(x.dtype).eps
    return _conclude(pointwise, shares, used.sum(-1), unit, math.prod(row), min_gap, replicates)


def _svd(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the singular values and right singular vectors of matrices `(…, d, d_in)`, m and `(m, d_in)` of each."""
    d, d_in = matrices.shape[-2:]
    if matrices.is_cuda and d > d_in:
        # A GPU decomposes small square matrices together, and larger or oblong ones one after the other.
        matrices = torch.linalg.qr(matrices, mode="r").R
    _, values, right = torch.linalg.svd(matrices, full_matrices=False)
    return values, right


def _conclude(
    pointwise: Tensor,
    shares: Tensor,
    used: Tensor,
    unit: float,
    d_in: int,
    min_gap: float,
    replicates: Sequence[int],
) -> JacobianSpectrum:
    """Average over the points, and read off rank, gap, participation and overlap.

    Args:
        pointwise: singular values `(B, n, m)`, NaN at points that are left out.
        shares: share of each leading right singular vector in the latent, `(B, n, k)`; k = 0 without latent.
        used: number of outputs that depend on the input, `(B,)`.
        unit: rounding of a zero singular value relative to the first, divided by the Jacobian's longer side.
        d_in: numbers in a row of the input.
        min_gap: the least ratio that counts as a gap.
        replicates: R.
    """
    flat, n, m = pointwise.shape
    shape = tuple(replicates)
    valid = pointwise.isfinite().all(-1)
    count = valid.sum(-1, keepdim=True)
    mean = pointwise.nanmean(1)
    variance = (pointwise - mean[:, None]).square().nansum(1) / (count - 1)
    standard_error = (variance / count).sqrt()

    floor = unit * used.clamp_min(d_in)[:, None] * mean[:, :1]
    above = mean > floor
    place = torch.arange(1, m + 1, device=mean.device)
    following = torch.nn.functional.pad(mean.maximum(floor)[:, 1:], (0, 1), value=math.inf)
    ratios = (mean / following).where(above & (place < used[:, None]), 0.0)
    gap, position = ratios.max(-1)
    rank = torch.where(gap >= min_gap, position + 1, above.sum(-1))
    relative = (mean / mean[:, :1]).square()
    participation = relative.sum(-1).square() / relative.square().sum(-1)

    missing = ~valid.any(-1)
    constant = mean[:, 0] == 0
    notes, reasons = [], []
    if not bool(valid.all()):
        notes.append(
            f"the Jacobian at {int((~valid).sum())} of {flat * n} points is not finite; they were left out"
        )
    for affected, reason in (
        (missing, "no point has a finite Jacobian"),
        (constant, "the output ignores the input"),
    ):
        if count_affected := int(affected.sum()):
            reasons.append(in_replicates(reason, count_affected, flat))
    if notes or reasons:
        warnings.warn("; ".join(notes + reasons), stacklevel=3)

    overlap = None
    if k := shares.shape[-1]:
        counted = shares[..., :m] * (pointwise[..., :k] > floor[:, None])
        overlap = counted.sum(-1).where(valid, math.nan).nanmean(1) / k
    return JacobianSpectrum(
        singular_values=mean.reshape(*shape, m),
        standard_error=standard_error.reshape(*shape, m),
        pointwise=pointwise.reshape(*shape, n, m),
        rank=rank.double().masked_fill(missing, math.nan).reshape(shape),
        gap=gap.where(gap > 0, math.nan).reshape(shape),
        participation=participation.reshape(shape),
        overlap=None if overlap is None else overlap.reshape(shape),
        n=n,
        reason="; ".join(reasons) or None,
    )

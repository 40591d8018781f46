"""Directions of the input space that carry a known latent."""

from collections.abc import Sequence

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points


@torch.no_grad()
def latent_directions(x: Rows, z: Rows) -> Tensor:
    """Find the directions of the input space that carry a known latent: an orthonormal basis of them.

    They span the coefficients of the linear least-squares regression of z on x. For Gaussian x these are the
    directions that z depends on even where it does so nonlinearly (by Stein's lemma, as long as no direction
    averages out).

    Args:
        x: inputs, `(*R, n, d_in)`.
        z: their latents, `(*R, n, k)`.

    Returns:
        `(*R, d_in, k)` float64.

    Raises:
        ValueError: x and z differ in rows, hold fewer than two or values that are not finite, or the inputs
            carry fewer than k directions.

    Example:
        >>> import torch
        >>> from intrinsic_clip.dimension import latent_directions
        >>> x = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
        >>> basis = latent_directions(x, x[:, :1] + x[:, 1:2])  # the latent is the sum of the first two columns
        >>> basis.squeeze().abs().round(decimals=3).tolist()
        [0.707, 0.707, 0.0, 0.0, 0.0]
    """
    x, z = as_points(x, "x"), as_points(z, "z")
    if x.ndim < 2 or x.shape[:-1] != z.shape[:-1] or x.shape[-2] < 2:
        shapes = f"{tuple(x.shape)} and {tuple(z.shape)}"
        raise ValueError(f"x and z must be (*R, n, d_in) and (*R, n, k) with n >= 2, got shapes {shapes}")
    if not (x.isfinite().all() and z.isfinite().all()):
        raise ValueError("x and z must be finite to regress one on the other")
    x, z = x.double(), z.double()
    x, z = x - x.mean(-2, keepdim=True), z - z.mean(-2, keepdim=True)
    return orthonormal(torch.linalg.pinv(x) @ z, x.shape[:-2], x.shape[-1]).reshape(
        *x.shape[:-2], x.shape[-1], z.shape[-1]
    )


def orthonormal(directions: Tensor, replicates: Sequence[int], d_in: int) -> Tensor:
    """Return an orthonormal basis `(B or 1, d_in, k)` of the span of the directions."""
    shape = directions.shape
    own = shape[:-2]
    if directions.ndim < 2 or shape[-2] != d_in or own != tuple(replicates)[len(replicates) - len(own) :]:
        expected = f"({d_in}, k) or {(*replicates, d_in)} and k"
        raise ValueError(f"latent must be {expected}, got shape {tuple(shape)}")
    if own:
        directions = directions.expand(*replicates, *shape[-2:])
    if not 1 <= shape[-1] <= d_in:
        raise ValueError(f"latent must hold between 1 and {d_in} directions, got {shape[-1]}")
    directions = directions.double().reshape(-1, *shape[-2:])
    finite = directions.isfinite()  # of others there is no decomposition
    basis, values, _ = torch.linalg.svd(directions.where(finite, 0.0), full_matrices=False)
    if not finite.all() or not bool(
        (values[:, -1] > d_in * torch.finfo(torch.float64).eps * values[:, 0]).all()
    ):
        raise ValueError(f"the {shape[-1]} latent directions must be finite and linearly independent")
    return basis

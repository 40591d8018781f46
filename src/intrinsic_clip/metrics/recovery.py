"""Recovery of the true latent: R² of predicting it from a representation."""

import math
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_points, check_same_index, whole_number
from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.metrics.alignment import each_replicate
from intrinsic_clip.metrics.crossvalidation import Model, predict, ridge, split
from intrinsic_clip.seeding import seeded


@torch.no_grad()
def linear_recovery(x: Rows, z: Rows, strength: float = 1.0, folds: int = 5, seed: int = 0) -> Tensor:
    """Return R² of a linear prediction of the latent from the representation, `(*R,)` float64.

    Every row is predicted once, by a ridge regression on the rows of the other folds, to which x is
    standardised. With z' the predictions, R² = 1 − Σ (z − z')² / Σ (z − mean z)² over all rows, averaged over the
    latent's coordinates: 1 is perfect, 0 is as good as guessing the mean, and overfitting is negative. A coordinate
    that does not vary is left out. The values are those of scikit-learn's `Ridge` behind a `StandardScaler` and
    `r2_score` of `cross_val_predict`.

    Args:
        x: representations, `(*R, n, d)`.
        z: their latents, `(*R, n, k)`, of which leading axes may be missing.
        strength: weight of the ridge penalty relative to the sum of squares over the training rows; positive.
        folds: number of parts that the rows are cut into.
        seed: seed of the draw of the folds, which all replicates share.

    Returns:
        R²; NaN where a value is not finite or no coordinate varies.

    Raises:
        ValueError: shapes that do not fit, a strength that is not positive, or fewer than 2 rows per fold.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import linear_recovery
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(500, 2)
        >>> x = z @ torch.randn(2, 10)
        >>> round(float(linear_recovery(x, z)), 2), round(float(linear_recovery(x, z.square())), 1) < 0.1
        (1.0, True)
    """
    x, z = _checked(x, z, strength)
    return _recovery(x, z, split(x.shape[-2], folds, seed), partial(ridge, strength=strength))


@torch.no_grad()
def kernel_recovery(
    x: Rows,
    z: Rows,
    strength: float = 0.1,
    width: float | None = None,
    max_rows: int = 2000,
    folds: int = 5,
    seed: int = 0,
) -> Tensor:
    """Return R² of a smooth nonlinear prediction of the latent from the representation, `(*R,)` float64.

    It is `linear_recovery` with a kernel ridge regression, whose kernel is exp(−‖a − b‖² / (2 width²)): that of
    scikit-learn's `KernelRidge(kernel="rbf", gamma=1 / (2 width²))` on standardised x and centred z. It can recover
    no more than the smoothness of the kernel allows: many dimensions need many rows.

    Args:
        x: representations, `(*R, n, d)`.
        z: their latents, `(*R, n, k)`, of which leading axes may be missing.
        strength: weight of the penalty; positive.
        width: width of the kernel, in standard deviations of a column; None: the median distance of two training
            rows, in each fold.
        max_rows: if there are more rows, this many are drawn; time grows with their cube.
        folds: number of parts that the rows are cut into.
        seed: seed of the draw of rows and folds, which all replicates share.

    Returns:
        R²; NaN where a value is not finite or no coordinate varies.

    Raises:
        ValueError: shapes that do not fit, a strength, width or max_rows that is not positive, or fewer than 2 rows
            per fold.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import kernel_recovery
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(500, 2)
        >>> x = z @ torch.randn(2, 10)
        >>> round(float(kernel_recovery(x, z.square())), 1)  # a linear prediction recovers nothing of it
        1.0
    """
    x, z = _checked(x, z, strength)
    if width is not None and not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    n, max_rows = x.shape[-2], whole_number("max_rows", max_rows, 1)
    if n > max_rows:
        rows = torch.randperm(n, generator=seeded(seed))[:max_rows].to(x.device)
        x, z = x[..., rows, :], z[..., rows, :]
    parts = split(x.shape[-2], folds, seed)
    return _recovery(x, z, parts, partial(_kernel_ridge, strength=strength, width=width))


def _checked(x: Rows, z: Rows, strength: float) -> tuple[Tensor, Tensor]:
    check_same_index({"x": x, "z": z})
    x, z = as_points(x, "x"), as_points(z, "z")
    fits = x.ndim >= z.ndim >= 2 and z.shape[:-1] == x.shape[x.ndim - z.ndim : -1]
    if not fits or x.shape[-1] < 1 or z.shape[-1] < 1:
        shapes = f"{tuple(x.shape)} and {tuple(z.shape)}"
        raise ValueError(f"x and z must be (*R, n, d) and (*R, n, k), got shapes {shapes}")
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength}")
    return x, z.to(x.device)


def _recovery(x: Tensor, z: Tensor, parts: list[Tensor], model: Model) -> Tensor:
    replicates = x.shape[:-2]
    z = z.expand(*replicates, *z.shape[-2:])
    values = torch.empty(math.prod(replicates), dtype=torch.float64, device=x.device)
    for r, (x_r, z_r) in enumerate(each_replicate(x, z)):
        z_r = z_r.double() / scale_of(z_r, -2)
        values[r] = _r2(z_r, predict(x_r, z_r, parts, model))
    return values.reshape(replicates)


def _r2(z: Tensor, predicted: Tensor) -> Tensor:
    """Return the mean R² over those of the k coordinates of `(n, k)` that vary."""
    varies = (z != z[0]).any(0)
    missed = (z - predicted).square().sum(0)
    total = (z - z.mean(0)).square().sum(0)
    return (1 - missed / total)[varies].mean()


def typical_square(squares: Tensor) -> Tensor:
    """Return the median of the squared distances `(n, n)` between n rows: the squared width of a Gaussian kernel."""
    pairs = squares[*torch.triu_indices(len(squares), len(squares), 1, device=squares.device)]
    typical = pairs.median() if bool(pairs.median() > 0) else pairs.mean()  # over half are duplicates
    return typical.where(typical > 0, 1.0)  # all are


def _kernel_ridge(x: Tensor, z: Tensor, queries: Tensor, strength: float, width: float | None) -> Tensor:
    distances = torch.cdist(x, x).square_()
    scale = typical_square(distances) if width is None else distances.new_tensor(width).square()
    kernel = distances.div_(-2 * scale).exp_()
    kernel.diagonal().add_(strength)
    return torch.cdist(queries, x).square_().div_(-2 * scale).exp_() @ torch.linalg.solve(kernel, z)

"""Linear centred kernel alignment of two representations of the same rows, without the bias of few rows."""

import math

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics.alignment import as_same_rows

ROUNDING = 1e-9  # of the largest term of a sum, below which it is taken for 0


@torch.no_grad()
def linear_cka(x: Rows, y: Rows) -> Tensor:
    """Return the debiased linear CKA of two representations, `(*R,)` float64: 1 where they agree up to a rotation.

    Kornblith, Norouzi, Lee, Hinton, *Similarity of neural network representations revisited*, ICML 2019, with the
    unbiased estimate of the Hilbert–Schmidt independence criterion of Song, Smola, Gretton, Bedo, Borgwardt, *Feature
    selection via dependence maximization*, JMLR 13, 2012. The usual estimate tends to 1 where there are more columns
    than rows; this one scatters about 0 where the representations are independent, and can be negative. It takes
    n d_x d_y operations.

    Args:
        x, y: `(*R, n, d_x)` and `(*R, n, d_y)`; row i of x and row i of y show the same thing.

    Returns:
        NaN where a value is not finite, or the rows of a side are all equal.

    Raises:
        ValueError: x and y differ in replicates or rows, or there are fewer than 4 rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import linear_cka
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(100, 200)
        >>> turned = 3 * x @ torch.linalg.qr(torch.randn(200, 200)).Q
        >>> round(float(linear_cka(x, turned)), 3), round(abs(float(linear_cka(x, torch.randn(100, 200)))), 1)
        (1.0, 0.0)
    """
    x, y = as_same_rows(x, y)
    if x.shape[-2] < 4:
        raise ValueError(f"debiased CKA needs at least 4 rows, got {x.shape[-2]}")
    x, y = _scaled(x), _scaled(y)
    own = _independence(x, x) * _independence(y, y)
    return _independence(x, y) / own.where(own > 0, math.nan).sqrt()


def _scaled(rows: Tensor) -> Tensor:
    """Return centred rows of a mean squared length of 1, float64; CKA does not depend on either."""
    rows = rows.double()
    rows = rows - rows.mean(-2, keepdim=True)
    largest = rows.abs().amax((-2, -1), keepdim=True)
    rows = rows / largest.where(largest > 0, math.nan)  # so that squares neither overflow nor vanish
    return rows / rows.square().sum(-1).mean(-1)[..., None, None].sqrt()


def _independence(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased estimate of the Hilbert–Schmidt independence criterion of linear kernels, `(*R,)`.

    With K and L the Gram matrices whose diagonals are set to 0, it is (tr KL + 1ᵀK1 1ᵀL1 / ((n − 1) (n − 2)) −
    2 · 1ᵀKL1 / (n − 2)) / (n (n − 3)); none of the n × n matrices is formed.
    """
    n = x.shape[-2]
    own_x, own_y = x.square().sum(-1), y.square().sum(-1)
    trace = (x.mT @ y).square().sum((-2, -1)) - (own_x * own_y).sum(-1)
    # K 1 = X Xᵀ 1 − diagonal, and Xᵀ 1 is 0 up to rounding since the rows are centred.
    sums_x = (x @ x.sum(-2)[..., None]).squeeze(-1) - own_x
    sums_y = (y @ y.sum(-2)[..., None]).squeeze(-1) - own_y
    total = sums_x.sum(-1) * sums_y.sum(-1) / ((n - 1) * (n - 2))
    value = trace + total - 2 * (sums_x * sums_y).sum(-1) / (n - 2)
    return value.where(value.abs() > ROUNDING * n, 0.0) / (n * (n - 3))

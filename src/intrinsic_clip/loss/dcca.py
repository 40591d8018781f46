"""Deep canonical correlation analysis: minus the sum of the canonical correlations of a batch.

    L = −Σ_k σ_k(T),   T = Σ_xx^(−½) Σ_xy Σ_yy^(−½),   Σ_xx = X̄ᵀX̄ / (n − 1) + r I,   Σ_xy = X̄ᵀȲ / (n − 1)

Andrew, Arora, Bilmes, Livescu, *Deep canonical correlation analysis*, ICML 2013. Whitening by Cholesky factors instead
of square roots leaves the singular values as they are, and has finite gradients where variances are equal. Covariances
and what follows are float64: where outputs span fewer directions than they have columns, float32 rounds the missing
variances by more than r as soon as the others are large.
"""

from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.dimension.arrays import WITHOUT_FLOAT64
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import check_count, check_positive, paired
from intrinsic_clip.loss.columns import centred
from intrinsic_clip.loss.precision import without_autocast
from intrinsic_clip.loss.rows import require_two_rows
from intrinsic_clip.typed_values import checked


class DCCA(nn.Module):
    """Deep CCA of raw outputs, whose rotation and mixture it leaves free: `dcca_loss`.

    `objective/similarity` affects only the measurements, not the loss. Columns of x and y need not correspond, so rows
    match only after a canonical correlation analysis of the outputs.

    Args:
        regularisation: r, what is added to the variances; outputs of a smaller variance count as noise. A batch with
            fewer rows than output dimensions correlates perfectly but for r.
        components: the number k of greatest correlations that count; None: all d.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import DCCA
        >>> x = torch.eye(4)
        >>> round(float(DCCA()(x, x)), 3)
        -2.991
    """

    takes_temperature: ClassVar[bool] = False
    takes_raw: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(self, regularisation: PositiveFloat = 1e-3, components: PositiveInt | None = None) -> None:
        super().__init__()
        self.regularisation, self.components = regularisation, components

    @property
    def least_output_dim(self) -> tuple[int, str]:
        """Return how many output dimensions it takes at least, and the setting that wants them."""
        return self.components or 1, f"objective.components={self.components}"

    def forward(self, x: Tensor, y: Tensor, tau: Tensor | None = None) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of outputs `(*R, n, d)`."""
        return dcca_loss(x, y, self.regularisation, self.components)


def dcca_loss(x: Tensor, y: Tensor, regularisation: float = 1e-3, components: int | None = None) -> Tensor:
    """Return minus the sum of the canonical correlations of paired outputs, `(*R,)`.

    Args:
        x, y: outputs, `(*R, n, d)`.
        regularisation: r, what is added to the variances.
        components: the number of greatest correlations that count; None: all.

    Returns:
        The loss in the type of the outputs, from float64 within, which has the digits for variances up to 1e10 r. NaN,
        gradient included, for a replicate whose outputs or covariances are not finite, or without a Cholesky factor.

    Raises:
        ConfigError: a batch of one row, or more components than dimensions.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import dcca_loss
        >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
        >>> y = x @ torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 3.0]])  # a mixture of the same columns
        >>> round(float(dcca_loss(x, y, regularisation=1e-6)), 3)
        -3.0
    """
    check_positive(regularisation=regularisation)
    check_count(components=components)
    x, y = paired(x, y, columns=False)
    require_two_rows(x, "deep CCA")
    smaller = min(x.shape[-1], y.shape[-1])
    if components is not None and components > smaller:
        raise ConfigError(
            f"objective.components={components}: must be at most the output dimension, {smaller}"
        )
    with without_autocast(x.device):
        whitened = _whitened(centred(_doubled(x)), centred(_doubled(y)), regularisation)
        usable = whitened.detach().isfinite().all(-1).all(-1)
        # a decomposition of NaN ends in an error for all replicates; NaN times 0 leaves the gradient of this one NaN
        mark = torch.where(usable, 1.0, torch.nan).to(whitened.dtype)
        whitened = torch.where(usable[..., None, None], whitened * mark[..., None, None], 0)
        correlations = torch.linalg.svdvals(whitened)  # in falling order
    return (-correlations[..., :components].sum(-1) * mark).to(x)


def _doubled(rows: Tensor) -> Tensor:
    """Return rows in float64, on the CPU where their device has none."""
    return (rows.cpu() if rows.device.type in WITHOUT_FLOAT64 else rows).double()


def _whitened(x: Tensor, y: Tensor, regularisation: float) -> Tensor:
    """Return T of centred rows, transposed, `(*R, d, d)`; NaN where a covariance has no Cholesky factor."""
    x_factor, y_factor = _factor(x, regularisation), _factor(y, regularisation)
    half = torch.linalg.solve_triangular(x_factor, x.mT @ y / (x.shape[-2] - 1), upper=False)
    return torch.linalg.solve_triangular(y_factor, half.mT, upper=False)


def _factor(rows: Tensor, regularisation: float) -> Tensor:
    """Return the Cholesky factor of the regularised covariance of centred rows, `(*R, d, d)`, or NaN."""
    covariance = rows.mT @ rows / (rows.shape[-2] - 1)
    ridge = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device) * regularisation
    factor, failed = torch.linalg.cholesky_ex(covariance + ridge)
    return torch.where((failed == 0)[..., None, None], factor, torch.nan)

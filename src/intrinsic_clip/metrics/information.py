"""Lower bounds on the mutual information of the two representations."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows
from intrinsic_clip.metrics import replicated_pairs
from intrinsic_clip.metrics.alignment import as_pairs
from intrinsic_clip.metrics.replicated_pairs import logsumexp, narrowed
from intrinsic_clip.metrics.row_blocks import row_blocks
from intrinsic_clip.metrics.temperatures import HIGHEST, warn_of_temperature


class InformationBound(NamedTuple):
    """Lower bounds on I(f(X); g(Y)) in nats, `(*R,)` float64, none above log n.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import infonce_bound
        >>> bound = infonce_bound(torch.eye(8), torch.eye(8), tau=0.05)
        >>> [round(float(nats), 3) for nats in bound]  # log 8 at most
        [2.079, 2.079, 2.079]
    """

    x_to_y: Tensor
    y_to_x: Tensor
    mean: Tensor


@torch.no_grad()
def infonce_bound(x: Rows, y: Rows, tau: Tensor | float) -> InformationBound:
    """Return InfoNCE's lower bound on mutual information, log n − L, L being the cross-entropy of one direction.

    van den Oord, Li, Vinyals, *Representation learning with contrastive predictive coding*, 2018, section
    2.3; for the two directions Gui, Ma, Ma, NeurIPS 2025. All n rows are one batch, so the bound is at most
    log n: give enough rows. A bound below 0 says only that this τ does not fit these representations.

    Args:
        x, y: normalised as for the loss, `(*R, n, d)`; row i of x and row i of y are a pair.
        tau: the temperature, a number or `(*R,)`.

    Raises:
        ValueError: x and y differ in shape or hold no row, or a temperature is not positive.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import infonce_bound
        >>> x = torch.eye(8)
        >>> round(float(infonce_bound(x, x, tau=0.05).mean), 3)  # log 8 at most
        2.079
        >>> abs(round(float(infonce_bound(torch.ones(8, 8), x, tau=0.05).mean), 3))
        0.0
    """
    x, y = as_pairs(x, y)
    *replicates, n, d = x.shape
    tau = torch.as_tensor(tau, dtype=torch.float64, device=x.device)
    if tau.shape not in (torch.Size([]), x.shape[:-2]):
        raise ValueError(f"tau must be a number or {tuple(replicates)}, got shape {tuple(tau.shape)}")
    if bool((tau <= 0).any()):
        raise ValueError(f"the temperature must be positive, got {tau.min().item():g}")
    if bool((tau > HIGHEST).any()):
        warn_of_temperature(tau)
    flat = math.prod(replicates)
    x, y, tau = x.reshape(flat, n, d), y.reshape(flat, n, d), tau.expand(replicates).reshape(flat)
    if replicated_pairs.worth_it(x):
        losses = replicated_pairs.cross_entropies(x, y, tau)
    else:
        losses = x.new_empty(2, flat, dtype=torch.float64)
        for r, (x_r, y_r, tau_r) in enumerate(zip(x, y, tau, strict=True)):
            losses[:, r] = _cross_entropies(x_r.double() / tau_r, y_r.double())
    x_to_y, y_to_x = math.log(n) - losses.reshape(2, *replicates)
    return InformationBound(x_to_y, y_to_x, (x_to_y + y_to_x) / 2)


def _cross_entropies(x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy x→y and y→x of the logits x yᵀ, `(2,)`.

    Products are in float64, since they are large compared with their differences when τ is small. Relative to the
    positive pair's, the logits are small where it matters and mostly fit float32, whose exponentials are faster.
    """
    n = len(x)
    positive = (x * y).sum(-1)
    rows_loss = torch.empty_like(positive)
    columns_loss = torch.full_like(positive, -math.inf)
    for rows in row_blocks(n, n, x.device):
        logits = x[rows] @ y.T
        rows_loss[rows] = logsumexp(narrowed(logits - positive[rows, None]), 1)
        columns_loss = columns_loss.logaddexp(logsumexp(narrowed(logits.sub_(positive)), 0))
    return torch.stack([rows_loss.mean(), columns_loss.mean()]).clamp_min(0)  # below 0 by rounding only

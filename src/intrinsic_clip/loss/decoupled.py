"""Decoupled contrastive learning: InfoNCE without the positive in the denominator.

    L = ½ (mean_i [log Σ_{j≠i} exp(S_ij / τ) − S_ii / τ] + the same over columns)

Yeh, Hong, Hsu, Liu, Chen, LeCun, *Decoupled contrastive learning*, ECCV 2022, equation 6, between two modalities: the
negatives of x_i are the y_j of other pairs, without the x_j that two views of one image add there. It is also the
InfoLOOB bound (Poole et al. 2019) less log(n − 1).
"""

from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import paired, temperature
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.loss.rows import require_two_rows, without_partners
from intrinsic_clip.typed_values import checked


class Decoupled(nn.Module):
    """Decoupled InfoNCE, whose gradient does not fade where a positive is already the best: `decoupled_info_nce`.

    Args:
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Decoupled
        >>> x = torch.eye(4)
        >>> round(float(Decoupled()(x, x, torch.tensor(1.0))), 3)
        0.099
    """

    takes_temperature: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(self, chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.chunk = chunk

    def forward(self, x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return decoupled_info_nce(x, y, tau, self.chunk)


def decoupled_info_nce(x: Tensor, y: Tensor, tau: Tensor | float, chunk: int | None = None) -> Tensor:
    """Return the symmetric decoupled InfoNCE of paired representations.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        tau: the temperature itself, a number or `(*R,)`.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster, and has
            second derivatives; chunks refuse them.

    Returns:
        The loss per replicate in nats, `(*R,)`; it may be negative.

    Raises:
        ConfigError: a batch of one row, which has no negatives.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import decoupled_info_nce
        >>> x = torch.eye(4)
        >>> round(float(decoupled_info_nce(x, x, torch.tensor(1.0))), 3)  # log 3 − 1
        0.099
    """
    x, y = paired(x, y, chunk)
    require_two_rows(x, "the decoupled loss")
    x, y, tau = in_widest_type(x, y, temperature(tau, x))
    with without_autocast(x.device):
        x = x / tau[..., None, None]
        if chunk is not None and chunk < x.shape[-2]:
            from intrinsic_clip.loss import chunked  # imports torch._dynamo: seconds, and warning filters

            x_to_y, y_to_x = chunked.both_ways(x, y, chunk, decoupled=True)
            return (x_to_y + y_to_x).mean(-1) / 2
        logits = x @ y.mT
        negatives = without_partners(logits, 0)
        both = (negatives.logsumexp(-1) + negatives.logsumexp(-2)) / 2
        return (both - logits.diagonal(dim1=-2, dim2=-1)).mean(-1)


def leave_one_out(x: Tensor, y: Tensor, tau: Tensor, chunk: int | None = None) -> Tensor:
    """Return one direction of it, for representations in float32: the anchors are the rows of x."""
    x = x / tau[..., None, None]
    if chunk is not None and chunk < x.shape[-2]:
        from intrinsic_clip.loss import chunked

        return chunked.one_way(x, y, 0, chunk, decoupled=True).mean(-1)
    logits = x @ y.mT
    negatives = without_partners(logits, 0)
    return (torch.logsumexp(negatives, -1) - logits.diagonal(dim1=-2, dim2=-1)).mean(-1)

"""The sigmoid loss of SigLIP: each of the n² pairs is judged by itself, a true pair or not.

    L = −1/n Σ_ij log σ(z_ij (S_ij / τ + b)),   z_ii = 1, z_ij = −1 for i ≠ j

Zhai, Mustafa, Kolesnikov, Beyer, *Sigmoid loss for language image pre-training*, ICCV 2023. With a relative bias the
logits are (S_ij − b) / τ: Bangachev, Bresler, Noman, Polyanskiy, *Global minimizers of sigmoid contrastive loss*,
NeurIPS 2025.
"""

from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import paired, per_replicate, temperature
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.loss.rows import partners
from intrinsic_clip.typed_values import checked

RAW_BIAS, RELATIVE_BIAS = -10.0, 1.0  # the same logits at SigLIP's initial τ of 0.1


class Sigmoid(nn.Module):
    """Sigmoid loss with a bias per replicate, learned or fixed: `sigmoid_loss`.

    Args:
        bias: b at the start; None: −10 as published, or 1 with a relative bias, which is −10 at τ = 0.1. A relative
            bias is a similarity, of the other sign.
        learn_bias: train b together with the encoders.
        relative: take logits (S − b) / τ instead of S / τ + b.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster.
        replicates: the shape R.

    Raises:
        ConfigError: a relative bias below any cosine, such as one that was meant for S / τ + b.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Sigmoid
        >>> objective = Sigmoid(replicates=(2,))
        >>> objective.bias.tolist()
        [-10.0, -10.0]
    """

    takes_temperature: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})
    bias: Tensor

    @checked("objective")
    def __init__(
        self,
        bias: float | None = None,
        learn_bias: bool = True,
        relative: bool = False,
        chunk: PositiveInt | None = None,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        if relative and bias is not None and bias < -1:
            raise ConfigError(
                f"objective.bias={bias:g}: with objective.relative=true it is a similarity, by whose excess pairs are "
                f"judged: (S − b) / τ; that of SigLIP, {RAW_BIAS:g} at τ = 0.1, is {RELATIVE_BIAS:g} here"
            )
        self.relative, self.chunk = relative, chunk
        published = RELATIVE_BIAS if relative else RAW_BIAS
        self.bias = nn.Parameter(
            torch.full(replicates, float(published if bias is None else bias)), requires_grad=learn_bias
        )

    def forward(self, x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)`."""
        return sigmoid_loss(x, y, tau, self.bias, self.chunk, self.relative)


def sigmoid_loss(
    x: Tensor,
    y: Tensor,
    tau: Tensor | float,
    bias: Tensor | float,
    chunk: int | None = None,
    relative: bool = False,
) -> Tensor:
    """Return the sigmoid loss of paired representations: a mean over rows of a sum over columns.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        tau: the temperature itself, a number or `(*R,)`.
        bias: b, a number or `(*R,)`.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster, and has
            second derivatives; chunks refuse them.
        relative: take logits (S − b) / τ instead of S / τ + b.

    Returns:
        The loss per replicate in nats, `(*R,)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import sigmoid_loss
        >>> x = torch.eye(4)
        >>> round(float(sigmoid_loss(x, x, torch.tensor(0.1), torch.tensor(-10.0))), 3)  # log 2 for each true pair
        0.693
    """
    x, y = paired(x, y, chunk)
    x, y, tau, bias = in_widest_type(x, y, temperature(tau, x), per_replicate("bias", bias, x))
    with without_autocast(x.device):
        x = x / tau[..., None, None]
        bias = (-bias / tau if relative else bias).expand(x.shape[:-2])
        if chunk is not None and chunk < x.shape[-2]:
            from intrinsic_clip.loss import (
                chunked_sigmoid,
            )  # imports torch._dynamo: seconds, and warning filters

            return chunked_sigmoid.total(x, y, bias, chunk) / x.shape[-2]
        logits = x @ y.mT + bias[..., None, None]
        right = torch.where(partners(logits, 0), logits, -logits)
        return -logsigmoid(right).sum(-1).mean(-1)

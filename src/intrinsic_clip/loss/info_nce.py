"""The contrastive loss: symmetric InfoNCE with temperature τ.

    L(f, g, τ) = ½ (CE over rows + CE over columns) of S / τ,   S_ij = ⟨f(x_i), g(y_j)⟩

Gui, Ma, Ma, *Multi-modal contrastive learning adapts to intrinsic dimensions of shared latent variables*,
NeurIPS 2025, section 2; with one τ per direction and with label smoothing beside it. Tensors have leading replicate
axes R: independent trainings side by side. Half-precision outputs of encoders are widened: similarities, logits and τ
are float32 under autocast too.
"""

from typing import Annotated, ClassVar

from annotated_types import Ge, Lt
from pydantic import PositiveInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import (
    check_count,
    check_rows,
    check_share,
    is_readable,
    paired,
    temperature,
)
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.metrics.temperatures import warn_of_temperature
from intrinsic_clip.typed_values import checked


class InfoNCE(nn.Module):
    """Symmetric InfoNCE, the objective of CLIP and of the paper: `info_nce` with its settings.

    Args:
        label_smoothing: share ε of the target that is spread evenly over all n candidates.
        chunk: rows of the n × n logits in memory at a time; None: all, which is faster.
        local_block: with several processes, each computes the logits of its own rows only; see `loss.distributed`.

    Raises:
        ConfigError: label smoothing with local blocks, which do not know it.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import InfoNCE
        >>> x, tau = torch.eye(4), torch.tensor(1.0)
        >>> round(float(InfoNCE()(x, x, tau)), 3), round(float(InfoNCE(label_smoothing=0.1)(x, x, tau)), 3)
        (0.744, 0.819)
    """

    takes_temperature: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population", "none"})

    @checked("objective")
    def __init__(
        self,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        chunk: PositiveInt | None = None,
        local_block: bool = False,
    ) -> None:
        super().__init__()
        if label_smoothing and local_block:
            raise ConfigError(
                "objective.label_smoothing: does not go together with objective.local_block=true"
            )
        self.label_smoothing, self.chunk, self.local_block = label_smoothing, chunk, local_block

    def forward(self, x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
        """Return the loss per replicate, `(*R,)`, of representations `(*R, n, d)` and one or two τ."""
        return info_nce(x, y, tau, self.chunk, label_smoothing=self.label_smoothing)


def info_nce(
    x: Tensor, y: Tensor, tau: Tensor | float, chunk: int | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Return the symmetric InfoNCE of paired representations; row i of x and row i of y are a positive pair.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        tau: the temperature itself, a number or `(*R,)`; or one per direction, `(2, *R)`: x→y, then y→x.
        chunk: rows of the n × n logits in memory at a time, for large n; None: all, which is faster, and
            has second derivatives; chunks refuse them.
        label_smoothing: share ε of the target that is spread evenly over all n candidates, as in PyTorch's
            cross_entropy: CE becomes (1 − ε) CE_i + ε mean_j CE_ij.

    Returns:
        The loss per replicate in nats, `(*R,)`: ½ (CE x→y + CE y→x), each a mean over the n pairs.

    Raises:
        ConfigError: shapes do not fit, a setting is out of range, or τ, a number or a constant scalar on the CPU, is
            not positive. A τ that is learned, per replicate or on a GPU is not looked at, which would stall a step.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import info_nce
        >>> x = torch.eye(4)
        >>> [round(float(info_nce(x, x, torch.tensor(tau))), 3) for tau in (0.1, 1.0)]
        [0.0, 0.744]
    """
    check_share(label_smoothing=label_smoothing)
    x, y = paired(x, y, chunk)
    x, y, tau = in_widest_type(x, y, temperature(tau, x, by_direction=True))
    if is_readable(tau):
        warn_of_temperature(tau)
    per_direction = tau.ndim == x.ndim - 1
    loss = _per_direction(x, y, tau, chunk) if per_direction else _one_temperature(x, y, tau, chunk)
    if label_smoothing == 0:
        return loss
    # CE_i − mean_j CE_ij = mean_j S_ij − S_ii, whose mean over i is the same both ways
    lead = (x * (y - y.mean(-2, keepdim=True))).sum(-1).mean(-1)
    inverse = tau.reciprocal().mean(0) if per_direction else tau.reciprocal()
    return loss + label_smoothing * lead * inverse


def _one_temperature(x: Tensor, y: Tensor, tau: Tensor, chunk: int | None) -> Tensor:
    """Return InfoNCE of representations in float32 with one τ for both directions, from one product."""
    with without_autocast(x.device):
        x = x / tau[..., None, None]  # τ divides n·d numbers here instead of n²
        if chunk is not None and chunk < x.shape[-2]:
            from intrinsic_clip.loss import chunked  # imports torch._dynamo: seconds, and warning filters

            x_to_y, y_to_x = chunked.both_ways(x, y, chunk)
            return (x_to_y + y_to_x).mean(-1) / 2
        return symmetric_cross_entropy(x @ y.mT)


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Return the mean cross-entropy of the diagonal of logits `(*R, n, n)` in its rows and its columns, `(*R,)`."""
    in_rows = logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
    in_columns = logits.mT.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
    return -(in_rows + in_columns).mean(-1) / 2


def _per_direction(x: Tensor, y: Tensor, tau: Tensor, chunk: int | None) -> Tensor:
    """Return InfoNCE of representations in float32 with a τ of its own for each direction."""
    x_to_y, y_to_x = tau.unbind()
    return (cross_entropy(x, y, x_to_y, 0, chunk) + cross_entropy(y, x, y_to_x, 0, chunk)) / 2


def cross_entropy(x: Tensor, y: Tensor, tau: Tensor | float, first: int, chunk: int | None = None) -> Tensor:
    """Return one direction of InfoNCE for some rows of a batch: mean CE of x_i among all y_j, `(*R,)`.

    Args:
        x: some rows' normalised representations, `(*R, n, d)`.
        y: all rows' normalised representations in the other modality, `(*R, N, d)`.
        tau: the temperature itself, a number or `(*R,)`.
        first: the row of y that is the partner of row 0 of x; the partners of the others follow.
        chunk: rows of the n × N logits in memory at a time; None: all.

    Returns:
        The mean cross-entropy per replicate in nats, `(*R,)`.

    Raises:
        ConfigError: shapes do not fit, a row of x has no partner, or τ is not positive. As in `info_nce`, a τ that is
            learned, per replicate or on a GPU is not looked at.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import cross_entropy
        >>> x, tau = torch.eye(4), torch.tensor(1.0)
        >>> halves = [cross_entropy(x[first : first + 2], x, tau, first) for first in (0, 2)]
        >>> round(float(sum(halves) / 2), 3)
        0.744
    """
    check_rows("x", x)
    check_rows("y", y)
    check_count(chunk=chunk)
    n, number = x.shape[-2], y.shape[-2]
    if x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1] or not 0 <= first <= number - n:
        raise ConfigError(
            f"x of shape {tuple(x.shape)} from row {first} on and y of shape {tuple(y.shape)}: y must hold the "
            "partners of all rows of x, (*R, N, d)"
        )
    x, y = in_widest_type(x, y)
    x, y, tau = in_widest_type(x, y, temperature(tau, x))
    with without_autocast(x.device):
        x = x / tau[..., None, None]
        if chunk is not None and chunk < x.shape[-2]:
            from intrinsic_clip.loss import chunked  # imports torch._dynamo: seconds, and warning filters

            return chunked.one_way(x, y, first, chunk).mean(-1)
        return -(x @ y.mT).log_softmax(-1).diagonal(first, dim1=-2, dim2=-1).mean(-1)

"""The contrastive loss: symmetric InfoNCE, the temperature τ, and the two similarity normalisations.

    L(f, g, τ) = ½ (CE over rows + CE over columns) of S / τ,   S_ij = ⟨f(x_i), g(y_j)⟩

Gui, Ma, Ma, *Multi-modal contrastive learning adapts to intrinsic dimensions of shared latent variables*,
NeurIPS 2025, section 2. Everything takes leading replicate axes R: independent trainings side by side. What encoders
put out in half precision is widened: similarities, logits and τ are float32 under autocast too.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from intrinsic_clip import blockwise

SMALLEST_NORM = 1e-12  # keeps an encoder that has collapsed to zero from dividing by zero


def info_nce(x: Tensor, y: Tensor, tau: Tensor, chunk: int | None = None) -> Tensor:
    """Symmetric InfoNCE of paired representations; row i of x and row i of y are a positive pair.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        tau: the temperature itself, `(*R,)` or a scalar tensor.
        chunk: rows of the n × n logits in memory at a time, for large n; None: all, which is faster.

    Returns:
        The loss per replicate in nats, `(*R,)`: ½ (CE x→y + CE y→x), each a mean over the n pairs.
    """
    x, y, tau = _widened(x), _widened(y), _widened(tau)
    with without_autocast(x.device):
        x = x / tau[..., None, None]  # τ divides n·d numbers here instead of n²
        if chunk is not None and chunk < x.shape[-2]:
            x_to_y, y_to_x = blockwise.both_ways(x, y, chunk)
            return (x_to_y + y_to_x).mean(-1) / 2
        logits = x @ y.mT
        x_to_y = logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
        y_to_x = logits.mT.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
        return -(x_to_y + y_to_x).mean(-1) / 2


def cross_entropy(x: Tensor, y: Tensor, tau: Tensor, first: int, chunk: int | None = None) -> Tensor:
    """One direction of InfoNCE for some rows of a batch: mean CE of each x_i among all y_j, per replicate `(*R,)`.

    Args:
        x: some rows' normalised representations, `(*R, n, d)`.
        y: all rows' normalised representations in the other modality, `(*R, N, d)`.
        tau: the temperature itself, `(*R,)` or a scalar tensor.
        first: the row of y that is the partner of row 0 of x; those of the others follow.
        chunk: rows of the n × N logits in memory at a time; None: all.
    """
    x, y, tau = _widened(x), _widened(y), _widened(tau)
    with without_autocast(x.device):
        x = x / tau[..., None, None]
        if chunk is not None and chunk < x.shape[-2]:
            return blockwise.one_way(x, y, first, chunk).mean(-1)
        return -(x @ y.mT).log_softmax(-1).diagonal(first, dim1=-2, dim2=-1).mean(-1)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Matrix products in the precision of their factors."""
    known = torch.amp.is_autocast_available(device.type)  # not on meta, where memory is estimated
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def _widened(tensor: Tensor) -> Tensor:
    """The same in float32, or in float64 if it is that."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class LearnedTemperature(nn.Module):
    """τ = exp(scale · s) + minimum with a learned scalar s per replicate (paper: scale 4 or 2, minimum 1e-4).

    Args:
        scale: c, which gives τ a larger step than Adam's; 4 for synthetic data, 2 for real data.
        minimum: τ_min, the floor under the temperature.
        initial: s₀; 0 starts at τ = 1 + minimum.
        replicates: the shape R.
    """

    def __init__(
        self,
        scale: PositiveFloat = 4.0,
        minimum: NonNegativeFloat = 1e-4,
        initial: float = 0.0,
        replicates: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.scale, self.minimum = scale, minimum
        self.s = nn.Parameter(torch.full(replicates, float(initial)))

    def forward(self) -> Tensor:
        """The temperature, `(*R,)`."""
        return torch.exp(self.scale * self.s) + self.minimum


class FixedTemperature(nn.Module):
    """A τ that is not trained: the contrast to `LearnedTemperature`."""

    value: Tensor

    def __init__(self, tau: PositiveFloat = 0.1, replicates: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_buffer("value", torch.full(replicates, float(tau)))

    def forward(self) -> Tensor:
        """The temperature, `(*R,)`."""
        return self.value


class PopulationSimilarity(nn.Module):
    """Divide by the mean norm of the encoder's output over the append rows, gradient included (the paper's).

    f(x) / mean‖f(x_append)‖: one number per encoder, so the representation keeps its shape and ID.

    Args:
        rows: how many of the append rows a training step uses, the next ones each time; None, or where there are no
            more: all of them, as in the paper, which is four fifths of a step's work. Evaluation always uses all.
    """

    needs_population = True

    def __init__(self, rows: PositiveInt | None = None) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, population: Tensor) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)` by those of the append rows, `(*R, n_append, d)`."""
        norm = torch.linalg.vector_norm(_widened(population), dim=-1).mean(-1).clamp_min(SMALLEST_NORM)
        return _widened(rows) / norm[..., None, None]


class CosineSimilarity(nn.Module):
    """Divide each vector by its own norm: CLIP's usual choice and the paper's ablation."""

    needs_population = False

    def forward(self, rows: Tensor, population: Tensor | None = None) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, each to length 1."""
        return nn.functional.normalize(_widened(rows), dim=-1, eps=SMALLEST_NORM)

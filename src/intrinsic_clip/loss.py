"""The contrastive loss: symmetric InfoNCE, the temperature τ, and the two similarity normalisations.

    L(f, g, τ) = ½ (CE over rows + CE over columns) of S / τ,   S_ij = ⟨f(x_i), g(y_j)⟩

Gui, Ma, Ma, *Multi-modal contrastive learning adapts to intrinsic dimensions of shared latent variables*,
NeurIPS 2025, section 2. Everything takes leading replicate axes R: independent trainings side by side.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

SMALLEST_NORM = 1e-12  # keeps an encoder that has collapsed to zero from dividing by zero


def info_nce(x: Tensor, y: Tensor, tau: Tensor) -> Tensor:
    """Symmetric InfoNCE of paired representations; row i of x and row i of y are a positive pair.

    Args:
        x, y: normalised representations, `(*R, n, d)`.
        tau: the temperature itself, `(*R,)` or a scalar tensor.

    Returns:
        The loss per replicate in nats, `(*R,)`: ½ (CE x→y + CE y→x), each a mean over the n pairs.
    """
    logits = (x / tau[..., None, None]) @ y.mT  # τ divides n·d numbers here instead of n²
    x_to_y = logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
    y_to_x = logits.mT.log_softmax(-1).diagonal(dim1=-2, dim2=-1)
    return -(x_to_y + y_to_x).mean(-1) / 2


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
        rows: how many of the append rows a training step uses, the next ones each time; None: all of them, as in the
            paper, which is four fifths of a step's work. Evaluation always uses all.
    """

    needs_population = True

    def __init__(self, rows: PositiveInt | None = None) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, population: Tensor) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)` by those of the append rows, `(*R, n_append, d)`."""
        return (
            rows
            / torch.linalg.vector_norm(population, dim=-1).mean(-1).clamp_min(SMALLEST_NORM)[..., None, None]
        )


class CosineSimilarity(nn.Module):
    """Divide each vector by its own norm: CLIP's usual choice and the paper's ablation."""

    needs_population = False

    def forward(self, rows: Tensor, population: Tensor | None = None) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, each to length 1."""
        return nn.functional.normalize(rows, dim=-1, eps=SMALLEST_NORM)

"""Normalisations of encoder outputs, which define the similarity ⟨f(x), g(y)⟩."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.precision import widened

SMALLEST_NORM = 1e-12  # keeps an encoder that has collapsed to zero from dividing by zero


class PopulationSimilarity(nn.Module):
    """Normalisation by the mean norm of the encoder's output over the append rows, gradient included (the paper's).

    f(x) / mean‖f(x_append)‖: one number per encoder, so the representation keeps its shape and intrinsic dimension.

    Args:
        rows: number of append rows that a training step uses, the next ones each time. None, or a number larger than
            there are: all of them, as in the paper, which takes four fifths of a step's work. Evaluation always uses
            all.
    """

    needs_population = True

    def __init__(self, rows: PositiveInt | None = None) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, population: Tensor) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)` by those of the append rows, `(*R, n_append, d)`."""
        norm = torch.linalg.vector_norm(widened(population), dim=-1).mean(-1).clamp_min(SMALLEST_NORM)
        return widened(rows) / norm[..., None, None]


class CosineSimilarity(nn.Module):
    """Normalisation of each vector by its own norm: CLIP's usual choice and the paper's ablation."""

    needs_population = False

    def forward(self, rows: Tensor, population: Tensor | None = None) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, each to length 1."""
        return nn.functional.normalize(widened(rows), dim=-1, eps=SMALLEST_NORM)

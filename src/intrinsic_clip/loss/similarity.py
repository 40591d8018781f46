"""Normalisations of encoder outputs, which define the similarity ⟨f(x), g(y)⟩."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.precision import widened
from intrinsic_clip.seeding import generator
from intrinsic_clip.typed_values import checked

# Keeps an encoder that has collapsed to zero from dividing by zero; as in PyTorch's normalize, and in the kernels.
SMALLEST_NORM = 1e-12

Population = Literal["append", "renewed", "batch"]
Momentum = Annotated[float, Ge(0), Lt(1)]


def mean_norm(rows: Tensor) -> Tensor:
    """Return the mean Euclidean norm of rows `(*R, n, d)`, `(*R,)` in float32."""
    return torch.linalg.vector_norm(widened(rows), dim=-1).mean(-1).clamp_min(SMALLEST_NORM)


class PopulationSimilarity(nn.Module):
    """Normalisation by the mean norm of the encoder's output over the population, gradient included (the paper's).

    f(x) / mean‖f(population)‖: one number per encoder, so the representation keeps its shape and intrinsic dimension.
    The paper's population are the append rows, which take part in training: where they are few, training can shrink
    their norm below that of all other rows. The other choices are there to prevent it. Evaluation always uses all
    append rows, which are held out if training does not use them.

    Args:
        rows: number of rows of the population that a training step uses. Of the append rows these are the next ones
            each time; None, or a number larger than there are: all of them, as in the paper, which takes four fifths of
            a step's work. Of the training rows: how many are drawn; None: as many as there are append rows.
        over: the population of a training step: the `append` rows, training rows that are `renewed` in each epoch by a
            random draw, or the `batch` itself.
        stop_gradient: take the norm as a constant, which lets the norms run away; a control, not a remedy.
        seed: of the draws of `renewed`, which are the same for every replicate.

    Raises:
        ConfigError: `rows` with `over=batch`, which always takes the whole batch.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import PopulationSimilarity
        >>> rows = torch.tensor([[3.0, 4.0], [6.0, 8.0]])
        >>> normalised = PopulationSimilarity()(rows, population=rows)
        >>> [round(norm, 3) for norm in normalised.norm(dim=-1).tolist()]  # 5 and 10, divided by their mean
        [0.667, 1.333]
    """

    needs_population = True

    @checked("objective.similarity")
    def __init__(
        self,
        rows: PositiveInt | None = None,
        over: Population = "append",
        stop_gradient: bool = False,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        if over == "batch" and rows is not None:
            raise ConfigError(
                f"objective.similarity.rows={rows}: must be null with over=batch, which takes all rows"
            )
        self.rows, self.over, self.stop_gradient, self.seed = rows, over, stop_gradient, seed

    def forward(self, rows: Tensor, population: Tensor) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)` by those of the population, `(*R, n_population, d)`."""
        return self.by_norm(rows, mean_norm(population))

    def by_norm(self, rows: Tensor, norm: Tensor) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, given the mean norm of those of the population, `(*R,)`."""
        return widened(rows) / (norm.detach() if self.stop_gradient else norm)[..., None, None]

    def draw(self, epoch: int, available: int, number: int, shuffled: bool = False) -> Tensor:
        """Return the training rows that are the population in an epoch, `(number,)`, each at most once.

        They depend on seed and epoch alone, so that a resumed training draws what an uninterrupted one does.

        Args:
            epoch: counted from 0.
            available: training rows.
            number: how many to draw where `rows` does not say it.
            shuffled: whether the batches come in an order of the epoch's own, which is the permutation of (seed, epoch)
                where the seeds are equal: the population would be the first batches, not a draw of its own.
        """
        place = (epoch, 1) if shuffled else (epoch,)
        return torch.randperm(available, generator=generator(self.seed, *place))[: self.rows or number]


class MovingAverageSimilarity(nn.Module):
    """Normalisation by a moving average of the batches' mean norms, with the gradient of the latest.

    A training step sets N ← momentum · N + (1 - momentum) · mean‖f(batch)‖ and divides by N; the first one sets N to
    its mean norm. In the gradient N changes in proportion to the batch's norm, so that no step gains by a mere change
    of scale, which would make the norms run away. Evaluation divides by N as it is, and before the first step by the
    mean norm of the rows themselves.

    Args:
        momentum: share of the average that a step keeps; 0: each batch by its own norm.
        replicates: the shape R.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import MovingAverageSimilarity
        >>> similarity = MovingAverageSimilarity(momentum=0.5)
        >>> for norm in (2.0, 4.0):
        ...     _ = similarity(torch.tensor([[norm, 0.0]]))
        >>> float(similarity.x_norm)  # half of 2 and half of 4
        3.0
    """

    needs_population = False
    over: Population = "batch"
    per_encoder = True
    x_norm: Tensor
    y_norm: Tensor

    @checked("objective.similarity")
    def __init__(self, momentum: Momentum = 0.99, replicates: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("x_norm", torch.full(replicates, torch.nan))
        self.register_buffer("y_norm", torch.full(replicates, torch.nan))

    def forward(
        self, rows: Tensor, population: Tensor | None = None, side: Literal["x", "y"] = "x"
    ) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, and in training mode move the average.

        Args:
            rows: to normalise.
            population: the batch's outputs where other processes have rows of it too; None: the rows.
            side: whose average it is.
        """
        kept = self.get_buffer(f"{side}_norm")
        latest = mean_norm(rows if population is None else population)
        if not self.training:
            return widened(rows) / torch.where(kept.isnan(), latest, kept)[..., None, None]
        fixed = latest.detach()
        moved = torch.where(kept.isnan(), fixed, self.momentum * kept + (1 - self.momentum) * fixed)
        kept.copy_(moved)
        return widened(rows) / (moved * (latest / fixed))[..., None, None]


class CosineSimilarity(nn.Module):
    """Normalisation of each vector by its own norm: CLIP's usual choice and the paper's ablation.

    As with PyTorch's `normalize`, norms may be 1e-12 to 1e19 (float64: 1e153). Shorter vectors are divided by 1e-12, so
    that zeros stay zeros; the squares of longer ones are infinite, which makes these zeros.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import CosineSimilarity
        >>> CosineSimilarity()(torch.tensor([[3.0, 0.0], [0.0, 0.5]])).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    needs_population = False

    def forward(self, rows: Tensor, population: Tensor | None = None) -> Tensor:
        """Normalise encoder outputs `(*R, n, d)`, each to length 1."""
        return nn.functional.normalize(widened(rows), dim=-1, eps=SMALLEST_NORM)


class NoNormalisation(nn.Module):
    """Leave encoder outputs as they are, for objectives that bound them by themselves.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import NoNormalisation
        >>> NoNormalisation()(torch.tensor([[3.0, 4.0]])).tolist()
        [[3.0, 4.0]]
    """

    needs_population = False

    def forward(self, rows: Tensor, population: Tensor | None = None) -> Tensor:
        """Return encoder outputs `(*R, n, d)` in float32 or wider."""
        return widened(rows)

"""Cross-validation: predict every row by a model that has not seen it."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from intrinsic_clip.dimension.scaling import scale_of
from intrinsic_clip.seeding import seeded

Model = Callable[[Tensor, Tensor, Tensor], Tensor]


def split(n: int, folds: int, seed: int) -> list[Tensor]:
    """Shuffle the rows with a seed and cut them into folds whose sizes differ by at most one.

    Raises:
        ValueError: fewer than 2 folds, or fewer than 2 rows per fold.
    """
    if folds < 2:
        raise ValueError(f"cross-validation needs at least 2 folds, got {folds}")
    if n < 2 * folds:
        raise ValueError(f"{folds} folds need at least {2 * folds} rows, got {n}")
    order = torch.randperm(n, generator=seeded(seed))
    return list(order.tensor_split(folds))


def predict(x: Tensor, z: Tensor, parts: Sequence[Tensor], model: Model) -> Tensor:
    """Predict every row's z from its x, `(n, k)`; NaN if x or z is not finite.

    Args:
        x: inputs, `(n, d)`; brought to mean 0 and standard deviation 1 over the training rows.
        z: targets, `(n, k)`; brought to mean 0, and the mean added to the prediction.
        parts: the rows of each fold.
        model: training x, training z, test x → test z.
    """
    x, z = x.double(), z.double()
    predicted = torch.full_like(z, math.nan)
    if not (x.isfinite().all() and z.isfinite().all()):
        return predicted
    x = x / scale_of(x, -2)  # standard deviations of extreme columns overflow or vanish
    for test in parts:
        test = test.to(x.device)
        training = torch.ones(len(x), dtype=torch.bool, device=x.device)
        training[test] = False
        x_training, x_test = _standardised(x[training], x[test])
        mean = z[training].mean(0)
        predicted[test] = model(x_training, z[training] - mean, x_test) + mean
    return predicted


def ridge(x: Tensor, z: Tensor, queries: Tensor, strength: float) -> Tensor:
    """Predict linearly, queries · W with the W of the least ‖z − x W‖² + strength ‖W‖²."""
    gram = x.mT @ x
    gram.diagonal().add_(strength)
    return queries @ torch.linalg.solve(gram, x.mT @ z)


def _standardised(training: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Standardise both by the training rows' mean and deviation (over n); a constant column is only centred."""
    origin = training[0]  # makes constant columns exactly zero, which rounding of their mean would prevent
    training, test = training - origin, test - origin
    mean, deviation = training.mean(0), training.std(0, correction=0)
    deviation = deviation.where(deviation > 0, 1.0)
    return (training - mean) / deviation, (test - mean) / deviation

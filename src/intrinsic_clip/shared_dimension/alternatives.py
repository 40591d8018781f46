"""Ask other methods how many dimensions are shared: CCA, joint intrinsic dimension, and the trained representation."""

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, mle, twonn
from intrinsic_clip.metrics import retrieval_by_dimension, smallest_sufficient
from intrinsic_clip.shared_dimension.views import WIDEST, prepared

if TYPE_CHECKING:
    from intrinsic_clip.shared_dimension.estimate import SharedDimension

PERMUTATIONS = 99
LEVEL = 0.05
ROWS = 5000  # pairs, at most, that neighbours are searched among
KEPT = 0.99  # share of the full matching that counts as enough


def alternatives(x: Tensor, y: Tensor, estimate: "SharedDimension", seed: int = 0) -> list[dict[str, Any]]:
    """Return what each other method says: a name, a title, and a value, None where it has none.

    Args:
        x, y: the views, `(n, width)`.
        estimate: of the same views, which holds the trained representations of held-out pairs.
        seed: of permutations and halves.
    """
    left, right = (prepared(side, 1, WIDEST, seed).rows for side in (x, y))
    rows = torch.randperm(len(left), generator=torch.Generator().manual_seed(seed))[:ROWS]
    f, g = estimate.representations
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about duplicates and the like; the values are for comparison
        answers: dict[str, tuple[str, float | None]] = {
            "cca": ("rank of CCA, permutation test", cca_rank(left, right, seed)),
            "joint_twonn": ("ID(x) + ID(y) − ID(x, y), TwoNN", joint_dimension(left[rows], right[rows])),
            "mle_x": ("MLE of a trained f(X)", _value(mle(f))),
            "mle_y": ("MLE of a trained g(Y)", _value(mle(g))),
            "twonn_x": ("TwoNN of a trained f(X)", _value(twonn(f))),
            "twonn_y": ("TwoNN of a trained g(Y)", _value(twonn(g))),
            "sufficient": (
                f"fewest directions that keep {KEPT:.0%} of top-1 matching",
                _sufficient(f, g, seed),
            ),
        }
    return [{"name": name, "title": title, "value": value} for name, (title, value) in answers.items()]


def cca_rank(x: Tensor, y: Tensor, seed: int = 0) -> int:
    """Return how many canonical correlations exceed the 95 % quantile of the largest of permuted pairs.

    Args:
        x, y: `(n, p_x)` and `(n, p_y)`.
        seed: of the permutations.
    """
    x, y = _orthonormal(x), _orthonormal(y)
    generator = torch.Generator().manual_seed(seed)
    correlations = torch.linalg.svdvals(x.T @ y)
    largest = torch.stack(
        [
            torch.linalg.svdvals(x.T @ y[torch.randperm(len(y), generator=generator)]).max()
            for _ in range(PERMUTATIONS)
        ]
    )
    return int((correlations > largest.quantile(1 - LEVEL)).sum())


def joint_dimension(x: Tensor, y: Tensor) -> float | None:
    """Return ID(x) + ID(y) − ID(x, y) by TwoNN; None where one of them does not exist."""
    parts = [_value(twonn(side)) for side in (x, y, torch.cat([x, y], 1))]
    first, second, joint = parts
    return None if first is None or second is None or joint is None else first + second - joint


def _orthonormal(rows: Tensor) -> Tensor:
    """Return an orthonormal basis of the centred columns."""
    rows = rows.double() - rows.double().mean(0)
    left, strengths, _ = torch.linalg.svd(rows, full_matrices=False)
    return left[:, strengths > 1e-6 * strengths[0]]


def _value(estimate: DimensionEstimate) -> float | None:
    """Return the mean over replicates as a plain number; None for NaN."""
    value = float(estimate.value.double().mean())
    return value if value == value else None


def _sufficient(f: Tensor, g: Tensor, seed: int) -> int | None:
    """Return the fewest canonical directions of the first replicate that keep matching; None where none do."""
    dims = range(1, f.shape[-1] + 1)
    fewest = smallest_sufficient(retrieval_by_dimension(f[0], g[0], dims, "canonical", seed=seed), KEPT)
    return int(fewest.dims) if int(fewest.dims) > 0 else None

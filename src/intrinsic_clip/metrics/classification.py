"""How well a representation tells labels apart.

Equal scores share what there is to win, as in `matching`: a row counts with its expected share of right answers,
as if the order among equal scores were drawn at random.
"""

import math
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.metrics.alignment import check_pairs, directions
from intrinsic_clip.metrics.blocks import row_blocks
from intrinsic_clip.metrics.crossvalidation import predict, ridge, split

SAME = 1e-12  # cosines of float64 directions this close are equal: they differ by rounding


@torch.no_grad()
def knn_accuracy(x: Tensor, labels: Tensor, k: int = 20) -> Tensor:
    """The share of rows whose label most of their k nearest others have, by cosine; leave-one-out, `(*R,)` float64.

    Every row is classified by all other rows, each neighbour having one vote. Where several rows tie for
    the last places among the neighbours, each gets its share of a vote; labels with equally many votes share the
    row. A zero vector has no direction and cosine 0 with all.

    Args:
        x: representations, `(*R, n, d)`.
        labels: of the rows, `(n,)` int64.
        k: neighbours; fewer than n.

    Returns:
        NaN where a value is not finite.

    Raises:
        ValueError: labels that do not fit, or k not in 1 … n − 1.
    """
    classes = _classes(x, labels)
    *replicates, n, d = x.shape
    if not 1 <= k <= n - 1:
        raise ValueError(f"k must lie between 1 and the {n - 1} other rows, got {k}")
    flat = x.reshape(math.prod(replicates), n, d)
    shares = torch.full((len(flat),), math.nan, dtype=torch.float64, device=x.device)
    for r, rows in enumerate(flat):
        if rows.isfinite().all():
            shares[r] = _vote_share(directions(rows), classes, k)
    return shares.reshape(replicates)


@torch.no_grad()
def linear_accuracy(
    x: Tensor, labels: Tensor, strength: float = 1.0, folds: int = 5, seed: int = 0
) -> Tensor:
    """The share of rows whose label a linear classifier finds that has not seen them, `(*R,)` float64.

    Ridge regression of +1 for a row's label and −1 for all others on x, standardised; the label with the
    highest score wins: scikit-learn's `RidgeClassifier` behind a `StandardScaler` and `cross_val_predict`. It
    has a closed form, so unlike logistic regression it depends on no solver.

    Args:
        x: representations, `(*R, n, d)`.
        labels: of the rows, `(n,)` int64.
        strength: of the ridge penalty beside the sum of squares over the training rows; positive.
        folds: in how many parts the rows are cut.
        seed: of the drawing of the folds, which all replicates share.

    Returns:
        NaN where a value is not finite.

    Raises:
        ValueError: labels that do not fit, a strength that is not positive, or fewer than 2 rows per fold.
    """
    classes = _classes(x, labels)
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength}")
    *replicates, n, d = x.shape
    parts = split(n, folds, seed)
    targets = torch.nn.functional.one_hot(classes).double() * 2 - 1
    flat = x.reshape(math.prod(replicates), n, d)
    shares = torch.empty(len(flat), dtype=torch.float64, device=x.device)
    for r, rows in enumerate(flat):
        shares[r] = _winner_share(predict(rows, targets, parts, partial(ridge, strength=strength)), classes)
    return shares.reshape(replicates)


@torch.no_grad()
def zero_shot_accuracy(x: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    """The share of rows of x whose label has the nearest class prompt, by cosine, `(*R,)` float64.

    The prompt of a class is the direction of the mean of its rows' directions in y (Radford and others, *Learning
    transferable visual models from natural language supervision*, ICML 2021, section 3.1.4), so y should hold what
    its class is called: of captions that tell more, a row's own is part of what it is compared with.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.
        labels: of the rows, `(n,)` int64.

    Returns:
        NaN where a value is not finite.

    Raises:
        ValueError: x and y differ in shape, or labels that do not fit.
    """
    check_pairs(x, y)
    classes = _classes(x, labels)
    *replicates, n, d = x.shape
    members = torch.nn.functional.one_hot(classes).double()
    flat = zip(x.reshape(-1, n, d), y.reshape(-1, n, d), strict=True)
    shares = [
        _winner_share(directions(x_r) @ directions(members.T @ directions(y_r)).T, classes)
        for x_r, y_r in flat
    ]
    return torch.stack(shares).reshape(replicates)


def _classes(x: Tensor, labels: Tensor) -> Tensor:
    """The labels as 0, 1, … on x's device."""
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise ValueError(f"x must be (*R, n, d) and not empty, got shape {tuple(x.shape)}")
    if labels.shape != x.shape[-2:-1] or labels.dtype != torch.int64:
        raise ValueError(
            f"labels must be ({x.shape[-2]},) int64, got shape {tuple(labels.shape)} of {labels.dtype}"
        )
    return labels.to(x.device).unique(return_inverse=True)[1]


def _vote_share(rows: Tensor, classes: Tensor, k: int) -> Tensor:
    """`knn_accuracy` of one replicate's directions, `(n, d)`."""
    n, count = len(rows), int(classes.max()) + 1
    right = rows.new_empty(n)
    for block in row_blocks(n, n + count, rows.device):
        cosines = rows[block] @ rows.T
        cosines[torch.arange(len(block), device=rows.device), block] = -math.inf
        last = cosines.topk(k).values[:, -1:]
        nearer, tied = cosines > last + SAME, (cosines - last).abs() <= SAME
        places = (k - nearer.sum(1)) / tied.sum(1).double()
        votes = rows.new_zeros(len(block), count)
        for which, weight in ((nearer, torch.ones_like(places)), (tied, places)):
            query, neighbour = which.nonzero(as_tuple=True)
            votes.index_put_((query, classes[neighbour]), weight[query], accumulate=True)
        right[block] = _shares(votes, classes[block])
    return right.mean()


def _winner_share(scores: Tensor, classes: Tensor) -> Tensor:
    return _shares(scores, classes).mean()


def _shares(scores: Tensor, classes: Tensor) -> Tensor:
    """1 / (labels that share the highest score) if the row's own is one of them, else 0; NaN if not finite, `(n,)`."""
    best = scores >= scores.amax(1, keepdim=True) - 1e-9
    own = best.gather(1, classes[:, None]).squeeze(1)
    return (own / best.sum(1).double()).where(scores.isfinite().all(1), math.nan)

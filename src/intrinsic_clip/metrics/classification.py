"""Classification accuracy on a representation: nearest neighbours, linear and zero-shot.

Equal scores share the credit, as in `matching`: a row counts with its expected share of right answers, as if the
order among equal scores were drawn at random.
"""

import math
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, Rows, as_labels, as_points, whole_number
from intrinsic_clip.metrics.alignment import as_pairs, directions, each_replicate
from intrinsic_clip.metrics.crossvalidation import predict, ridge, split
from intrinsic_clip.metrics.row_blocks import row_blocks

SAME = 1e-12  # cosines of float64 directions this close count as equal: they differ by rounding


@torch.no_grad()
def knn_accuracy(x: Rows, labels: Labels, k: int = 20, things: Tensor | None = None) -> Tensor:
    """Return the leave-one-out accuracy of a vote among the k nearest rows by cosine, `(*R,)` float64.

    Every row is classified by its k nearest other rows, each having one vote for its label. Where several rows
    tie for the last places among the neighbours, each gets its share of a vote; labels with equally many votes
    share the row. A zero vector has no direction and cosine 0 with all. Copies of a row, as an image beside each of its
    captions has, tell its label whatever the representation is; `things` keeps them from voting for one another.

    Args:
        x: representations, `(*R, n, d)`.
        labels: class numbers or names of the rows, `(n,)`; true and false are two classes.
        k: neighbours; fewer than n, and no more than there are rows of other things.
        things: int64 `(n,)`; rows of equal numbers have no vote for one another, as `distinct_rows` gives them. None:
            all rows are different things.

    Returns:
        The share of rows classified right; NaN where a value is not finite.

    Raises:
        ValueError: labels or things that do not fit, or k not in 1 … the other rows.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import knn_accuracy
        >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        >>> float(knn_accuracy(x, torch.tensor([0, 0, 1, 1]), k=1))
        1.0
    """
    x = as_points(x, "x")
    classes = _classes(x, labels)
    *replicates, n, d = x.shape
    groups = _groups(things, n, x.device)
    others = n - int(groups.bincount().max())
    if not 1 <= k <= others:
        raise ValueError(f"k must lie between 1 and the {others} other rows, got {k}")
    k = whole_number("k", k, 1)
    flat = x.reshape(math.prod(replicates), n, d)
    shares = torch.full((len(flat),), math.nan, dtype=torch.float64, device=x.device)
    for r, rows in enumerate(flat):
        if rows.isfinite().all():
            shares[r] = _vote_share(directions(rows), classes, k, groups)
    return shares.reshape(replicates)


@torch.no_grad()
def linear_accuracy(
    x: Rows,
    labels: Labels,
    strength: float = 1.0,
    folds: int = 5,
    seed: int = 0,
    things: Tensor | None = None,
) -> Tensor:
    """Return the cross-validated accuracy of a linear classifier, `(*R,)` float64.

    The classifier is a ridge regression on standardised x of +1 for a row's label and −1 for all others; the label
    with the highest score wins. The values are those of scikit-learn's `RidgeClassifier` behind a `StandardScaler`
    and `cross_val_predict`. It has a closed form, so unlike logistic regression it depends on no solver.

    Args:
        x: representations, `(*R, n, d)`.
        labels: class numbers or names of the rows, `(n,)`; true and false are two classes.
        strength: weight of the ridge penalty relative to the sum of squares over the training rows; positive.
        folds: number of parts that the rows are cut into.
        seed: seed of the draw of the folds, which all replicates share.
        things: int64 `(n,)`; rows of equal numbers, such as copies of an image, are in one fold. None: all rows are
            different things.

    Returns:
        The share of rows classified right; NaN where a value is not finite.

    Raises:
        ValueError: labels or things that do not fit, a strength that is not positive, or fewer than 2 rows (or things)
            per fold.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import linear_accuracy
        >>> labels = torch.arange(100) % 4
        >>> x = torch.eye(4)[labels] + 0.1 * torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> float(linear_accuracy(x, labels))
        1.0
    """
    x = as_points(x, "x")
    classes = _classes(x, labels)
    if not strength > 0:
        raise ValueError(f"strength must be positive, got {strength}")
    *replicates, n, d = x.shape
    groups = _groups(things, n, torch.device("cpu"))
    drawn = split(int(groups.max()) + 1, folds, seed)
    parts = [torch.isin(groups, part).nonzero()[:, 0] for part in drawn] if things is not None else drawn
    targets = torch.nn.functional.one_hot(classes).double() * 2 - 1
    flat = x.reshape(math.prod(replicates), n, d)
    shares = torch.empty(len(flat), dtype=torch.float64, device=x.device)
    for r, rows in enumerate(flat):
        shares[r] = _winner_share(predict(rows, targets, parts, partial(ridge, strength=strength)), classes)
    return shares.reshape(replicates)


@torch.no_grad()
def zero_shot_accuracy(x: Rows, y: Rows, labels: Labels) -> Tensor:
    """Return the share of rows of x whose nearest class prompt, by cosine, is that of their label, `(*R,)` float64.

    The prompt of a class is the direction of the mean of its rows' directions in y (Radford and others, *Learning
    transferable visual models from natural language supervision*, ICML 2021, section 3.1.4), so the texts of y
    should name the class only: if they are captions that say more, a row's own caption is part of the prompt it is
    compared with.

    Args:
        x, y: representations, `(*R, n, d)`; row i of x and row i of y are a pair.
        labels: class numbers or names of the rows, `(n,)`; true and false are two classes.

    Returns:
        The share of rows classified right; NaN where a value is not finite.

    Raises:
        ValueError: x and y differ in shape, or labels that do not fit.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import zero_shot_accuracy
        >>> labels = torch.tensor([0, 1, 1])
        >>> prompts = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[labels]
        >>> x = torch.tensor([[2.0, 1.0], [1.0, 2.0], [2.0, 1.0]])
        >>> round(float(zero_shot_accuracy(x, prompts, labels)), 3)
        0.667
    """
    x, y = as_pairs(x, y)
    classes = _classes(x, labels)
    members = torch.nn.functional.one_hot(classes).double()
    shares = [
        _winner_share(directions(x_r) @ directions(members.T @ directions(y_r)).T, classes)
        for x_r, y_r in each_replicate(x, y)
    ]
    return torch.stack(shares).reshape(x.shape[:-2])


def _classes(x: Tensor, labels: Labels) -> Tensor:
    """Check the labels and return them as 0, 1, … on x's device."""
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise ValueError(f"x must be (*R, n, d) and not empty, got shape {tuple(x.shape)}")
    labels = as_labels(labels)
    if labels.shape != x.shape[-2:-1] or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels must be ({x.shape[-2]},) class numbers or names, got shape {tuple(labels.shape)} of {labels.dtype}"
        )
    labels = labels.long()
    return labels.to(x.device).unique(return_inverse=True)[1]


def _groups(things: Tensor | None, n: int, device: torch.device) -> Tensor:
    """Check the things and return them as 0, 1, … on a device; without any, all rows are different ones.

    Raises:
        ValueError: they are not `(n,)`.
    """
    if things is None:
        return torch.arange(n, device=device)
    if things.shape != (n,):
        raise ValueError(f"things must be ({n},), got shape {tuple(things.shape)}")
    return things.to(device).unique(return_inverse=True)[1]


def _vote_share(rows: Tensor, classes: Tensor, k: int, groups: Tensor) -> Tensor:
    """Return the `knn_accuracy` of one replicate's directions, `(n, d)`, where rows of a group have no vote in it."""
    n, count = len(rows), int(classes.max()) + 1
    right = rows.new_empty(n)
    for block in row_blocks(n, n + count, rows.device):
        cosines = rows[block] @ rows.T
        cosines[groups[block][:, None] == groups] = -math.inf
        last = cosines.topk(k).values[:, -1:]
        nearer, tied = cosines > last + SAME, (cosines - last).abs() <= SAME
        places = (k - nearer.sum(1)) / tied.sum(1).double()
        votes = rows.new_zeros(len(block), count)
        for neighbours, weight in ((nearer, torch.ones_like(places)), (tied, places)):
            query, neighbour = neighbours.nonzero(as_tuple=True)
            votes.index_put_((query, classes[neighbour]), weight[query], accumulate=True)
        right[block] = _shares(votes, classes[block])
    return right.mean()


def _winner_share(scores: Tensor, classes: Tensor) -> Tensor:
    return _shares(scores, classes).mean()


def _shares(scores: Tensor, classes: Tensor) -> Tensor:
    """Return each row's share of a right answer, `(n,)`; NaN where a score is not finite.

    It is 1 / (labels that share the highest score) if the row's own label is one of them, else 0.
    """
    best = scores >= scores.amax(1, keepdim=True) - 1e-9
    own = best.gather(1, classes[:, None]).squeeze(1)
    return (own / best.sum(1).double()).where(scores.isfinite().all(1), math.nan)

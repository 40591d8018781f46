"""Symile: contrast whole tuples of modalities by their multilinear inner product.

    L = mean over modalities m of CE(m),   CE(m) = −mean_i log exp(s_ii / τ) / Σ_j exp(s_ij / τ),
    s_ii = Σ_d Π_k r_k[i, d],   s_ij = Σ_d r_m[i, d] Π_{k ≠ m} r_k[π_k(j), d]  for j ≠ i

Saporta, Puli, Goldstein and Ranganath, *Contrasting with Symile: simple model-agnostic representation learning for
unlimited modalities*, NeurIPS 2024. log n − L is a lower bound of the total correlation of the modalities, so the
negatives come from the product of their marginals: each of the other modalities is permuted by itself (the authors'
O(n) form, with n − 1 negatives for each row), or all n^(M − 1) combinations of their rows are candidates (their O(n²)
form for three modalities).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeInt
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.arguments import is_on_hand, modalities, temperature
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.seeding import generator
from intrinsic_clip.typed_values import checked


def symile(
    representations: Sequence[Tensor], tau: Tensor | float, permutations: Sequence[Tensor] | None = None
) -> Tensor:
    """Return the Symile loss of several modalities; for two modalities and all combinations it is InfoNCE.

    Args:
        representations: two or more modalities, each normalised, `(*R, n, d)`; row i of one belongs to row i of all.
        tau: the temperature itself, a number or `(*R,)`.
        permutations: one of the rows of each modality, `(n,)` int64: candidate j of a row has row π_k(j) of the other
            modalities k, and candidate i is the positive. None: all n^(M − 1) combinations of rows, whose memory grows
            with n^M.

    Returns:
        The loss per replicate in nats, `(*R,)`.

    Raises:
        ConfigError: shapes do not fit, permutations are missing or are none, or τ is not positive. As in `info_nce`, a
            τ that is learned, per replicate or on a GPU is not looked at, nor are permutations on a GPU.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import symile
        >>> x = torch.eye(4)
        >>> turned = [torch.arange(4).roll(shift) for shift in (1, 2, 3)]
        >>> round(float(symile([x, x, x], torch.tensor(0.1), turned)), 3)
        0.0
        >>> round(float(symile([x, x, x], torch.tensor(1.0))), 3)  # log(1 + 15 / e) of 16 candidates
        1.875
    """
    representations = modalities(representations)
    *representations, tau = in_widest_type(*representations, temperature(tau, representations[0]))
    if permutations is not None:
        _check_permutations(permutations, representations)
    with without_autocast(representations[0].device):
        losses = []
        for place, rows in enumerate(representations):
            others = [other for k, other in enumerate(representations) if k != place]
            rows = rows / tau[..., None, None]
            if permutations is None:
                losses.append(_among_all(rows, others))
            else:
                orders = [order for k, order in enumerate(permutations) if k != place]
                losses.append(_among_permuted(rows, others, orders))
        return torch.stack(losses).mean(0)


def _check_permutations(permutations: Sequence[Tensor], representations: Sequence[Tensor]) -> None:
    """Check that there is a permutation of the rows for each modality.

    Raises:
        ConfigError: there is not.
    """
    if len(permutations) != len(representations):
        raise ConfigError(
            f"{len(permutations)} permutations of {len(representations)} modalities: must be one of each"
        )
    n = representations[0].shape[-2]
    for place, order in enumerate(permutations):
        if (
            not isinstance(order, Tensor)
            or order.dtype not in (torch.int64, torch.int32)
            or order.shape != (n,)
        ):
            raise ConfigError(f"permutation {place}: must be a tensor of {n} row numbers, (n,) int64")
        if is_on_hand(order) and not torch.equal(order.sort().values, torch.arange(n, dtype=order.dtype)):
            raise ConfigError(f"permutation {place}: must hold each of the {n} row numbers once")


def _among_permuted(rows: Tensor, others: Sequence[Tensor], orders: Sequence[Tensor]) -> Tensor:
    """Return the mean cross-entropy of the positive among candidates whose rows are permuted, `(*R,)`."""
    permuted = [
        other.index_select(-2, order.to(other.device)) for other, order in zip(others, orders, strict=True)
    ]
    logits = rows @ _product(permuted).mT
    positive = (rows * _product(others)).sum(-1)
    on_diagonal = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    logits = torch.where(on_diagonal, positive[..., None], logits)
    return -logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(-1)


def _among_all(rows: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return the mean cross-entropy of the positive among all combinations of the others' rows, `(*R,)`."""
    candidates, n = others[0], rows.shape[-2]
    for other in others[1:]:
        candidates = (candidates[..., :, None, :] * other[..., None, :, :]).flatten(-3, -2)
    logits = rows @ candidates.mT
    step = sum(n**power for power in range(len(others)))  # from one tuple of equal row numbers to the next
    positives = logits[..., torch.arange(n), torch.arange(n) * step]
    return (logits.logsumexp(-1) - positives).mean(-1)


def _product(tensors: Sequence[Tensor]) -> Tensor:
    product = tensors[0]
    for tensor in tensors[1:]:
        product = product * tensor
    return product


class Symile(nn.Module):
    """The Symile loss; its permutations depend on the seed and the number of the training step alone.

    All replicates have the same permutations, and so have all processes.

    Args:
        negatives: permuted: n − 1 for each row, from new permutations at each step; all: every combination of rows, for
            small batches.
        seed: of the permutations.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Symile
        >>> x = torch.eye(4)
        >>> round(float(Symile("all")({"x": x, "y": x, "z": x}, torch.tensor(1.0))), 3)
        1.875
    """

    takes_temperature: ClassVar[bool] = True
    takes_modalities: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})
    step: Tensor

    @checked("objective")
    def __init__(self, negatives: Literal["permuted", "all"] = "permuted", seed: NonNegativeInt = 0) -> None:
        super().__init__()
        self.negatives, self.seed = negatives, seed
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))  # kept, so that a run can be resumed

    def forward(self, representations: Mapping[str, Tensor], tau: Tensor) -> Tensor:
        """Return the loss of modalities by name, `(*R, n, d)` each: `(*R,)`; in training mode move to the next step."""
        tensors = list(representations.values())
        if self.negatives == "all":
            return symile(tensors, tau)
        drawn = generator(self.seed, int(self.step))
        n = tensors[0].shape[-2]
        permutations = [torch.randperm(n, generator=drawn) for _ in tensors]
        if self.training:
            self.step += 1
        return symile(tensors, tau, permutations)

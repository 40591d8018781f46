"""Parts of objectives with n × n numbers, of which a few rows are in memory at a time."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.first_derivatives import outside_transforms

# For messages: what lacks something, and what would be right.
IN_CHUNKS = "a loss in chunks of rows", "set chunk=None"
RowTerms = Callable[[Tensor, Tensor, int], Tensor]


def by_rows(terms: RowTerms, x: Tensor, y: Tensor, chunk: int | None, dim: int = -1) -> Tensor:
    """Return what a function has for each row of x, given all rows of y, chunk by chunk.

    The function computes a chunk again for the gradient, which is exact; memory grows with chunk · n instead of n².

    Args:
        terms: takes some rows of x, all of y and the index of the first of these rows.
        x, y: `(*R, n, d)`.
        chunk: rows of x at a time; None: all.
        dim: the axis of the results that counts rows.
    """
    if chunk is None or chunk >= x.shape[-2]:
        return terms(x, y, 0)
    parts = []
    for first in range(0, x.shape[-2], chunk):
        rows = x[..., first : first + chunk, :]
        if torch.is_grad_enabled():
            parts.append(outside_transforms(_computed_again, *IN_CHUNKS, terms, rows, y, first))
        else:
            parts.append(terms(rows, y, first))
    return torch.cat(parts, dim)


def _computed_again(terms: RowTerms, rows: Tensor, y: Tensor, first: int) -> Tensor:
    """Return what a function has for some rows, which it computes again for the gradient."""
    part: Tensor = checkpoint(terms, rows, y, first, use_reentrant=False, preserve_rng_state=False)
    return part


def partners(similarities: Tensor, first: int) -> Tensor:
    """Return a mask of the pairs among similarities `(*R, rows, n)`, `(rows, n)`, given the index of row 0."""
    rows, columns = similarities.shape[-2:]
    index = torch.arange(columns, device=similarities.device)
    return index[first : first + rows, None] == index


def without_partners(similarities: Tensor, first: int) -> Tensor:
    """Return similarities `(*R, rows, n)` with −∞ for the pairs themselves."""
    return similarities.masked_fill(partners(similarities, first), -torch.inf)


def require_two_rows(x: Tensor, objective: str) -> None:
    """Refuse a batch of one row, in which nothing is compared.

    Raises:
        ConfigError: fewer than two rows in x, `(*R, n, d)`.
    """
    if x.shape[-2] < 2:
        raise ConfigError(f"a batch of {x.shape[-2]} row(s): {objective} needs at least 2 (data.batch_size)")

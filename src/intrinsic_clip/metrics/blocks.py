"""Rows of an n × n matrix in blocks of bounded memory."""

import torch
from torch import Tensor

CACHE_BYTES, BLOCK_BYTES = 2**22, 2**27  # of a block: what a core keeps at hand, and what fills a GPU
ENTRY_BYTES = 32  # of a number of the matrix and what is computed from it
FEW = 64  # rows, with fewer of which products of matrices are slow


def row_blocks(rows: int, columns: int, device: torch.device) -> tuple[Tensor, ...]:
    """Indices of the rows, block by block; on a CPU small ones, which are worked on without leaving the cache."""
    size = CACHE_BYTES if device.type == "cpu" else BLOCK_BYTES
    return torch.arange(rows, device=device).split(max(FEW, size // (ENTRY_BYTES * max(1, columns))))

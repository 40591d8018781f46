"""Blocks of rows in which the metrics go through an n × n matrix in bounded memory."""

import torch
from torch import Tensor

CACHE_BYTES, BLOCK_BYTES = 2**22, 2**27  # of a block: one fits a core's cache, the other keeps a GPU busy
ENTRY_BYTES = 32  # for an entry of the matrix and everything computed from it
FEW = 64  # rows: matrix products with fewer are slow


def row_blocks(rows: int, columns: int, device: torch.device) -> tuple[Tensor, ...]:
    """Return the indices of the rows, block by block; on a CPU the blocks fit the cache."""
    size = CACHE_BYTES if device.type == "cpu" else BLOCK_BYTES
    return torch.arange(rows, device=device).split(max(FEW, size // (ENTRY_BYTES * max(1, columns))))

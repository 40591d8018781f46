"""Gather rows of processes that talk by gloo; rank 0 writes what came of it."""

import json
import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.distributed import gather, shared_info_nce
from intrinsic_clip.loss.info_nce import info_nce

UNLIKE = {
    "rows": lambda rank: torch.ones(7 - rank, 4),
    "no rows of one": lambda rank: torch.ones(7 * (1 - rank), 4),
    "no rows": lambda rank: torch.ones(0, 4),
    "columns": lambda rank: torch.ones(7, 4 + rank),
    "replicates": lambda rank: torch.ones(2 - rank, 7, 4),
    "type": lambda rank: torch.ones(7, 4, dtype=torch.float64 if rank else torch.float32),
    "axes": lambda rank: torch.ones(7, 4) if rank else torch.ones(4),
}


def work(file: Path) -> None:
    """Refuse shares that differ, and differentiate twice through those that do not."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", timeout=timedelta(seconds=240))
    rank = distributed.get_rank()
    own: dict[str, Any] = {name: _refusal(share(rank)) for name, share in UNLIKE.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own["penalty"] = _error_of_penalty(rank)
    each: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(each, own)
    if int(os.environ["RANK"]) == 0:
        file.write_text(json.dumps(each))
    distributed.destroy_process_group()


def _refusal(rows: Tensor) -> str:
    """Return why rows are not gathered."""
    try:
        gather(rows)
    except ConfigError as error:
        return str(error)
    return "gathered"


def _error_of_penalty(rank: int) -> float:
    """Return how far the gradient of a squared gradient, summed over processes, is from that of one process."""
    x, y = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    part, tau = slice(4 * rank, 4 * rank + 4), torch.tensor(0.5, dtype=torch.float64)
    penalties = []
    for rows, loss in (
        (x[part], lambda rows: shared_info_nce(rows, y[part], tau) / distributed.get_world_size()),
        (x, lambda rows: info_nce(rows, y, tau)),
    ):
        leaf = rows.clone().requires_grad_()
        gradient = torch.autograd.grad(loss(leaf), leaf, create_graph=True)[0]
        penalties.append(torch.autograd.grad(gradient.square().sum(), leaf)[0])
    return float((penalties[0] - penalties[1][part]).abs().max())

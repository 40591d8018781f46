"""How much memory a run takes, told before it begins, so that replicates that do not fit are trained in chunks."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic_clip.data import PairedData
from intrinsic_clip.loss.info_nce import cross_entropy, info_nce
from intrinsic_clip.training.module import ContrastiveModule

SHARE_OF_FREE = 0.8
ADAM_COPIES = 4  # of the parameters: themselves, gradient, two moments
BACKWARD = 1.5  # gradients of activations, beside the activations kept for them
GIB = 2**30


def estimate(module: ContrastiveModule, data: PairedData) -> int:
    """Bytes that training and evaluation take at their peak, from shapes alone: nothing is computed or loaded.

    What a step keeps for its backward pass is counted by PyTorch itself, on tensors without content. Data that are
    shared by all replicates, and what Python and PyTorch themselves take (1.3 GiB on a CPU), are not counted.
    """
    assert data.d_x is not None  # known once the data are read
    assert data.d_y is not None
    twin: Any = copy.deepcopy(module).to("meta")
    sizes = {split: data.sizes[split] for split in ("train", "append", "test")}
    axes = tuple(twin.replicates.shape)
    own_data = axes[-1:] if getattr(data, "replicates", None) else ()
    twin.row_axis = len(own_data)

    def rows(n: int, d: int | tuple[int, ...]) -> Tensor:
        return torch.empty(*own_data, n, *((d,) if isinstance(d, int) else d), device="meta")

    x, y = (rows(data.batch_size, d) for d in (data.d_x, data.d_y))
    append = (twin._append_rows(rows(sizes["append"], d), step=0) for d in (data.d_x, data.d_y))
    step = BACKWARD * _kept_by_a_step(twin, x, y, *append)
    largest = max(sizes.values())
    evaluation = 4 * _bytes([twin.f(rows(largest, data.d_x)), twin.g(rows(largest, data.d_y))])
    evaluation += 2 * _largest_activation(twin.f, rows(largest, data.d_x))
    total_rows = sum(sizes.values())
    in_memory = _bytes([rows(total_rows, data.d_x), rows(total_rows, data.d_y)]) if own_data else 0
    return int(ADAM_COPIES * _bytes(twin.parameters()) + in_memory + max(step, evaluation))


def available(accelerator: str) -> float:
    """Bytes that a run may take by default: four fifths of what is free on the GPU or the machine."""
    if accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        return SHARE_OF_FREE * torch.cuda.mem_get_info()[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float("inf")  # not Linux: who runs many replicates there says memory_gb
    return SHARE_OF_FREE * 1024 * free


def chunks(indices: Sequence[int], bytes_of_one: float, limit: float) -> list[list[int]]:
    """Replicate indices in as few groups of like size as the limit allows, at least one in each."""
    fitting = max(1, int(limit // bytes_of_one))
    count = -(-len(indices) // fitting)
    size, more = divmod(len(indices), count)
    starts = [i * size + min(i, more) for i in range(count + 1)]
    return [list(indices[a:b]) for a, b in pairwise(starts)]


def _kept_by_a_step(twin: Any, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> int:
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        x, y = twin._represent(x, y, x_append, y_append)
        if twin.chunk is None:
            info_nce(x, y, twin.temperature()).sum()
        else:  # one block, of which as much is held as of the whole
            rows = [side[..., : twin.chunk, :] for side in (x, y)]
            cross_entropy(rows[0], y, twin.temperature(), 0)
            cross_entropy(rows[1], x, twin.temperature(), 0)
    return sum(kept.values())


def _largest_activation(encoder: nn.Module, x: Tensor) -> int:
    sizes = [0]
    hooks = [
        part.register_forward_hook(lambda _, __, output: sizes.append(_bytes(_tensors(output))))
        for part in encoder.modules()
    ]
    encoder(x)
    for hook in hooks:
        hook.remove()
    return max(sizes)


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _tensors(output: Any) -> list[Tensor]:
    """Of what a module returns; other libraries' return tuples with None in them."""
    parts = output if isinstance(output, (tuple, list)) else [output]
    return [part for part in parts if isinstance(part, Tensor)]

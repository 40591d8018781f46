"""Measure peak memory and time of the sigmoid loss and its gradients for one large batch, beside open_clip's.

python benchmarks/sigmoid_memory.py --batch 32768 --dim 512 --chunk 1024 --contenders chunked blocks

chunked  `sigmoid_loss` with `chunk` rows of logits in memory at a time
blocks   open_clip's SigLipLoss for `chunk` × `chunk` pairs at a time, each with its own backward pass, which is how its
         ranks compute a batch that they share, one after the other
whole    open_clip's SigLipLoss with all logits at once

One process, one contender after the other; the system's record of the peak is reset in between (Linux).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from open_clip.loss import SigLipLoss
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip.loss.sigmoid import sigmoid_loss

TAU, BIAS = 0.1, -10.0


def main() -> None:
    """Print time, peak memory and the greatest difference of gradients from the first contender's, one line each."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    x, y = (
        normalize(torch.randn(arguments.batch, arguments.dim, generator=generator), dim=-1).requires_grad_()
        for _ in range(2)
    )
    contenders: dict[str, Callable[[Tensor, Tensor, int], float]] = {
        "chunked": _chunked,
        "blocks": _blocks,
        "whole": lambda x, y, chunk: _blocks(x, y, len(x)),
    }
    for contender in contenders.values():
        contender(x[:64], y[:64], 32)  # imports and first calls
    first: Tensor | None = None
    for name in arguments.contenders:
        x.grad = y.grad = None
        Path("/proc/self/clear_refs").write_text("5")
        before, started = _peak_gibibytes(), time.perf_counter()
        value = contenders[name](x, y, arguments.chunk)
        seconds, peak = time.perf_counter() - started, _peak_gibibytes()
        assert x.grad is not None
        first = x.grad.clone() if first is None else first
        difference = float((x.grad - first).abs().max() / first.abs().max())
        print(
            f"{name}: batch {arguments.batch} × {arguments.dim}, chunk {arguments.chunk}, "
            f"{arguments.threads} thread(s): loss {value:.6f}, {seconds:.1f} s, "
            f"peak {peak:.2f} GiB, {peak - before:.2f} more than before; "
            f"gradients differ by {difference:.1e}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32_768)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--chunk", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--contenders", nargs="+", default=["chunked", "blocks"])
    return parser.parse_args()


def _chunked(x: Tensor, y: Tensor, chunk: int) -> float:
    tau, bias = torch.tensor(TAU, requires_grad=True), torch.tensor(BIAS, requires_grad=True)
    loss = sigmoid_loss(x, y, tau, bias, chunk)
    loss.backward()
    return float(loss.detach())


def _blocks(x: Tensor, y: Tensor, chunk: int) -> float:
    siglip, total = SigLipLoss(), 0.0
    scale, bias = torch.tensor(1 / TAU, requires_grad=True), torch.tensor(BIAS, requires_grad=True)
    for rows in range(0, len(x), chunk):
        for columns in range(0, len(y), chunk):
            some, others = x[rows : rows + chunk], y[columns : columns + chunk]
            block = siglip._loss(some, others, scale, bias, negative_only=rows != columns) * (
                len(some) / len(x)
            )
            block.backward()
            total += float(block.detach())
    return total


def _peak_gibibytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


if __name__ == "__main__":
    main()

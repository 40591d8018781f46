"""Measure peak memory and time of the loss and its gradient for one large batch.

/usr/bin/time -v python benchmarks/loss_memory.py --batch 32768 --dim 512 --chunk 1024
"""

import argparse
import resource
import time

import torch

from intrinsic_clip.loss.info_nce import info_nce


def main() -> None:
    """Print memory and time in one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32_768)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--chunk", type=int, help="rows of logits at a time; without it, all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(arguments.batch, arguments.dim, generator=generator).requires_grad_()
    y = torch.randn(arguments.batch, arguments.dim, generator=generator).requires_grad_()
    tau = torch.tensor(10.0, requires_grad=True)
    before, started = _peak_bytes(), time.perf_counter()
    info_nce(x, y, tau, arguments.chunk).backward()
    seconds, peak = time.perf_counter() - started, _peak_bytes()
    print(
        f"batch {arguments.batch} × {arguments.dim}, chunk {arguments.chunk}, {arguments.threads} thread(s): "
        f"{seconds:.1f} s, peak {peak / 2**30:.2f} GiB, {(peak - before) / 2**30:.2f} more than before; "
        f"the logits alone would be {4 * arguments.batch**2 / 2**30:.2f}"
    )


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()

"""Time the loss of a large batch in chunks, with its memory, beside logits that are all in memory."""

from typing import Any

import torch

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.timing import milliseconds, peak_memory
from intrinsic_clip.loss import info_nce

WIDTH = 512
BATCHES = (16_384, 65_536)
CHUNKS = (1024, 4096, None)


def run(settings: Settings, record: Record, ends: float) -> None:
    """Time forward and backward pass of every batch in every way that fits."""
    for batch in BATCHES[: settings.size(2, 1)]:
        n = settings.size(batch, batch // 128)
        for chunk in CHUNKS:
            way = (
                "all logits in memory"
                if chunk is None
                else f"chunks of {settings.size(chunk, chunk // 128)} rows"
            )
            for precision in ("highest", "high"):
                name = f"{n:,} × {WIDTH}, {way}{', TF32' if precision == 'high' else ''}"
                small = None if chunk is None else settings.size(chunk, chunk // 128)
                if small is None and not _fits(settings, n):
                    record.leave_out(name, "six copies of the logits do not fit into memory")
                else:
                    record.attempt_in_time(ends - 4, name, _timed, settings, n, small, precision)
                if settings.device == "cuda":
                    torch.cuda.empty_cache()


def _timed(settings: Settings, n: int, chunk: int | None, precision: str) -> dict[str, Any]:
    generator = torch.Generator(settings.device).manual_seed(0)
    x, y = (
        torch.nn.functional.normalize(
            torch.randn(n, WIDTH, generator=generator, device=settings.device), dim=-1
        ).requires_grad_()
        for _ in range(2)
    )
    tau = torch.tensor(0.07, device=settings.device, requires_grad=True)

    def step() -> None:
        x.grad = y.grad = tau.grad = None
        info_nce(x, y, tau, chunk).backward()

    torch.set_float32_matmul_precision(precision)
    try:
        memory = peak_memory(step, settings.device)
        time_ = milliseconds(step, settings.device, settings.size(2, 1), 0)  # measuring memory was the first
    finally:
        torch.set_float32_matmul_precision("highest")
    return {"milliseconds": time_, **({} if memory is None else {"peak_gib": memory})}


def _fits(settings: Settings, n: int) -> bool:
    """Return whether the copies of the logits that a backward pass holds fit into free memory."""
    free = torch.cuda.mem_get_info()[0] if settings.device == "cuda" else 2**32
    return 6 * 4 * n**2 <= free

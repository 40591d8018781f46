"""Single precision with all its digits, for searches that reckon with its rounding and no more."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_single_precision(device: torch.device) -> Iterator[None]:
    """Keep the 24 bits of float32 in matrix products, also where a training allows TF32, bfloat16 or autocast."""
    with torch.autocast(device.type, enabled=False):
        if not hasattr(torch.backends.mkldnn, "matmul"):  # before PyTorch 2.9
            allowed = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("highest")
            try:
                yield
            finally:
                torch.set_float32_matmul_precision(allowed)
            return
        backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
        chosen = [backend.fp32_precision for backend in backends]
        for backend in backends:
            backend.fp32_precision = "ieee"
        try:
            yield
        finally:
            for backend, precision in zip(backends, chosen, strict=True):
                backend.fp32_precision = precision

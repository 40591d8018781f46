"""Fuse a training step with torch.compile."""

import warnings

import torch
from torch import Tensor

from intrinsic_clip.training.kernel_step import LossesAndTau, Step


def compile_step(step: Step) -> Step:
    """Fuse a step with torch.compile; warn and run it uncompiled if that fails."""
    compiled: Step | None = None  # until the first step, since importing the compiler takes a second
    works = True

    def run(x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> LossesAndTau:
        nonlocal compiled, works
        if works:
            try:
                compiled = compiled or torch.compile(step, dynamic=False)
                return compiled(x, y, x_append, y_append)
            except Exception as error:  # of many kinds: no compiler, an encoder it cannot trace, …
                works = False
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"torch.compile failed, so the step runs uncompiled: {reason}", stacklevel=2)
        return step(x, y, x_append, y_append)

    return run

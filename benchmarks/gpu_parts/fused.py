"""Take training steps with the Triton kernel, and compare them with plain ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from intrinsic_clip.encoders import blockwise_triton
from intrinsic_clip.loss import info_nce
from intrinsic_clip.loss.similarity import SMALLEST_NORM
from intrinsic_clip.training.module import ContrastiveModule

Losses = tuple[Tensor, Tensor]
_plain = ContrastiveModule._losses


class DisagreementError(Exception):
    """Gradients of the kernel are not those of PyTorch."""


@contextmanager
def fused_losses(wanted: bool = True) -> Iterator[None]:
    """Let steps with the population norm run by the kernel, in modules that are made meanwhile, if wanted."""
    if not wanted:
        yield
        return
    ContrastiveModule._losses = _fused  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        ContrastiveModule._losses = _plain  # type: ignore[method-assign]


def _fused(module: ContrastiveModule, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> Losses:
    sides: list[tuple[Any, Tensor, Tensor]] = [(module.f, x, x_append), (module.g, y, y_append)]
    for side in sides:
        if not blockwise_triton.serves(*side):
            raise ValueError("the Triton kernel does not serve these encoders here")
    normalised = []
    for side in sides:
        outputs, norm = blockwise_triton.encode(*side)
        assert norm is not None
        normalised.append(outputs / norm.clamp_min(SMALLEST_NORM)[..., None, None])
    tau = module.temperature()
    return info_nce(normalised[0], normalised[1], tau), tau


def check_agreement(module: ContrastiveModule, *rows: Tensor) -> float:
    """Return the largest difference of the gradients, relative to the largest gradient of a parameter.

    Raises:
        DisagreementError: it is above a thousandth.
    """
    both = []
    for losses in (_plain, _fused):
        module.zero_grad()
        losses(module, *rows)[0].sum().backward()
        both.append([parameter.grad for parameter in module.parameters()])
    module.zero_grad()
    errors = [
        float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))
        for other, one in zip(*both, strict=True)
        if one is not None and other is not None
    ]
    if not max(errors) < 1e-3:
        raise DisagreementError(f"gradients differ by {max(errors):.2g} of the largest")
    return max(errors)

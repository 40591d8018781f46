"""Compute the losses of a training step on a GPU with the Triton kernel."""

import warnings
from typing import TYPE_CHECKING

from torch import Tensor

from intrinsic_clip.encoders import blockwise_triton
from intrinsic_clip.loss.similarity import SMALLEST_NORM
from intrinsic_clip.training.kernel_step import LossesAndTau, Step, unserved_similarity

if TYPE_CHECKING:
    from intrinsic_clip.training.module import ContrastiveModule

Both = tuple[Tensor, Tensor]


def triton_step(module: "ContrastiveModule", otherwise: Step) -> Step:
    """Return a step that encodes a batch with the kernel.

    Args:
        module: whose losses they are.
        otherwise: the step where the kernel does not serve, of which the first one warns.
    """
    explained = False

    def run(x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> LossesAndTau:
        nonlocal explained
        reason = _why_not(module, (x, y), (x_append, y_append))
        if reason is not None:
            if not explained:
                explained = True
                warnings.warn(
                    f"kernel=triton does not serve, so steps run without it: {reason}", stacklevel=2
                )
            return otherwise(x, y, x_append, y_append)
        tau = module.tau_of_objective()
        if module.takes_population:
            represented = (
                _by_population(module, module.f, x, x_append),
                _by_population(module, module.g, y, y_append),
            )
        else:
            represented = blockwise_triton.encode(module.f, x)[0], blockwise_triton.encode(module.g, y)[0]
            if not module.takes_raw:
                represented = module._alone("x", represented[0]), module._alone("y", represented[1])
        return module.objective(*represented, tau), tau

    return run


def _why_not(module: "ContrastiveModule", batch: Both, append: Both) -> str | None:
    """Return why the kernel does not serve; None if it does."""
    reason = unserved_similarity(module)
    if reason is not None:
        return reason
    for encoder, *inputs in zip((module.f, module.g), batch, append, strict=True):
        reason = blockwise_triton.why_not(encoder, *(inputs if module.takes_population else inputs[:1]))
        if reason is not None:
            return reason
    return None


def _by_population(module: "ContrastiveModule", encoder: object, rows: Tensor, append: Tensor) -> Tensor:
    """Return an encoder's outputs for rows, divided by its mean norm over the append rows."""
    outputs, norm = blockwise_triton.encode(encoder, rows, append, bool(module.similarity.stop_gradient))
    assert norm is not None
    return outputs / norm.clamp_min(SMALLEST_NORM)[..., None, None]

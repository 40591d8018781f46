"""Derivatives of functions that are differentiated by hand: of the first order alone, and in full precision."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.precision import without_autocast

Backward = Callable[..., Any]
# In PyTorch's messages where a function, or a checkpoint, does not go together with torch.func or forward mode.
OF_TRANSFORMS = "setup_context", "jvp function", "saved tensor hooks", "vmap support"


def first_derivatives_only(
    subject: str, instead: str, one_at_a_time: bool = True
) -> Callable[[Backward], Backward]:
    """Refuse second derivatives, and several gradients at once, in the backward of a function that has none.

    PyTorch's `once_differentiable` refuses them only where the gradient that comes in has one itself, which that of a
    loss, which is 1, has not; it then leaves the second derivatives through the function out without a word. The
    derivatives are computed without autocast, as the function is: `backward()` may be called where it is on.

    Args:
        subject: what has no second derivatives.
        instead: what would be right.
        one_at_a_time: whether several gradients in one call are refused, too.
    """

    def decorated(backward: Backward) -> Backward:
        @wraps(backward)
        def checked(ctx: Any, *gradients: Tensor | None) -> Any:
            if torch.is_grad_enabled():  # the engine's mode within a backward is create_graph
                raise ConfigError(
                    f"create_graph=True asks for second derivatives, which {subject} has not: {instead}"
                )
            given = [each for each in gradients if each is not None]
            if one_at_a_time and any(map(_is_batched, given)):
                raise ConfigError(
                    f"is_grads_batched=True asks for several gradients at once, of which {subject} has one at a time: "
                    f"{instead}"
                )
            # Half-precision products would not be those of the forward pass.
            with without_autocast(given[0].device):
                return backward(ctx, *gradients)

        return checked

    return decorated


def _is_batched(gradient: Tensor) -> bool:
    """Return whether a gradient stands for several, as in autograd with is_grads_batched=True."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(gradient) or functorch.is_legacy_batchedtensor(gradient)


def outside_transforms(function: Callable[..., Any], subject: str, instead: str, *arguments: Any) -> Any:
    """Call what goes together with neither torch.func nor forward-mode derivatives, and say so where it is tried.

    Args:
        function: called with the arguments.
        subject: what it computes.
        instead: what would be right.
    """
    try:
        return function(*arguments)
    except RuntimeError as error:
        if not any(part in str(error) for part in OF_TRANSFORMS):
            raise
        raise ConfigError(
            f"{subject} goes together with neither torch.func nor forward-mode derivatives: {instead}"
        ) from error

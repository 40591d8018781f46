"""Compare the gradients of a training's steps with those of its plain step."""

import warnings

from torch import Tensor

from gpu_parts.steps import PLAIN_INSTEAD
from intrinsic_clip.training.module import ContrastiveModule

MOST = 1e-3  # of a parameter's largest gradient


class DisagreementError(Exception):
    """Gradients differ by more than rounding."""


def check_agreement(module: ContrastiveModule, *rows: Tensor) -> float:
    """Return the largest difference of the gradients, relative to the largest gradient of a parameter.

    A step that cannot be taken as it was asked for, of which it warns, is an error here.

    Raises:
        DisagreementError: they are not the same.
    """
    both = []
    for step in (module._losses, module._step):
        module.zero_grad()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", PLAIN_INSTEAD)
            step(*rows)[0].sum().backward()
        both.append([parameter.grad for parameter in module.parameters()])
    module.zero_grad()
    errors = [
        float((got - plain).abs().max() / plain.abs().max().clamp_min(1e-30))
        for plain, got in zip(*both, strict=True)
        if plain is not None and got is not None
    ]
    if not max(errors) < MOST:
        raise DisagreementError(f"gradients differ by {max(errors):.2g} of the largest")
    return max(errors)

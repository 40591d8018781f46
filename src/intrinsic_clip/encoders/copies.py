"""Refuse encoders whose copies side by side would not be what each is alone, and those that weight decay breaks."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

ALONE = "leave replicates=null, and sweep over seed with --multirun"
OWN = frozenset(vars(nn.Module()))  # attributes of every module
OLD_NORMS = {"WeightNorm": "weight_norm", "SpectralNorm": "spectral_norm"}
UNMAPPED = ("vmap", "Batching rule")  # in messages of `torch.func.vmap` about what it cannot map


def refuse_old_norms(module: nn.Module) -> None:
    """Check that no layer has a weight that a hook writes into it as an attribute, which cannot be copied.

    Raises:
        ValueError: one has.
    """
    for name, layer in module.named_modules():
        for hook in layer._forward_pre_hooks.values():
            norm = OLD_NORMS.get(type(hook).__name__)
            if norm is None or not type(hook).__module__.startswith("torch."):
                continue
            new = "use torch.nn.utils.parametrizations.weight_norm, or " if norm == "weight_norm" else ""
            raise ValueError(
                f"the encoder's layer {name or 'itself'} has torch.nn.utils.{norm}, which cannot be trained as "
                f"replicates: {new}{ALONE}"
            )


def refuse_own_values(modules: Sequence[nn.Module]) -> None:
    """Check that copies differ in their parameters and buffers alone, since all else is taken from the first.

    Raises:
        ValueError: an attribute that holds tensors or fractions differs.
    """
    for first, second in pairwise(modules):
        for (name, one), (_, other) in zip(first.named_modules(), second.named_modules(), strict=False):
            for key in sorted(vars(one).keys() - OWN):
                if _differ(vars(one)[key], vars(other).get(key)):
                    raise ValueError(
                        f"the encoder's attribute {f'{name}.{key}'.lstrip('.')} differs between replicates, which "
                        f"would share one: make it a parameter or a buffer (register_buffer), or {ALONE}"
                    )


def refuse_unmapped(encoder: nn.Module, input_dim: int | tuple[int, ...]) -> None:
    """Check that an encoder can be trained side by side with others, by a pass of two rows.

    Args:
        encoder: one copy as it is trained with others, whose statistics may move.
        input_dim: features of a row, or its shape.

    Raises:
        ValueError: `torch.func.vmap` cannot map it.
    """
    shape = (input_dim,) if isinstance(input_dim, int) else input_dim
    rows = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            encoder(rows)
    except Exception as error:
        if not any(words in str(error) for words in UNMAPPED):
            return  # it takes other rows, such as ids
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"the encoder cannot be trained as replicates: {ALONE} ({reason})") from error


def refuse_decay(module: nn.Module, optimizer: Callable[[list[nn.Parameter]], Optimizer]) -> None:
    """Check that weight decay leaves an encoder's orthogonal layers what they are.

    PyTorch keeps signs as ±1 on the diagonal of the parameter of Householder reflections, and rounds them towards zero
    at each use.

    Args:
        module: the encoder.
        optimizer: called with parameters, returns the optimizer.

    Raises:
        ValueError: a layer would map everything to zero from the second step on.
    """
    for name, each in module.named_modules():
        kind = getattr(getattr(each, "orthogonal_map", None), "name", "")
        if type(each).__name__ != "_Orthogonal" or kind != "householder":
            continue
        groups = optimizer([nn.Parameter(torch.zeros(2, 2))]).param_groups
        if any(group.get("weight_decay") for group in groups):
            raise ValueError(
                f"the encoder's layer {name.partition('.parametrizations')[0]}: weight decay turns an orthogonal map "
                "of Householder reflections into zero, since PyTorch rounds its signs ±1 down; set "
                "optimizer.weight_decay=0, or orthogonal_map='matrix_exp' in the encoder"
            )


def _differ(one: Any, other: Any) -> bool:
    """Return whether two values hold different tensors or fractions; counters and names may differ."""
    # Modules in a list are not registered.
    if isinstance(one, nn.Module) and isinstance(other, nn.Module):
        return _differ(dict(one.state_dict()), dict(other.state_dict()))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
        return not same
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype.kind in "fc" and not np.array_equal(one, other, equal_nan=True)
    if isinstance(one, float) and isinstance(other, float):
        return one != other and not (math.isnan(one) and math.isnan(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return any(_differ(value, other.get(key)) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return any(_differ(*pair) for pair in zip(one, other, strict=False))
    return False

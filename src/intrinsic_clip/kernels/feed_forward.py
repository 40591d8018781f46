"""Encode a batch by the C++ kernel, as a function that autograd differentiates."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.chain import Chain, Parameters, has_hooks
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import library
from intrinsic_clip.kernels.places import addresses, empty_gradients, is_served, network, placed
from intrinsic_clip.loss.first_derivatives import first_derivatives_only

UNSERVED = "the training is not on a CPU in float32"


def why_not(encoder: nn.Module, chain: Chain | None) -> str | None:
    """Return why the kernel does not compute an encoder; None: it does."""
    if chain is None:
        return "the encoder is not a chain of linear maps with nothing but ReLU between them"
    if not all(tensor is None or is_served(tensor) for tensor in chain.parameters):
        return UNSERVED
    return "the encoder has hooks" if has_hooks(encoder) else None


def why_not_rows(rows: Sequence[Tensor]) -> str | None:
    """Return why the kernel does not encode rows; None: it does."""
    if not all(map(is_served, rows)):
        return UNSERVED
    if torch.is_autocast_enabled("cpu"):
        return "the training is in mixed precision"
    if torch.is_anomaly_enabled():
        return "autograd is to look for anomalies"
    return (
        "gradients with respect to the inputs are wanted"
        if any(each.requires_grad for each in rows)
        else None
    )


def encode(chain: Chain, rows: Tensor) -> Tensor:
    """Return the outputs of an encoder, `(*R, n, d)`, for rows `(*R, n, d_in)`, whose leading axes may be missing.

    Raises:
        ConfigError: the kernel cannot read the rows, or has no gradient for them.
    """
    if rows.requires_grad:
        raise ConfigError("rows that require a gradient: the C++ kernel has those of the parameters alone")
    outputs: Tensor = _Encode.apply(chain.shape, chain.relus, rows, *chain.parameters)
    return outputs


class _Encode(torch.autograd.Function):
    """Outputs as a function of the parameters."""

    @staticmethod
    def forward(
        ctx: Any, shape: tuple[int, ...], relus: tuple[bool, ...], rows: Tensor, *parameters: Tensor | None
    ) -> Tensor:
        kernel = library.load()
        parameters = _contiguous(parameters)
        encoder = network(relus, parameters)
        rows, places = placed(rows, shape, encoder.widths[0])
        outputs = torch.empty(*shape, rows.shape[-2], encoder.widths[len(relus)])
        memory = torch.empty(kernel.encode_memory(encoder, places))
        kernel.encode(encoder, places, outputs.data_ptr(), memory.data_ptr(), library.threads())
        ctx.save_for_backward(rows, *parameters)
        ctx.memory, ctx.relus, ctx.shape = memory, relus, shape
        return outputs

    @staticmethod
    @first_derivatives_only("the C++ kernel of encoders", "set kernel=none")
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor | None, ...]:
        rows, *parameters = ctx.saved_tensors
        encoder = network(ctx.relus, parameters)
        cotangents = cotangents.contiguous()
        gradients = empty_gradients(parameters, ctx.needs_input_grad[3:])
        library.load().encode_backward(
            encoder,
            placed(rows, ctx.shape, encoder.widths[0])[1],
            cotangents.data_ptr(),
            addresses(gradients),
            ctx.memory.data_ptr(),
            library.threads(),
        )
        return None, None, None, *gradients


def _contiguous(parameters: Parameters) -> tuple[Tensor | None, ...]:
    return tuple(
        tensor if tensor is None or tensor.is_contiguous() else tensor.detach().contiguous()
        for tensor in parameters
    )

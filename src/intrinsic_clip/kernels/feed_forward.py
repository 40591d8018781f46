"""Encode a batch by the C++ kernel, or compute all of a training step with the population norm.

The gradient of the mean norm N over the population depends on the population alone: ∂L/∂θ = batch part + ∂L/∂N · ∇N.
N and ∇N are thus computed together, block by block, while the activations of a block are in the cache, and ∇N is only
multiplied once the loss is known.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from intrinsic_clip.encoders.chain import Chain, Parameters, laid_out, replicate_offsets
from intrinsic_clip.kernels import library


def why_not(encoder: nn.Module, chain: Chain | None, *inputs: Tensor) -> str | None:
    """Return why the kernel does not compute this encoder of these rows; None: it does."""
    if chain is None:
        return "the encoder is not a chain of linear maps with nothing but ReLU between them"
    for tensor in (*inputs, *chain.parameters):
        if tensor is not None and not (tensor.is_cpu and tensor.dtype is torch.float32):
            return "the training is not on a CPU in float32"
    if torch.is_autocast_enabled("cpu"):
        return "the training is in mixed precision"
    if any(rows.requires_grad for rows in inputs):
        return "gradients with respect to the inputs are wanted"
    return "the encoder has hooks" if encoder._forward_hooks or encoder._forward_pre_hooks else None


def encode(chain: Chain, rows: Tensor) -> Tensor:
    """Return the outputs of an encoder, `(*R, n, d)`, for rows `(*R, n, d_in)`, whose leading axes may be missing."""
    outputs: Tensor = _Encode.apply(chain.shape, chain.relus, rows, *chain.parameters)
    return outputs


def losses(
    f: Chain,
    g: Chain,
    batch: tuple[Tensor, Tensor],
    population: tuple[Tensor, Tensor],
    tau: Tensor,
    constant: bool,
) -> Tensor:
    """Return InfoNCE of encoded pairs divided by their mean norms over the population, `(*R,)`.

    Args:
        f, g: the encoders, with outputs of one size.
        batch: paired rows x and y, `(*R, n, d_in)` each, whose leading axes may be missing.
        population: the rows over whose outputs the mean norm of f and of g is taken, likewise.
        tau: the temperature, `(*R,)` or a scalar tensor.
        constant: take the mean norms as constants, without a gradient.
    """
    result: Tensor = _Losses.apply(
        f.shape,
        (f.relus, g.relus),
        (*batch, *population),
        constant,
        tau.expand(f.shape),
        *f.parameters,
        *g.parameters,
    )
    return result


class _Encode(torch.autograd.Function):
    """Outputs as a function of the parameters."""

    @staticmethod
    def forward(
        ctx: Any, shape: tuple[int, ...], relus: tuple[bool, ...], rows: Tensor, *parameters: Tensor | None
    ) -> Tensor:
        kernel = library.load()
        parameters = _contiguous(parameters)
        network = _network(relus, parameters)
        rows, places = _rows(rows, shape)
        outputs = torch.empty(*shape, rows.shape[-2], network.widths[len(relus)])
        memory = torch.empty(kernel.encode_memory(network, places))
        kernel.encode(network, places, outputs.data_ptr(), memory.data_ptr(), library.threads())
        ctx.save_for_backward(rows, *parameters)
        ctx.memory, ctx.relus, ctx.shape = memory, relus, shape
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor | None, ...]:
        rows, *parameters = ctx.saved_tensors
        cotangents = cotangents.contiguous()
        gradients = _empty_like(parameters, ctx.needs_input_grad[3:])
        library.load().encode_backward(
            _network(ctx.relus, parameters),
            _rows(rows, ctx.shape)[1],
            cotangents.data_ptr(),
            _addresses(gradients),
            ctx.memory.data_ptr(),
            library.threads(),
        )
        return None, None, None, *gradients


class _Losses(torch.autograd.Function):
    """Losses as a function of τ and the parameters, whose gradients are computed at once."""

    @staticmethod
    def forward(
        ctx: Any,
        shape: tuple[int, ...],
        relus: tuple[tuple[bool, ...], tuple[bool, ...]],
        rows: Sequence[Tensor],
        constant: bool,
        tau: Tensor,
        *parameters: Tensor | None,
    ) -> Tensor:
        kernel = library.load()
        parameters, tau = _contiguous(parameters), tau.contiguous()
        split = 2 * len(relus[0])
        networks = _network(relus[0], parameters[:split]), _network(relus[1], parameters[split:])
        _kept, places = zip(*(_rows(each, shape) for each in rows), strict=True)  # copies live until the end
        values, slopes = torch.empty(shape), torch.empty(shape)
        gradients = _empty_like(parameters, ctx.needs_input_grad[5:])
        memory = torch.empty(kernel.step_memory(*networks, *places))
        kernel.step(
            *networks,
            *places,
            tau.data_ptr(),
            constant,
            values.data_ptr(),
            slopes.data_ptr(),
            _addresses(gradients[:split]),
            _addresses(gradients[split:]),
            memory.data_ptr(),
            library.threads(),
        )
        ctx.gradients = slopes, *gradients
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # a second reference would make autograd copy them
        if not bool((cotangents == 1).all()):  # other than by `losses.sum().backward()`
            gradients = tuple(_scaled(tensor, cotangents) for tensor in gradients)
        return None, None, None, None, *gradients


def _scaled(gradient: Tensor | None, factors: Tensor) -> Tensor | None:
    if gradient is None:
        return None
    return (gradient.view(factors.numel(), -1) * factors.reshape(-1, 1)).view_as(gradient)


def _contiguous(parameters: Parameters) -> tuple[Tensor | None, ...]:
    return tuple(
        tensor if tensor is None or tensor.is_contiguous() else tensor.detach().contiguous()
        for tensor in parameters
    )


def _empty_like(parameters: Parameters, needed: Sequence[bool]) -> list[Tensor | None]:
    return [
        torch.empty_like(tensor) if tensor is not None and wanted else None
        for tensor, wanted in zip(parameters, needed, strict=True)
    ]


def _network(relus: tuple[bool, ...], parameters: Parameters) -> library.Network:
    weights = [weight for weight in parameters[::2] if weight is not None]
    widths = [weights[0].shape[-1], *(weight.shape[-2] for weight in weights)]
    return library.Network(
        weights[0].shape[0],
        len(weights),
        (ctypes.c_int64 * len(widths))(*widths),
        _addresses(weights),
        _addresses(parameters[1::2]),
        (ctypes.c_uint8 * len(relus))(*relus),
    )


def _addresses(tensors: Parameters) -> ctypes.Array:
    return (ctypes.c_void_p * len(tensors))(
        *(None if tensor is None else tensor.data_ptr() for tensor in tensors)
    )


def _rows(rows: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, library.Rows]:
    """Return rows, copied only if a row's numbers are apart, and where those of each replicate are."""
    rows, strides = laid_out(rows, shape)
    offsets = _offsets(shape, strides[: len(shape)])
    return rows, library.Rows(rows.data_ptr(), offsets, strides[-2], rows.shape[-2])


@lru_cache(maxsize=64)
def _offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> ctypes.Array:
    places = replicate_offsets(shape, strides).tolist()
    return (ctypes.c_int64 * len(places))(*places)

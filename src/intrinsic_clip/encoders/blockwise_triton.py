"""Encode a batch, and the population for its mean norm, by a Triton kernel: activations never leave the chip.

PyTorch passes every activation of every row through the GPU's memory a few times, which takes most of a step of
hundreds of replicates. Here a program has one replicate: it takes its rows a block at a time through all layers and
back, and adds up the gradients of the weights on the way. The gradient of the mean norm N over the population depends
on the population alone, ∂L/∂θ = batch part + ∂L/∂N · ∇N, so N and ∇N come from one pass, and the backward pass of the
loss only multiplies. Activations of the batch, a tenth of the rows, are computed again for their gradient.

Products are in TF32 where `torch.set_float32_matmul_precision` allows it, and otherwise sums of three such products,
which keep float32's digits.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.chain import chain_of, has_hooks, laid_out, replicate_offsets
from intrinsic_clip.loss.first_derivatives import first_derivatives_only

try:
    from intrinsic_clip.encoders import blockwise_triton_kernel as kernel
except ImportError:  # no Triton
    kernel = None  # type: ignore[assignment]

WIDEST = 128


def why_not(encoder: nn.Module, *inputs: Tensor) -> str | None:
    """Return why the kernel does not compute this encoder of these rows; None if it does."""
    if kernel is None:
        return "Triton is not installed"
    if has_hooks(encoder):
        return "an encoder has hooks"
    if torch.is_autocast_enabled("cuda"):
        return "trainer.precision is not 32-true"
    chain = chain_of(encoder)
    if chain is None:
        return "an encoder is no chain of linear maps and ReLUs"
    if len(chain.relus) > kernel.MOST_LAYERS:
        return f"an encoder has {len(chain.relus)} linear maps, more than {kernel.MOST_LAYERS}"
    if any(max(weight.shape[1:]) > WIDEST for weight in chain.parameters[::2] if weight is not None):
        return f"an encoder is wider than {WIDEST}"
    tensors = [*inputs, *encoder.parameters()]
    if not all(tensor.is_cuda or kernel.INTERPRETED for tensor in tensors):
        return "the training is not on a GPU"
    if any(tensor.dtype != torch.float32 for tensor in tensors) or any(rows.requires_grad for rows in inputs):
        return "rows and weights must be float32, and rows without gradient"
    return None


def encode(
    encoder: Any, rows: Tensor, population: Tensor | None = None, constant: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Return an encoder's outputs for rows, `(*R, n, d)`, and the mean norm of its outputs for the population, `(*R,)`.

    Args:
        encoder: a ReplicatedFeedForward that the kernel serves.
        rows: `(*R, n, d_in)`, whose leading axes may be missing.
        population: `(*R, n_population, d_in)`, likewise; None: no mean norm.
        constant: take the mean norm as a constant, without a gradient.
    """
    chain = chain_of(encoder)
    assert chain is not None
    outputs, norm = _Encode.apply(chain.shape, chain.relus, rows, population, constant, *chain.parameters)
    return outputs, None if population is None else norm


class _Encode(torch.autograd.Function):
    """Outputs and mean norm as a function of the parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        shape: tuple[int, ...],
        relus: tuple[bool, ...],
        rows: Tensor,
        population: Tensor | None,
        constant: bool,
        *parameters: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        parameters = tuple(None if tensor is None else tensor.detach().contiguous() for tensor in parameters)
        network = kernel.Network(parameters, relus)
        batch = _placed(rows, shape)
        outputs = kernel.outputs(network, batch)
        differentiated = population is not None and not constant and any(ctx.needs_input_grad)
        norm, norm_gradients = outputs.new_full((network.replicates,), torch.nan), None
        if population is not None:
            norm, norm_gradients = kernel.norm_and_gradients(
                network, _placed(population, shape), differentiated
            )
        ctx.network, ctx.batch, ctx.norm_gradients = network, batch, norm_gradients
        norm = norm.view(shape)
        if not differentiated:
            ctx.mark_non_differentiable(norm)
        return outputs.view(*shape, *outputs.shape[-2:]), norm

    @staticmethod
    @first_derivatives_only("the Triton kernel of encoders", "set kernel=none")
    def backward(ctx: Any, cotangents: Tensor, norm_cotangents: Tensor) -> tuple[Tensor | None, ...]:
        network = ctx.network
        cotangents = cotangents.reshape(network.replicates, *cotangents.shape[-2:]).contiguous()
        gradients = kernel.gradients(network, ctx.batch, cotangents)
        if ctx.norm_gradients is not None:
            scale = norm_cotangents.reshape(-1, 1, 1)
            for gradient, of_norm in zip(gradients, ctx.norm_gradients, strict=True):
                if gradient is not None:
                    gradient.addcmul_(of_norm, scale)
        return None, None, None, None, None, *gradients


def _placed(rows: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return rows, and where those of each replicate begin, without copying rows that replicates share."""
    rows, strides = laid_out(rows, shape)
    return rows, _offsets(shape, strides[: len(shape)], rows.device)


@cache  # a CUDA graph keeps the address alone, so none may be given up
def _offsets(shape: tuple[int, ...], strides: tuple[int, ...], device: torch.device) -> Tensor:
    return replicate_offsets(shape, strides).to(device)

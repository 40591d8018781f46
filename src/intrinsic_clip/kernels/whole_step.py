"""Compute all of a training step but the optimizer by the C++ kernel: losses, and the gradients in the parameters.

Outputs are normalised by cosine or by the mean norm N over the population, whose gradient depends on the population
alone: ∂L/∂θ = batch part + ∂L/∂N · ∇N. N and ∇N are thus computed together, block by block, while the activations of a
block are in the cache, and ∇N is only multiplied once the loss is known.

Autograd takes no part: with one small pair of encoders, whose products take two or three milliseconds, it would take
half a millisecond to pass them on. What does not change between steps is looked at once for all of them.
"""

import itertools
from enum import IntEnum

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.chain import Chain, chain_of
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.kernels import feed_forward, library
from intrinsic_clip.kernels.places import addresses, empty_gradients, network, placed, taus
from intrinsic_clip.loss.temperature import LearnedTemperature

Both = tuple[Tensor, Tensor]


class Norm(IntEnum):
    """Divisor of outputs before they are compared, as in the source."""

    OF_POPULATION = 0  # their mean norm over the population
    CONSTANT_OF_POPULATION = 1  # the same, without its gradient
    OWN = 2  # each by its own norm


def chains_of(f: nn.Module, g: nn.Module) -> tuple[Chain, Chain] | None:
    """Return two encoders as the kernel takes them; None where it does not put gradients into their parameters."""
    first, second = chain_of(f), chain_of(g)
    if first is None or second is None or library.why_not():
        return None
    if feed_forward.why_not(f, first) or feed_forward.why_not(g, second):
        return None
    parameters = [each for each in (*first.parameters, *second.parameters) if each is not None]
    shared = len(set(map(id, parameters))) < len(parameters)  # whose gradients would have to be added up
    return None if shared or not all(map(_takes_gradient, parameters)) else (first, second)


def _takes_gradient(parameter: Tensor) -> bool:
    """Return whether a gradient that autograd has no part in may be put into a parameter."""
    hooks = parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None)
    return parameter.is_contiguous() and parameter.is_leaf and not hooks


class WholeStep:
    """InfoNCE of encoded pairs with its gradients in all parameters, which must stay where they are between steps.

    Args:
        f, g: the encoders, with outputs of one size.
        temperature: a module that returns τ, `(*R,)` or a scalar tensor.
        norm: what outputs are divided by.
    """

    def __init__(self, f: Chain, g: Chain, temperature: nn.Module, norm: Norm) -> None:
        self.shape, self.norm, self.memory = f.shape, norm, torch.empty(0)
        self.tau = _Tau(temperature, f.shape)
        self.networks = [network(chain.relus, chain.parameters) for chain in (f, g)]
        self.widths = [each.widths[0] for each in self.networks]
        gradients = [empty_gradients(chain.parameters, _wanted(chain)) for chain in (f, g)]
        self.places = [addresses(each) for each in gradients]
        both = zip((*f.parameters, *g.parameters), itertools.chain(*gradients), strict=True)
        self.gradients = [(parameter, each) for parameter, each in both if parameter is not None]
        self.parameters = [parameter for parameter, _ in self.gradients]
        self.began = list(map(Tensor.data_ptr, self.parameters))

    def is_in_place(self) -> bool:
        """Return whether the parameters' numbers lie where they did: some optimizers replace their `data`."""
        return list(map(Tensor.data_ptr, self.parameters)) == self.began

    def __call__(self, batch: Both, population: Both | None = None) -> Both:
        """Return the losses and τ, `(*R,)` each, with the gradients in the parameters.

        Args:
            batch: paired rows x and y, `(*R, n, d_in)` each, whose leading axes may be missing.
            population: the rows over whose outputs the mean norms are taken, likewise; None: there are no such norms.
        """
        kernel, tau = library.load(), self.tau()
        in_float32 = taus(tau.detach(), self.shape)
        # Copies, where rows have to be copied, live until the end.
        given = zip((*batch, *(population or ())), self.widths * 2, strict=False)
        rows = [placed(each, self.shape, width) for each, width in given]
        if batch[0].shape[-2] != batch[1].shape[-2]:
            raise ConfigError(
                f"{batch[0].shape[-2]} rows of x and {batch[1].shape[-2]} of y: they must be pairs"
            )
        inputs = *self.networks, *(place for _, place in rows), *[library.Rows()] * (4 - len(rows))
        needed = kernel.step_memory(*inputs)
        if len(self.memory) < needed:
            self.memory = torch.empty(needed)
        losses, slopes = torch.empty(self.shape), torch.empty(self.shape)
        outputs = losses.data_ptr(), slopes.data_ptr(), *self.places, self.memory.data_ptr()
        kernel.step(*inputs, in_float32.data_ptr(), self.norm, *outputs, library.threads())
        for parameter, gradient in self.gradients:
            parameter.grad = gradient  # zero_grad() may have taken it away
        self.tau.differentiate(tau, slopes)
        return losses, tau


class _Tau:
    """A temperature and its gradient, by hand where the paper's is learned: autograd takes a tenth of a small step.

    Args:
        temperature: a module that returns τ.
        shape: R.
    """

    def __init__(self, temperature: nn.Module, shape: tuple[int, ...]) -> None:
        self.temperature, self.shape = temperature, shape
        parameters = list(temperature.parameters())
        self.is_learned = any(parameter.requires_grad for parameter in parameters)
        self.by_hand: LearnedTemperature | None = None
        if type(temperature) is LearnedTemperature and all(map(_takes_gradient, parameters)):
            self.by_hand = temperature if temperature.s.shape == shape else None

    def __call__(self) -> Tensor:
        tau: Tensor = self.temperature()
        return tau

    def differentiate(self, tau: Tensor, slopes: Tensor) -> None:
        """Put the gradients into the temperature's parameters, given the slopes of the losses in τ, `(*R,)`."""
        if not self.is_learned:
            return
        if self.by_hand is None:
            self.temperature.zero_grad()
            taus(tau, self.shape).backward(slopes)
            return
        s = self.by_hand.s
        if s.grad is None:
            s.grad = torch.empty_like(s)
        torch.mul(slopes, self.by_hand.slope(), out=s.grad)


def _wanted(chain: Chain) -> list[bool]:
    return [parameter is not None and parameter.requires_grad for parameter in chain.parameters]

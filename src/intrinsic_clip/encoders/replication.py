"""Train many independent copies of an encoder side by side as one module.

A feed-forward copy is a slice of batched matrix products in the layout features × rows, which runs the narrow layers of
the paper up to twice as fast as rows × features. Any other module is mapped with `torch.func.vmap`.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from intrinsic_clip.encoders.copies import refuse_old_norms, refuse_own_values, refuse_unmapped

ELEMENTWISE = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.ELU, nn.LeakyReLU, nn.Identity)
PROBE_ROWS = 4


def replicate(
    build: Callable[[int], nn.Module],
    input_dim: int | tuple[int, ...],
    seeds: Sequence[int],
    output_dims: Sequence[int],
    shape: tuple[int, ...],
) -> nn.Module:
    """Return independent copies of an encoder as one module, `(*R, n, d_in) → (*R, n, d)`.

    Inputs may lack axes of R. The copy for (d, seed) starts with the weights that `build(d)` returns under that seed.
    All copies are as wide as the widest: narrower ones are padded with zeros. Surplus outputs are zero, so they change
    neither norms nor inner products, get no gradient, and stay zero.

    Args:
        build: returns an encoder of a given output dimension.
        input_dim: features of a row, or its shape.
        seeds: one per repetition.
        output_dims: one per place on the first axis.
        shape: R, whose size is the number of output dimensions times that of seeds.

    Raises:
        ValueError: different output dimensions for an encoder that cannot be padded with zeros, or copies of one whose
            weights have hooks, that keeps tensors of its own beside parameters and buffers, or that cannot be mapped.
    """
    modules = []
    for d in output_dims:
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                modules.append(build(d))
    if shape:
        refuse_old_norms(modules[0])
        for start in range(0, len(modules), len(seeds)):
            refuse_own_values(modules[start : start + len(seeds)])
    widest = modules[list(output_dims).index(max(output_dims)) * len(seeds)]
    wide = modules if len(set(output_dims)) == 1 else [_padded(module, widest) for module in modules]
    encoder: nn.Module
    chains = [module for module in wide if _is_feed_forward(module)]
    if len(chains) == len(wide):
        encoder = ReplicatedFeedForward(chains, shape)
    elif not shape:
        return widest
    elif any(map(_has_gradient_hooks, widest.parameters())):
        raise ValueError(
            "the encoder's weights have hooks, which replicates would lose: leave replicates=null"
        )
    else:
        refuse_unmapped(ReplicatedEncoder([widest], (1,), input_dim), input_dim)
        encoder = ReplicatedEncoder(wide, shape, input_dim)
    if wide is not modules:
        _check_padding(encoder, modules, output_dims, input_dim)
    return encoder


class ReplicatedLinear(nn.Module):
    """B affine maps of columns, `(B, d_in, n) → (B, d_out, n)`.

    Args:
        layers: layers with the initial weights.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        weights = [layer.weight for layer in layers]
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self.weight = _as_trained(torch.stack([weight.detach() for weight in weights]), weights)
        stacked = [bias.detach()[:, None] for bias in biases]
        self.bias = _as_trained(torch.stack(stacked), biases) if biases else None

    def forward(self, columns: Tensor) -> Tensor:
        """Return W h + b."""
        if self.bias is None:
            return torch.bmm(self.weight, columns)
        return torch.baddbmm(self.bias, self.weight, columns)


class ReplicatedFeedForward(nn.Module):
    """Copies of an `nn.Sequential` of linear and elementwise layers.

    Args:
        modules: the copies, one per place of R.
        shape: R.
    """

    def __init__(self, modules: Sequence[nn.Sequential], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        # Not of children(), which leave out an activation that occurs again.
        columns = zip(*modules, strict=True)
        self.layers = nn.Sequential(
            *(
                ReplicatedLinear(column) if isinstance(column[0], nn.Linear) else column[0]
                for column in columns
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map rows `(*R, n, d_in)`, whose leading axes may be missing, to `(*R, n, d)`."""
        rows = x.expand(*self.shape, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
        outputs = self.layers(rows.mT.contiguous()).mT
        return outputs.reshape(*self.shape, *outputs.shape[-2:])


class ReplicatedEncoder(nn.Module):
    """Copies of any module whose forward pass is a function of its parameters and its input.

    Args:
        modules: the copies, one per place of R, with parameters of the same shapes.
        shape: R.
        input_dim: features of a row, or its shape.
    """

    def __init__(
        self, modules: Sequence[nn.Module], shape: tuple[int, ...], input_dim: int | tuple[int, ...]
    ) -> None:
        super().__init__()
        self.shape = shape
        self._input_axes = 2 if isinstance(input_dim, int) else 1 + len(input_dim)
        parameters, buffers = stack_module_state(list(modules))
        # Names of a module's own tensors hold no dots.
        self._names = {name: _key(first) for name, first in _first_names(modules[0]).items()}
        self.stacked = nn.ParameterDict()
        for name, parameter in parameters.items():  # one by one, since update() would sort them
            self.stacked[_key(name)] = _as_trained(parameter.detach(), [parameter])
        for name, buffer in buffers.items():
            self.register_buffer(_key(name), buffer)
        # In a list, so that its parameters are not registered.
        self._template = [copy.deepcopy(modules[0]).to("meta")]

    def forward(self, x: Tensor) -> Tensor:
        """Map rows `(*R, n, …)`, whose leading axes may be missing, to `(*R, n, d)`."""
        template = self._template[0].train(self.training)
        tensors = {**self.stacked, **dict(self.named_buffers())}
        state = {name: tensors[key] for name, key in self._names.items()}
        row_axes = x.shape[x.ndim - self._input_axes :]
        shared = x.ndim == self._input_axes
        rows = x if shared else x.expand(*self.shape, *row_axes).reshape(-1, *row_axes)
        outputs = vmap(
            lambda copied, its_rows: functional_call(template, copied, (its_rows,), tie_weights=False),
            in_dims=(0, None if shared else 0),
            randomness="different",
        )(state, rows)
        return outputs.reshape(*self.shape, *outputs.shape[1:])


def _key(name: str) -> str:
    return name.replace(".", "/")


def _first_names(module: nn.Module) -> dict[str, str]:
    """Return the names of all parameters and buffers, with the first name of each: a weight may occur twice."""
    tensors = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in tensors}


def has_own_hooks(module: nn.Module) -> bool:
    """Return whether a module, or one within it, has hooks; a spectral norm of `torch.nn.utils` is one."""
    return any(
        each._forward_hooks or each._forward_pre_hooks or each._backward_hooks or each._backward_pre_hooks
        for each in module.modules()
    )


def _has_gradient_hooks(parameter: Tensor) -> bool:
    return bool(parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None))


def _as_trained(values: Tensor, parameters: Sequence[Tensor]) -> nn.Parameter:
    """Return values as a parameter that is trained if these are: a frozen layer stays frozen."""
    return nn.Parameter(values, requires_grad=all(parameter.requires_grad for parameter in parameters))


def _is_feed_forward(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Return whether a module is linear and elementwise layers in a row, and nothing else.

    A subclass may compute something else, as may a hook or a method put in place of `forward`; a parametrised layer is
    a subclass. A weight that occurs twice would no longer be one, and one with hooks would lose them.
    """
    if type(module) is not nn.Sequential or has_own_hooks(module):
        return False
    layers = list(module)
    if not all(type(layer) in (nn.Linear, *ELEMENTWISE) for layer in layers):
        return False
    if any("forward" in vars(each) for each in (module, *layers)):
        return False
    weights = [weight for layer in layers for weight in layer.parameters()]
    return len(set(map(id, weights))) == len(weights) and not any(map(_has_gradient_hooks, weights))


def _padded(module: nn.Module, widest: nn.Module) -> nn.Module:
    """Return the widest module with this one's weights in the leading places and zeros elsewhere."""
    wide = copy.deepcopy(widest)
    narrow = dict([*module.named_parameters(), *module.named_buffers()])
    with torch.no_grad():
        for name, tensor in [*wide.named_parameters(), *wide.named_buffers()]:
            places = tuple(slice(length) for length in narrow[name].shape)
            tensor.zero_()
            tensor[places] = narrow[name]
    return wide


@torch.no_grad()
def _check_padding(
    encoder: nn.Module,
    modules: Sequence[nn.Module],
    output_dims: Sequence[int],
    input_dim: int | tuple[int, ...],
) -> None:
    """Check that the first copy of each output dimension returns the outputs of its narrow original, and zeros."""
    refusal = (
        "this encoder cannot train different output dimensions in one run: sweep over them with --multirun"
    )
    if not isinstance(input_dim, int):
        raise ValueError(refusal)
    probe = torch.randn(PROBE_ROWS, input_dim, generator=torch.Generator().manual_seed(0))
    for module in (encoder, *modules):
        module.eval()  # not at random, as dropout would be, and no statistics of these rows
    first_copies = encoder(probe).reshape(len(output_dims), -1, PROBE_ROWS, max(output_dims))[:, 0]
    repetitions = math.prod(encoder.shape) // len(output_dims)  # type: ignore[arg-type]
    for d, outputs, original in zip(output_dims, first_copies, modules[::repetitions], strict=True):
        expected = torch.nn.functional.pad(original(probe), (0, max(output_dims) - d))
        if not torch.allclose(outputs, expected, rtol=1e-4, atol=1e-5):
            raise ValueError(refusal)
    encoder.train()

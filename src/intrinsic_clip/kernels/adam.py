"""Take steps of PyTorch's Adam by the C++ kernel: a step of many small parameters takes Python longer than its sums."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from intrinsic_clip.kernels import library

OTHER_OPTIONS = ("amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay")
STATE = ("exp_avg", "exp_avg_sq", "step")


def by_kernel(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer whose steps the kernel takes: a `KernelAdam` in place of PyTorch's Adam on a CPU."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if type(optimizer) is not Adam or not all(parameter.is_cpu for parameter in parameters):
        return optimizer
    return KernelAdam([dict(group) for group in optimizer.param_groups], **optimizer.defaults)


class KernelAdam(Adam):
    """PyTorch's Adam with the same settings and the same state, so that either goes on where the other stopped.

    Its numbers are those of `fused=True` but for rounding. PyTorch takes the first step, which makes the state, and all
    steps that the kernel does not serve: with other options, on another device, in another precision.
    """

    _plans: Sequence["_Plan | None"] = ()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; return what the closure does, if any."""
        loss = None if closure is None else closure()
        groups = self.param_groups
        if len(self._plans) != len(groups) or not all(
            plan and plan.holds(self.state) for plan in self._plans
        ):
            self._plans = [_Plan.of(group["params"], self.state) for group in groups]
        served = all(self._plans) and all(map(_has_plain_options, groups)) and not _is_scaled(self)
        if not served or library.why_not() is not None:
            super().step()
            return loss
        for group, plan in zip(groups, self._plans, strict=True):
            assert plan is not None
            settings = library.Adam(group["lr"], *group["betas"], group["eps"], group["weight_decay"])
            library.load().adam(settings, plan.moved, len(plan.moved), library.threads())
        return loss


@dataclass(frozen=True)
class _Plan:
    """Addresses of the numbers of a group of parameters, for as long as they stay there.

    Attributes:
        moved: the parameters that have gradients, as the kernel takes them.
        held: all parameters with their addresses, gradients and states.
    """

    moved: ctypes.Array
    held: list[tuple[Tensor, int, Tensor | None, Mapping[str, Tensor] | None]]

    @classmethod
    def of(cls, parameters: Sequence[Tensor], states: Mapping[Tensor, Any]) -> "_Plan | None":
        """Return the plan; None: the kernel does not serve."""
        moved = []
        held = [(each, each.data_ptr(), each.grad, states.get(each)) for each in parameters]
        for parameter, _, gradient, state in held:
            if gradient is None:
                continue
            tensors = [parameter, gradient, *((state or {}).get(name) for name in STATE)]
            sizes = *[parameter.numel()] * 4, 1
            if not all(map(_is_plain, tensors, sizes)):
                return None
            places = (tensor.data_ptr() for tensor in tensors if tensor is not None)
            moved.append(library.Moved(*places, parameter.numel()))
        return cls((library.Moved * len(moved))(*moved), held)

    def holds(self, states: Mapping[Tensor, Any]) -> bool:
        """Return whether everything is where it was."""
        return all(
            parameter.data_ptr() == address and parameter.grad is gradient and states.get(parameter) is state
            for parameter, address, gradient, state in self.held
        )


def _is_plain(tensor: Tensor | None, size: int) -> bool:
    if tensor is None or not tensor.is_cpu or tensor.dtype is not torch.float32 or tensor.numel() != size:
        return False
    return tensor.layout is torch.strided and tensor.is_contiguous()


def _has_plain_options(group: Mapping[str, Any]) -> bool:
    return isinstance(group["lr"], int | float) and not any(map(group.get, OTHER_OPTIONS))


def _is_scaled(optimizer: Optimizer) -> bool:
    """Return whether gradients are still to be divided by the scale of mixed precision."""
    return any(getattr(optimizer, name, None) is not None for name in ("grad_scale", "found_inf"))

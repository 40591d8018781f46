"""Take steps of PyTorch's Adam by the C++ kernel: a step of many small parameters takes Python longer than its sums."""

import ctypes
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from intrinsic_clip.kernels import library

OTHER_OPTIONS = ("amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay")
STATE = ("exp_avg", "exp_avg_sq", "step")
HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
NOTHING: Mapping[str, Any] = {}
PER_PARAMETER = 2 + len(STATE)  # tensors: it, its gradient and its state


def by_kernel(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer whose steps the kernel takes: a `KernelAdam` in place of PyTorch's Adam on a CPU.

    One with hooks, as of clipped gradients, a step of its own or a state stays, since a new one would lose them.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if type(optimizer) is not Adam or not all(parameter.is_cpu for parameter in parameters):
        return optimizer
    if optimizer.state or "step" in vars(optimizer) or any(getattr(optimizer, name, None) for name in HOOKS):
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
            plan and plan.holds(group["params"], self.state)
            for plan, group in zip(self._plans, groups, strict=True)
        ):
            self._plans = [_Plan.of(group["params"], self.state) for group in groups]
        served = all(self._plans) and all(map(_has_plain_options, groups)) and not _is_scaled(self)
        if not served or library.why_not() is not None:
            _pytorchs_step(self)
            return loss
        for group, plan in zip(groups, self._plans, strict=True):
            assert plan is not None
            settings = library.Adam(group["lr"], *group["betas"], group["eps"], group["weight_decay"])
            library.load().adam(settings, plan.moved, len(plan.moved), library.threads())
        return loss


def _pytorchs_step(optimizer: Adam) -> None:
    """Take PyTorch's step without its hooks, which are those of the step that calls it."""
    step: Callable[..., Any] = Adam.step
    if getattr(step, "hooked", False):
        step = step.__wrapped__  # type: ignore[attr-defined]
    step(optimizer)


@dataclass(frozen=True)
class _Plan:
    """Addresses of the numbers of a group of parameters, for as long as they stay there.

    Attributes:
        moved: the parameters that have gradients, as the kernel takes them.
        tensors: all parameters with their gradients and states, held so that no other tensor takes their place.
        read: those of them whose numbers the kernel reads.
        addresses: where these numbers begin.
    """

    moved: ctypes.Array
    tensors: list[Any]
    read: list[Tensor]
    addresses: list[int]

    @classmethod
    def of(cls, parameters: Sequence[Tensor], states: Mapping[Tensor, Any]) -> "_Plan | None":
        """Return the plan; None: the kernel does not serve."""
        tensors = _tensors(parameters, states)
        read: list[Tensor] = []
        moved = []
        for first, parameter in zip(range(0, len(tensors), PER_PARAMETER), parameters, strict=True):
            if parameter.grad is None:
                continue
            own, size = tensors[first : first + PER_PARAMETER], parameter.numel()
            if not all(map(_is_plain, own, (size, size, size, size, 1))):
                return None
            moved.append(library.Moved(*map(Tensor.data_ptr, own), size))
            read += own
        return cls((library.Moved * len(moved))(*moved), tensors, read, list(map(Tensor.data_ptr, read)))

    def holds(self, parameters: Sequence[Tensor], states: Mapping[Tensor, Any]) -> bool:
        """Return whether everything is where it was: the tensors, any of which may be replaced, and their numbers."""
        now = _tensors(parameters, states)
        same = len(now) == len(self.tensors) and all(map(operator.is_, now, self.tensors))
        return same and list(map(Tensor.data_ptr, self.read)) == self.addresses


def _tensors(parameters: Sequence[Tensor], states: Mapping[Tensor, Any]) -> list[Any]:
    """Return each parameter with its gradient and what its state holds, None where there is none."""
    tensors: list[Any] = []
    for parameter in parameters:
        find = (states.get(parameter) or NOTHING).get  # in each step, so in few calls
        tensors += parameter, parameter.grad, find(STATE[0]), find(STATE[1]), find(STATE[2])
    return tensors


def _is_plain(tensor: Any, size: int) -> bool:
    if (
        not isinstance(tensor, Tensor)
        or not tensor.is_cpu
        or tensor.dtype is not torch.float32
        or tensor.numel() != size
    ):
        return False
    return tensor.layout is torch.strided and tensor.is_contiguous()


def _has_plain_options(group: Mapping[str, Any]) -> bool:
    return isinstance(group["lr"], int | float) and not any(map(group.get, OTHER_OPTIONS))


def _is_scaled(optimizer: Optimizer) -> bool:
    """Return whether gradients are still to be divided by the scale of mixed precision."""
    return any(getattr(optimizer, name, None) is not None for name in ("grad_scale", "found_inf"))

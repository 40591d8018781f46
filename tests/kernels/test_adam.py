"""Adam in C++ is PyTorch's Adam to rounding, from the same state, and leaves to PyTorch what it does not serve."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from intrinsic_clip.kernels import library
from intrinsic_clip.kernels.adam import KernelAdam, by_kernel

needs_compiler = pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler")
SIZES = [(3, 5, 7), (70_001,), (), (1,), (64, 33)]


def _parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(size, generator=generator).to(dtype)) for size in SIZES]


def _step(optimizer: Optimizer, number: int) -> None:
    """Take a step with gradients of very different sizes, the same whatever optimizer and precision."""
    generator = torch.Generator().manual_seed(number)
    for group in optimizer.param_groups:
        for place, parameter in enumerate(group["params"]):
            gradient = torch.randn(parameter.shape, generator=generator) * 10.0 ** (place - 3)
            parameter.grad = gradient.to(parameter.dtype)
    optimizer.step()


def _values(optimizer: Optimizer) -> list[Tensor]:
    return [parameter.detach() for group in optimizer.param_groups for parameter in group["params"]]


@needs_compiler
@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.1, "betas": (0.3, 0.9), "eps": 1e-3}, {"fused": True, "lr": 1}],
    ids=str,
)
def test_it_moves_as_in_float64(options) -> None:
    ours = by_kernel(Adam(_parameters(), **{"lr": 1e-2, **options}))
    exact = Adam(_parameters(torch.float64), **{"lr": 1e-2, **options})
    assert isinstance(ours, KernelAdam)
    for optimizer in (ours, exact):
        schedule = OneCycleLR(optimizer, 1e-2, total_steps=30)  # moves the rate and the first decay
        for number in range(30):
            _step(optimizer, number)
            schedule.step() if number < 29 else None
    for found, expected in zip(_values(ours), _values(exact), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    assert {int(state["step"]) for state in ours.state.values()} == {30}


@needs_compiler
def test_it_is_the_kernel_that_moves(monkeypatch) -> None:
    optimizer, calls = by_kernel(Adam(_parameters())), []
    monkeypatch.setattr(Adam, "step", lambda self, closure=None: calls.append(self))
    before = copy.deepcopy(_values(optimizer))
    for parameter in optimizer.param_groups[0]["params"]:
        state = {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        optimizer.state[parameter] = {**state, "step": torch.tensor(0.0)}
    _step(optimizer, 0)
    assert not calls
    for old, new in zip(before, _values(optimizer), strict=True):
        torch.testing.assert_close((new - old).abs(), torch.full_like(old, 1e-3), rtol=0.2, atol=0)


@needs_compiler
@pytest.mark.parametrize("first", [True, False], ids=["ours_first", "pytorchs_first"])
def test_either_goes_on_where_the_other_stopped(first) -> None:
    def begun(kernel: bool) -> Optimizer:
        plain = Adam(_parameters(), lr=1e-2, weight_decay=1e-4, fused=True)
        return by_kernel(plain) if kernel else plain

    whole, before, after = begun(False), begun(first), begun(not first)
    for number in range(10):
        _step(whole, number)
        _step(before, number) if number < 5 else None
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for mine, other in zip(_values(after), _values(before), strict=True):
        mine.copy_(other)
    for number in range(5, 10):
        _step(after, number)
    assert after.state_dict().keys() == whole.state_dict().keys()
    assert after.state_dict()["param_groups"] == whole.state_dict()["param_groups"]
    torch.testing.assert_close(_values(after), _values(whole), rtol=1e-6, atol=1e-7)


@needs_compiler
def test_threads_change_no_bit_and_neither_do_other_parameters() -> None:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            optimizer = by_kernel(Adam(_parameters(), lr=1e-2))
            for number in range(4):
                _step(optimizer, number)
            results.append(_values(optimizer))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))
    both, lone = nn.Parameter(torch.ones(2, 37)), nn.Parameter(torch.ones(1, 37))
    gradient = torch.randn(2, 37, generator=torch.Generator().manual_seed(0))
    for parameter, rows in ((both, gradient), (lone, gradient[1:].clone())):
        optimizer = by_kernel(Adam([parameter]))
        for _ in range(3):
            parameter.grad = rows.clone()
            optimizer.step()
    assert torch.equal(both[1:], lone)


@needs_compiler
def test_states_and_gradients_that_are_replaced_are_noticed() -> None:
    parameter = nn.Parameter(torch.zeros(8))
    optimizer = by_kernel(Adam([parameter], lr=1.0))
    for sign in (1.0, 1.0, -1.0):
        optimizer.state.clear()
        parameter.grad = torch.full((8,), sign)
        optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((8,), -1.0))  # three first steps of length 1
    parameter.data = torch.full((8,), 5.0)
    parameter.grad = None
    optimizer.step()
    assert torch.equal(parameter.detach(), torch.full((8,), 5.0))
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))], "lr": 0.5})
    other = optimizer.param_groups[1]["params"][0]
    for _ in range(2):
        other.grad = torch.ones(2)
        optimizer.step()
    torch.testing.assert_close(other.detach(), torch.full((2,), -1.0))


def _replace_states(optimizer: Optimizer, name: str) -> None:
    """Put another tensor in the place of one in each state, and keep the old ones, whose numbers stay readable."""
    for state in list(optimizer.state.values()):
        state.setdefault("kept", []).append(state[name])
        state[name] = torch.full_like(state[name], 0.25)


def _move_states(optimizer: Optimizer, name: str) -> None:
    for state in list(optimizer.state.values()):
        state.setdefault("kept", []).append(state[name].data)
        state[name].data = torch.full_like(state[name], 0.25)


def _move_parameters(optimizer: Optimizer) -> None:
    for parameter in optimizer.param_groups[0]["params"]:
        optimizer.state[parameter].setdefault("kept", []).append(parameter.data)
        parameter.data = parameter.data * 0.5


def _exchange_a_parameter(optimizer: Optimizer) -> None:
    optimizer.param_groups[0]["params"][1] = nn.Parameter(torch.ones(6))


def _widen_steps(optimizer: Optimizer) -> None:
    for state in list(optimizer.state.values()):
        state["step"] = state["step"].double()


CHANGES: dict[str, Callable[[Optimizer], object]] = {
    **{f"{name} replaced": partial(_replace_states, name=name) for name in ("exp_avg", "exp_avg_sq", "step")},
    **{f"{name} moved": partial(_move_states, name=name) for name in ("exp_avg", "exp_avg_sq", "step")},
    "step in float64": _widen_steps,
    "parameters moved": _move_parameters,
    "a parameter exchanged": _exchange_a_parameter,
    "a parameter left out": lambda optimizer: optimizer.param_groups[0]["params"].pop(2),
    "a state taken away": lambda optimizer: optimizer.state.pop(optimizer.param_groups[0]["params"][0]),
}


@needs_compiler
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_between_steps_is_noticed_as_by_pytorch(change: str) -> None:
    ours, plain = by_kernel(Adam(_parameters(), lr=1e-2)), Adam(_parameters(), lr=1e-2)
    for number in range(8):
        for optimizer in (ours, plain):
            if number == 4:
                CHANGES[change](optimizer)
            for parameter in optimizer.param_groups[0]["params"]:  # whose gradients stay where they are
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad.copy_(parameter.detach() - number)
            optimizer.step()
    torch.testing.assert_close(_values(ours), _values(plain), rtol=1e-5, atol=1e-6)


@needs_compiler
def test_gradients_whose_numbers_move_are_noticed() -> None:
    values = []
    for optimizer in (by_kernel(Adam(_parameters(), lr=1e-2)), Adam(_parameters(), lr=1e-2)):
        _step(optimizer, 0)
        for number in range(1, 6):
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad.data = torch.full_like(parameter, float(number) - 3)
            optimizer.step()
        values.append(_values(optimizer))
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"amsgrad": True}, {"maximize": True}, {"lr": torch.tensor(1e-2)}], ids=str
)
def test_other_options_are_pytorchs(options) -> None:
    ours, plain = by_kernel(Adam(_parameters(), **options)), Adam(_parameters(), **options)
    for number in range(4):
        _step(ours, number)
        _step(plain, number)
    assert all(map(torch.equal, _values(ours), _values(plain)))


def test_without_a_compiler_and_in_float64_steps_are_pytorchs(monkeypatch) -> None:
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "_reason", "there is no C++ compiler")
    for dtype in (torch.float32, torch.float64):
        ours, plain = by_kernel(Adam(_parameters(dtype))), Adam(_parameters(dtype))
        for number in range(3):
            _step(ours, number)
            _step(plain, number)
        assert all(map(torch.equal, _values(ours), _values(plain)))


def test_other_optimizers_stay_what_they_are() -> None:
    optimizer = AdamW(_parameters())
    assert by_kernel(optimizer) is optimizer


def test_an_optimizer_with_hooks_keeps_them() -> None:
    """Gradients are clipped by such a hook, since Lightning's own clipping is not offered."""
    optimizer = Adam(_parameters())
    optimizer.register_step_pre_hook(lambda *arguments: None)
    assert by_kernel(optimizer) is optimizer
    optimizer = Adam(_parameters())
    optimizer.register_state_dict_post_hook(lambda *arguments: None)
    assert by_kernel(optimizer) is optimizer


def test_an_optimizer_that_has_taken_steps_or_has_its_own_stays() -> None:
    begun, own = Adam(_parameters()), Adam(_parameters())
    _step(begun, 0)
    own.step = lambda closure=None: None
    assert by_kernel(begun) is begun
    assert by_kernel(own) is own


@pytest.mark.parametrize("reason", [None, "there is no C++ compiler"])
def test_later_hooks_are_called_once_in_each_step(monkeypatch, reason) -> None:
    Adam(_parameters())  # from now on PyTorch's step calls hooks
    optimizer = by_kernel(Adam(_parameters()))
    if reason is not None:
        monkeypatch.setattr(library, "_loaded", None)
        monkeypatch.setattr(library, "_reason", reason)
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *arguments: calls.append("before"))
    optimizer.register_step_post_hook(lambda *arguments: calls.append("behind"))
    for number in range(3):
        _step(optimizer, number)
    assert calls == ["before", "behind"] * 3

"""A step in C++ is the step in PyTorch, in losses and gradients, on any number of threads, and when it is resumed."""

import copy
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip import encoders
from intrinsic_clip.encoders.chain import chain_of
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.kernels import contrast, feed_forward, library
from intrinsic_clip.loss.info_nce import InfoNCE, info_nce
from intrinsic_clip.loss.similarity import (
    CosineSimilarity,
    MovingAverageSimilarity,
    NoNormalisation,
    PopulationSimilarity,
)
from intrinsic_clip.loss.temperature import ClampedTemperature, FixedTemperature, LearnedTemperature
from intrinsic_clip.probes import TemperatureProbe
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.training import build as building
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.train import train

NETWORKS = {
    "mlp": encoders.mlp,
    "narrow": partial(encoders.mlp, width=3, hidden_layers=1),
    "wide": partial(encoders.mlp, width=131, hidden_layers=2),
    "shallow": partial(encoders.shallow, width=23),
    "linear": partial(encoders.linear, width=50),
    "deep": partial(encoders.deep, width=17, linear_layers=5),
}
SHAPES: list[tuple[int, ...]] = [(), (3,), (2, 2)]
needs_compiler = pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler")


@pytest.fixture
def threads() -> Iterator[None]:
    """Put the number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _encoder(network: str, shape: tuple[int, ...], d_in: int, d: int | tuple[int, ...] = 5) -> nn.Module:
    dims = (d,) if isinstance(d, int) else d
    size = torch.Size(shape).numel()
    seeds = range(size // len(dims))
    return replicate(lambda k: NETWORKS[network](d_in, k), d_in, list(seeds), dims, shape)


def _module(
    f: nn.Module,
    g: nn.Module,
    similarity: nn.Module | None = None,
    shape: tuple[int, ...] = (),
    **options: object,
) -> ContrastiveModule:
    module = ContrastiveModule(
        f,
        g,
        similarity or PopulationSimilarity(),
        LearnedTemperature(initial=-0.5, replicates=shape),
        partial(torch.optim.Adam, lr=1e-3),
        Replicates(tuple(range(shape[0])) if shape else None),
        kernel="cpp",
        **options,  # type: ignore[arg-type]
    )
    module.row_axis = -2
    return module


def _rows(shape: tuple[int, ...], own: bool, n: int, m: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    lead = shape if own else ()
    return [torch.randn(*lead, count, d, generator=generator) for count in (n, m) for d in (12, 9)]


def _losses_and_gradients(
    module: ContrastiveModule, rows: list[Tensor], kernel: bool = True
) -> dict[str, Tensor]:
    module.zero_grad()
    if kernel:
        losses, tau = module.differentiation(module)(*rows)
    else:
        losses, tau = module._losses(*rows)
        losses.sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in module.named_parameters()}
    return {"losses": losses.detach(), "tau": tau.detach(), **gradients}


def _assert_like_float64(module: ContrastiveModule, rows: list[Tensor], tolerance: float = 2e-5) -> None:
    ours = _losses_and_gradients(module, rows)
    module.double()
    exact = _losses_and_gradients(module, [each.double() for each in rows], kernel=False)
    assert ours.keys() == exact.keys()
    for name in exact:
        assert ours[name].shape == exact[name].shape
        scale = exact[name].norm().clamp_min(1e-12)
        assert (ours[name].double() - exact[name]).norm() <= tolerance * scale, name


@needs_compiler
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_losses_and_gradients_are_those_of_float64(network, shape, own) -> None:
    module = _module(_encoder(network, shape, 12), _encoder(network, shape, 9), shape=shape)
    _assert_like_float64(module, _rows(shape, own, n=37, m=75))


@needs_compiler
@pytest.mark.parametrize(("n", "m"), [(1, 1), (16, 128), (128, 129), (130, 600), (300, 1100)])
def test_any_number_of_rows(n, m) -> None:
    module = _module(_encoder("mlp", (2,), 12), _encoder("mlp", (2,), 9), shape=(2,))
    _assert_like_float64(module, _rows((2,), True, n, m))


@needs_compiler
@pytest.mark.parametrize(
    "similarity",
    [
        PopulationSimilarity(stop_gradient=True),
        PopulationSimilarity(over="batch"),
        PopulationSimilarity(over="renewed"),
        CosineSimilarity(),
    ],
    ids=["stopped", "batch", "renewed", "cosine"],
)
def test_every_similarity(similarity) -> None:
    module = _module(_encoder("mlp", (3,), 12), _encoder("mlp", (3,), 9), similarity, (3,))
    _assert_like_float64(module, _rows((3,), True, n=50, m=40))


@needs_compiler
@pytest.mark.parametrize(
    "temperature",
    [ClampedTemperature(0.2, replicates=(3,)), LearnedTemperature(2.0, 0.01), FixedTemperature(0.3), None],
    ids=["clamped", "one for all", "fixed", "own"],
)
def test_every_temperature(temperature) -> None:
    module = _module(_encoder("mlp", (3,), 12), _encoder("mlp", (3,), 9), CosineSimilarity(), (3,))
    module.temperature = copy.deepcopy(temperature) or module.temperature
    rows = _rows((3,), True, n=50, m=0)
    for _ in range(2):  # the second finds gradients
        ours = _losses_and_gradients(module, rows)
    plain = _losses_and_gradients(module, rows, kernel=False)
    assert module._kernel_step.whole() is not None
    torch.testing.assert_close(ours, plain, rtol=2e-4, atol=1e-6)


@needs_compiler
def test_zero_outputs_have_the_cosines_gradient() -> None:
    f, g = _encoder("linear", (2,), 12), _encoder("linear", (2,), 9)
    with torch.no_grad():
        f.layers[0].weight[1].zero_()  # of one replicate
    module, rows = _module(f, g, CosineSimilarity(), (2,)), _rows((2,), True, n=20, m=0)
    rows[0][0, 4:9] = 0
    _assert_like_float64(module, rows)


@needs_compiler
def test_steps_are_whole_where_nobody_else_has_a_part_in_them() -> None:
    def is_whole(module: ContrastiveModule) -> bool:
        return module._kernel_step.whole() is not None

    def module(similarity: nn.Module | None = None, **options: object) -> ContrastiveModule:
        return _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9), similarity, **options)

    assert all(is_whole(module(each)) for each in (None, CosineSimilarity(), PopulationSimilarity(8)))
    others = PopulationSimilarity(over="batch"), MovingAverageSimilarity(), NoNormalisation()
    assert not any(is_whole(module(each)) for each in others)
    assert not is_whole(module(objective=InfoNCE(label_smoothing=0.1)))
    tied = _encoder("mlp", (), 12)
    module_of_one = _module(tied, tied, CosineSimilarity())
    assert not is_whole(module_of_one)
    rows = [_rows((), False, n=20, m=0)[place] for place in (0, 0, 2, 2)]
    _assert_like_float64(module_of_one, rows)
    hooked, called = module(CosineSimilarity()), []
    hooked.f.layers[0].weight.register_hook(called.append)
    assert not is_whole(hooked)
    _assert_like_float64(hooked, _rows((), False, n=20, m=0))
    assert len(called) == 2


@needs_compiler
def test_rows_that_the_kernel_does_not_serve_are_autograds_in_between() -> None:
    module = _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9), CosineSimilarity(), chunk=32)
    module._kernel_step.explained = False
    rows, long = _rows((), False, n=20, m=0), _rows((), False, n=40, m=0)
    differentiated = module.differentiation(module)
    found = []
    for each in (rows, long, rows):
        losses, _ = differentiated(*each)
        found.append([losses, *(parameter.grad.clone() for parameter in module.parameters())])
    assert all(map(torch.equal, found[0], found[2]))
    expected = _losses_and_gradients(module, long, kernel=False)
    torch.testing.assert_close(found[1], [expected.pop("losses"), *list(expected.values())[1:]])


@needs_compiler
def test_a_moving_average_moves_as_without_the_kernel() -> None:
    after = []
    for kernel in (True, False):
        module = _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9), MovingAverageSimilarity(0.5))
        for n in (30, 40):
            rows = _rows((), False, n=n, m=4)
            result = _losses_and_gradients(module, rows, kernel)
        after.append([module.similarity.x_norm, module.similarity.y_norm, *result.values()])
    torch.testing.assert_close(*after, rtol=2e-4, atol=1e-6)


@needs_compiler
def test_padded_outputs_stay_zero() -> None:
    f, g = (_encoder("mlp", (3, 2), width, (2, 5, 7)) for width in (12, 9))
    module = _module(f, g, shape=(3, 2))
    rows = _rows((3, 2), True, n=40, m=50)
    _assert_like_float64(module, rows)
    module.float()
    _losses_and_gradients(module, rows)
    last = f.layers[-1]
    assert not last.weight.grad.view(3, 2, 7, -1)[0, :, 2:].any()
    assert not last.bias.grad.view(3, 2, 7)[1, :, 5:].any()


@needs_compiler
@pytest.mark.parametrize(
    "similarity", [PopulationSimilarity(), CosineSimilarity()], ids=["population", "cosine"]
)
def test_padded_outputs_change_no_bit(similarity) -> None:
    dims = (2, 5, 7)
    f, g = (_encoder("mlp", (3, 1), width, dims) for width in (12, 9))
    rows = _rows((), False, n=50, m=70)
    together = _losses_and_gradients(_module(f, g, similarity, (3, 1)), rows)
    for place, d in enumerate(dims):
        module = _module(_encoder("mlp", (1,), 12, d), _encoder("mlp", (1,), 9, d), similarity, (1,))
        for name, alone in _losses_and_gradients(module, rows).items():
            beside = together[name].reshape(3, -1)[place]
            assert torch.equal(beside[: alone.numel()], alone.flatten()), name
            assert not beside[alone.numel() :].any()


@needs_compiler
@pytest.mark.parametrize(
    "similarity", [PopulationSimilarity(), CosineSimilarity()], ids=["population", "cosine"]
)
@pytest.mark.parametrize(
    "zero", [((5, 7), (7, 7)), ((4, 7), (5, 7)), ((2, 4), (2, 4)), ((6, 7), (0, 1))], ids=str
)
def test_zero_weights_of_outputs_that_are_no_padding(similarity, zero) -> None:
    """Last outputs of one side alone, of both but not as many, in the middle, and last and first ones."""
    f, g = _encoder("mlp", (2,), 12, 7), _encoder("mlp", (2,), 9, 7)
    with torch.no_grad():
        for encoder, (first, last) in zip((f, g), zero, strict=True):
            encoder.layers[-1].weight[1, first:last] = 0
            encoder.layers[-1].bias[1, first:last] = 0
    _assert_like_float64(_module(f, g, similarity, (2,)), _rows((2,), True, n=40, m=50))


@needs_compiler
def test_a_bias_alone_is_an_output() -> None:
    f, g = _encoder("mlp", (2,), 12, 7), _encoder("mlp", (2,), 9, 7)
    with torch.no_grad():
        for encoder in (f, g):
            encoder.layers[-1].weight[:, 4:] = 0
            encoder.layers[-1].bias[:, 5:] = 0
    _assert_like_float64(_module(f, g, shape=(2,)), _rows((2,), True, n=40, m=50))


@needs_compiler
def test_zero_rows_have_no_gradient_and_collapsed_encoders_do_not_divide_by_zero() -> None:
    rows = _rows((), False, n=20, m=30)
    rows[2][3:9] = 0
    linear = _module(_encoder("linear", (), 12), _encoder("linear", (), 9))
    _assert_like_float64(linear, rows)
    linear.float()
    with torch.no_grad():
        linear.f.layers[-1].weight.zero_()
    ours = _losses_and_gradients(linear, rows)
    plain = _losses_and_gradients(linear, rows, kernel=False)
    torch.testing.assert_close(ours["losses"], plain["losses"])
    for name in ("f.layers.0.weight", "f.layers.1.weight"):
        torch.testing.assert_close(
            ours[name], plain[name], rtol=1e-4, atol=1e-6 * float(plain[name].abs().max())
        )


@needs_compiler
def test_nan_is_not_hidden() -> None:
    rows = _rows((2,), True, n=20, m=30)
    module = _module(_encoder("mlp", (2,), 12), _encoder("mlp", (2,), 9), shape=(2,))
    for place in (0, 2):  # of the batch, and of the population
        broken = [each.clone() for each in rows]
        broken[place][1, 4, 2] = torch.nan
        losses = _losses_and_gradients(module, broken)["losses"]
        assert losses.isnan().tolist() == [False, True]


@needs_compiler
def test_frozen_parameters_and_fixed_temperatures_get_no_gradient() -> None:
    module = _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9))
    module.temperature = FixedTemperature(0.3)
    module.f.requires_grad_(False)
    module.g.layers[0].weight.requires_grad_(False)
    rows = _rows((), False, n=20, m=30)
    module.differentiation(module)(*rows)
    ours = [parameter.grad for parameter in module.parameters()]
    module.zero_grad()
    module._losses(*rows)[0].sum().backward()
    for mine, plain in zip(ours, [parameter.grad for parameter in module.parameters()], strict=True):
        assert (mine is None) == (plain is None)
        if mine is not None:
            torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-7)


@needs_compiler
@pytest.mark.parametrize("over", ["append", "batch"])
def test_threads_change_no_bit_and_neither_do_other_replicates(threads, over) -> None:
    f, g = _encoder("mlp", (3,), 12), _encoder("mlp", (3,), 9)
    module = _module(f, g, PopulationSimilarity(over=over), (3,))
    rows, results = _rows((3,), True, n=200, m=1100), []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        results.append(_losses_and_gradients(module, rows))
    for other in results[1:]:
        assert all(torch.equal(results[0][name], other[name]) for name in other)
    torch.set_num_threads(2)
    alone = _module(_encoder("mlp", (1,), 12), _encoder("mlp", (1,), 9), module.similarity, (1,))
    with torch.no_grad():
        for parameter, all_of_them in zip(alone.parameters(), module.parameters(), strict=True):
            parameter.copy_(all_of_them[1:2])
    lone = _losses_and_gradients(alone, [each[1:2] for each in rows])
    assert all(torch.equal(lone[name][0], results[0][name][1]) for name in lone)


@needs_compiler
def test_rows_are_taken_where_they_lie(threads) -> None:
    rows = _rows((3,), True, n=40, m=60)
    module = _module(_encoder("mlp", (3,), 12), _encoder("mlp", (3,), 9), shape=(3,))
    expected = _losses_and_gradients(module, rows)
    long = [torch.cat([torch.ones(3, 7, each.shape[-1]), each], 1)[:, 7:] for each in rows]
    apart = [each.mT.contiguous().mT for each in rows]
    for others in (long, apart):
        assert not any(each.is_contiguous() for each in others)
        found = _losses_and_gradients(module, others)
        assert all(torch.equal(found[name], expected[name]) for name in found)


@needs_compiler
@pytest.mark.parametrize("n", [1, 7, 16, 100])
def test_info_nce_for_any_temperature(n) -> None:
    generator = torch.Generator().manual_seed(n)
    x, y = (torch.randn(4, n, 3, generator=generator).requires_grad_() for _ in range(2))
    tau = torch.tensor([1e-3, 0.05, 1.0, 30.0], requires_grad=True)
    contrast.info_nce(x, y, tau).sum().backward()
    exact = [each.detach().double().requires_grad_() for each in (x, y, tau)]
    info_nce(*exact).sum().backward()
    for mine, other in zip((x, y, tau), exact, strict=True):
        size = other.grad.flatten(1).norm(dim=1) if other.grad.ndim > 1 else other.grad.abs()
        error = (mine.grad.double() - other.grad).reshape(4, -1).norm(dim=1)
        assert (error <= 3e-4 * size + 1e-6).all()


@needs_compiler
def test_numbers_too_small_for_float32_are_flushed_in_every_thread_as_in_the_callers(threads) -> None:
    torch.set_num_threads(2)
    f = _encoder("linear", (8,), 4)
    with torch.no_grad():
        f.layers[0].weight.fill_(1e-30)
        f.layers[1].weight.fill_(1e-10)
    rows = torch.ones(8, 2000, 4)
    assert feed_forward.encode(chain_of(f), rows).all()
    torch.set_flush_denormal(True)
    try:
        assert not feed_forward.encode(chain_of(f), rows).any()
    finally:
        torch.set_flush_denormal(False)
    assert feed_forward.encode(chain_of(f), rows).all()


HOOKS = {
    "layer": lambda module, hook: module.f.layers[2].register_forward_hook(hook),
    "activation": lambda module, hook: module.g.layers[1].register_forward_pre_hook(hook),
    "backward": lambda module, hook: module.g.register_full_backward_hook(hook),
    "layer, backward": lambda module, hook: module.f.layers[0].register_full_backward_pre_hook(hook),
    "similarity": lambda module, hook: module.similarity.register_forward_hook(hook),
    "objective": lambda module, hook: module.objective.register_forward_hook(hook),
    "everywhere": lambda module, hook: nn.modules.module.register_module_forward_hook(hook),
}


@needs_compiler
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("similarity", [PopulationSimilarity, CosineSimilarity, NoNormalisation])
@pytest.mark.parametrize("place", HOOKS)
def test_hooks_are_called_as_often_as_without_the_kernel(place, similarity) -> None:
    module = _module(_encoder("mlp", (2,), 12), _encoder("mlp", (2,), 9), similarity(), (2,))
    called: list[object] = []
    handle = HOOKS[place](module, lambda *arguments: called.append(arguments[0]))
    rows, numbers = _rows((2,), True, n=20, m=30), []
    for kernel in (True, False):
        _losses_and_gradients(module, rows, kernel)
        numbers.append(len(called))
        called.clear()
    handle.remove()
    assert numbers[0] == numbers[1] > 0


@needs_compiler
def test_what_a_hook_makes_of_a_layer_counts() -> None:
    plain, normed = (_module(_encoder("mlp", (), 12), _encoder("mlp", (), 9)) for _ in range(2))
    rows = _rows((), False, n=20, m=30)
    normed.f.layers[2].register_forward_hook(lambda layer, inputs, output: output / 3)
    found = _losses_and_gradients(normed, rows)["losses"]
    torch.testing.assert_close(found, _losses_and_gradients(normed, rows, kernel=False)["losses"])
    assert not torch.isclose(found, _losses_and_gradients(plain, rows)["losses"])


@needs_compiler
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("similarity", [PopulationSimilarity, CosineSimilarity, NoNormalisation])
def test_anomalies_are_found(similarity) -> None:
    module = _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9), similarity())
    rows = _rows((), False, n=20, m=30)
    rows[0][3] = torch.nan
    with torch.autograd.set_detect_anomaly(True), pytest.raises(RuntimeError, match="returned nan"):
        _losses_and_gradients(module, rows)


@needs_compiler
@pytest.mark.parametrize(("minimum", "initial"), [(1e-4, -5.0), (0.5, -3.0), (1.0, -4.0)])
def test_the_slope_of_a_temperature_next_to_its_minimum(minimum, initial) -> None:
    module = _module(_encoder("mlp", (3,), 12), _encoder("mlp", (3,), 9), CosineSimilarity(), (3,))
    module.temperature = LearnedTemperature(4.0, minimum, initial, replicates=(3,))
    rows = _rows((3,), True, n=50, m=1)
    ours = _losses_and_gradients(module, rows)["temperature.s"]
    exact = _losses_and_gradients(module.double(), [each.double() for each in rows], kernel=False)
    torch.testing.assert_close(ours.double(), exact["temperature.s"], rtol=1e-4, atol=0)


@needs_compiler
@pytest.mark.parametrize("network", ["mlp", "shallow", "linear"])
def test_the_cosine_of_single_numbers_has_no_gradient(network) -> None:
    module = _module(_encoder(network, (3,), 12, 1), _encoder(network, (3,), 9, 1), CosineSimilarity(), (3,))
    found = _losses_and_gradients(module, _rows((3,), True, n=131, m=1))
    assert all(not found[name].any() for name in found if name.startswith(("f.", "g.")))


class _Scaled(PopulationSimilarity):
    """A similarity of the user's own."""


def _unserved() -> dict[str, tuple[ContrastiveModule, str]]:
    def mlps() -> tuple[nn.Module, nn.Module]:
        return _encoder("mlp", (), 12), _encoder("mlp", (), 9)

    def gelu(d_in: int) -> nn.Module:
        layers = [nn.Linear(d_in, 7), nn.GELU(), nn.Linear(7, 5)]
        return replicate(lambda d: nn.Sequential(*layers), d_in, [0], [5], ())

    hooked = mlps()
    hooked[1].register_forward_hook(lambda *arguments: None)
    return {
        "activation": (_module(gelu(12), gelu(9)), "nothing but ReLU"),
        "module": (_module(nn.Linear(12, 5), nn.Linear(9, 5)), "nothing but ReLU"),
        "hooks": (_module(*hooked), "hooks"),
        "precision": (_module(*mlps()).double(), "float32"),
        "similarity": (_module(*mlps(), _Scaled()), "_Scaled"),
        "chunk": (_module(*mlps(), chunk=8), "objective.chunk=8"),
    }


@pytest.mark.parametrize("case", list(_unserved()))
def test_what_is_not_served_runs_in_pytorch_and_is_said_once(case, recwarn) -> None:
    module, reason = _unserved()[case]
    rows = [each.to(next(module.parameters()).dtype) for each in _rows((), False, n=20, m=30)]
    for _ in range(2):
        losses = module._step(*rows)[0]
    assert torch.equal(losses, module._losses(*rows)[0])
    messages = [str(warning.message) for warning in recwarn if "kernel=cpp" in str(warning.message)]
    assert len(messages) == 1
    assert reason in messages[0]


@needs_compiler
def test_mixed_precision_runs_in_pytorch() -> None:
    module = _module(_encoder("mlp", (), 12), _encoder("mlp", (), 9))
    rows = _rows((), False, n=20, m=30)
    with torch.autocast("cpu", torch.bfloat16), pytest.warns(UserWarning, match="mixed precision"):
        assert torch.equal(module._step(*rows)[0], module._losses(*rows)[0])


@pytest.fixture
def unbuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forget the library, and let it be built in an empty folder."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "extensions"))
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "_reason", None)
    return tmp_path / "extensions"


def test_without_a_compiler_the_step_runs_in_pytorch(unbuilt, monkeypatch, compose, recwarn) -> None:
    monkeypatch.setattr(library, "compiler", lambda: None)
    found = train(compose("trainer.max_epochs=2", "kernel=cpp"))
    plain = train(compose("trainer.max_epochs=2", "kernel=none", "output_dir=plain"))
    assert found["metrics"] == plain["metrics"]
    assert sum("kernel=cpp does not serve" in str(w.message) for w in recwarn) == 1
    assert any("there is no C++ compiler" in str(w.message) for w in recwarn)


@pytest.mark.parametrize(
    ("command", "reason"), [(["false"], "false failed"), (["/nowhere/g++"], "/nowhere/g.. failed")]
)
def test_a_compiler_that_fails_is_named_and_leaves_nothing(unbuilt, monkeypatch, command, reason) -> None:
    monkeypatch.setattr(library, "compiler", lambda: command)
    with pytest.raises(library.KernelUnavailableError, match=reason):
        library.load()
    assert not list((unbuilt / "intrinsic_clip").iterdir())


def test_a_folder_that_cannot_be_written_is_named(unbuilt) -> None:
    unbuilt.write_text("a file")
    if library.compiler() is None:
        pytest.skip("there is no C++ compiler")
    with pytest.raises(library.KernelUnavailableError, match="cannot be written"):
        library.load()


@pytest.fixture(scope="module")
def new_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library, as this machine's compiler does now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path_factory.mktemp("extensions")))
        return library.built()


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("damage", ["half", "zeros", "empty", "folder", "byte"])
def test_a_damaged_library_is_built_again_or_named_before_it_is_loaded(new_library, unbuilt, damage) -> None:
    path = unbuilt / new_library.parent.name / new_library.name
    path.parent.mkdir(parents=True)
    whole = new_library.read_bytes()
    middle = len(whole) // 2
    if damage == "folder":
        path.mkdir()
        assert "cannot be written" in str(library.why_not())
        return
    path.write_bytes(
        {
            "half": whole[:middle],
            "zeros": whole[:middle].ljust(len(whole), b"\0"),
            "empty": b"",
            "byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }[damage]
    )
    assert library.load().step
    assert path.read_bytes() == whole


def test_a_compiler_that_builds_no_library_is_named_and_leaves_nothing(
    unbuilt, tmp_path, monkeypatch
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nfor last; do :; done\necho garbage > "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert "cannot be loaded" in str(library.why_not())
    assert not list((unbuilt / "intrinsic_clip").iterdir())


def test_a_compiler_with_an_open_quotation_mark_is_passed_over(monkeypatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    usual = library.compiler()
    monkeypatch.setenv("CXX", "g++ 'x")
    assert library.compiler() == usual


@needs_compiler
@pytest.mark.long
def test_builds_that_were_killed_or_damaged_or_run_at_once_are_no_obstacle(unbuilt) -> None:
    build = "from intrinsic_clip.kernels import library; library.load(); print(library.built())"
    killed = subprocess.Popen([sys.executable, "-c", build], start_new_session=True)
    folder = unbuilt / "intrinsic_clip"
    limit = time.monotonic() + 200
    while not list(folder.glob("*.unfinished")):
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.killpg(killed.pid, 9)
    killed.wait()
    abandoned = next(folder.glob("*.unfinished"))
    os.utime(abandoned, (0, 0))
    both = [
        subprocess.Popen([sys.executable, "-c", build], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    paths = {process.communicate(timeout=200)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert list(folder.iterdir()) == [Path(paths.pop())]
    assert not paths
    library.built().write_bytes(b"damaged")
    assert library.load().step


def test_auto_is_decided_by_the_length_of_a_run_alone(compose) -> None:
    def kernel(*overrides: str) -> str:
        from intrinsic_clip.runs.spec import RunSpec

        return building._kernel(RunSpec.of(compose(*overrides)))

    assert kernel() == "none"  # 48 steps
    assert kernel("trainer.max_epochs=300") == "auto"
    assert kernel("replicates=50") == "auto"
    assert kernel("trainer.max_epochs=300", "kernel=none") == "none"
    assert kernel("kernel=cpp") == "cpp"


@needs_compiler
@pytest.mark.slow
@pytest.mark.own_training
def test_a_training_with_the_kernel_resumes_bit_for_bit_and_is_the_plain_one_to_rounding(
    compose, monkeypatch
) -> None:
    settings = (
        "replicates=2",
        "objective/similarity=fast",
        "objective.similarity.rows=48",
        "optimizer.lr=1e-4",
    )
    overrides = (*settings, "trainer.max_epochs=3", "kernel=cpp")
    whole = train(compose(*overrides, "output_dir=whole"))

    def fail(self, trainer, module) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("struck down")

    with monkeypatch.context() as patch:
        patch.setattr(TemperatureProbe, "on_train_epoch_end", fail)
        with pytest.raises(RuntimeError, match="struck down"):
            train(compose(*overrides))
    resumed = train(compose(*overrides))
    assert resumed["timings"]["resumed"]
    assert resumed["metrics"] == whole["metrics"]
    plain = train(compose(*settings, "trainer.max_epochs=3", "kernel=none", "output_dir=plain"))
    for name in ("loss", "temperature"):
        assert whole["metrics"][name]["values"] == pytest.approx(plain["metrics"][name]["values"], rel=1e-5)
    assert plain["metrics"] != whole["metrics"]  # the kernel was used


def test_a_module_with_losses_of_its_own_keeps_them(recwarn) -> None:
    class Other(ContrastiveModule):
        def _losses(self, x, y, x_append, y_append):
            losses, tau = super()._losses(x, y, x_append, y_append)
            return 2 * losses, tau

    parts = _encoder("mlp", (), 12), _encoder("mlp", (), 9), PopulationSimilarity(), LearnedTemperature()
    module = Other(*parts, torch.optim.Adam, kernel="cpp")
    module.row_axis = -2
    rows = _rows((), False, n=20, m=30)
    assert torch.equal(module._step(*rows)[0], module._losses(*rows)[0])
    assert any("losses of its own" in str(warning.message) for warning in recwarn)

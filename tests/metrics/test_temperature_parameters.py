"""Temperatures are found whatever they are called, however they are parametrised, and in whatever they are wrapped."""

import math

import open_clip
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize, softplus
from torch.nn.utils import parametrize

from intrinsic_clip.metrics import find_logit_biases, find_temperatures


class Model(nn.Module):
    """A tower, and a temperature of any name."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tower = nn.Linear(4, 3)
        setattr(self, name, nn.Parameter(torch.tensor(float(value))))

    def embed(self):
        return (normalize(self.tower(torch.randn(8, 4)), dim=-1) for _ in "xy")


def loss_of(logits: torch.Tensor) -> torch.Tensor:
    targets = torch.arange(len(logits))
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2


USES = [
    ("logit_scale", 2.66, lambda x, y, s: s.exp() * x @ y.T, "log scale", math.exp(-2.66)),
    ("logit_scale", 2.66, lambda x, y, s: (x @ y.T) * s.exp(), "log scale", math.exp(-2.66)),
    ("logit_scale", 4.9, lambda x, y, s: (x @ y.T) * s.exp().clamp(max=100), "log scale", 0.01),
    ("logit_scale", 4.9, lambda x, y, s: (x @ y.T) * s.clamp(max=math.log(100)).exp(), "log scale", 0.01),
    ("logit_scale", 14.3, lambda x, y, s: s * (x @ y.T), "scale", 1 / 14.3),
    ("logit_scale", 1.0, lambda x, y, s: (x @ y.T) * s, "scale", 1.0),
    ("logit_scale", 1.0, lambda x, y, s: (x @ y.T) * s.exp(), "log scale", math.exp(-1)),
    ("temperature", 0.07, lambda x, y, s: (x @ y.T) / s, "τ", 0.07),
    ("temperature", 1.0, lambda x, y, s: (x @ y.T) * s.exp(), "log scale", math.exp(-1)),
    ("temperature", 1.0, lambda x, y, s: (x @ y.T) / s, "τ", 1.0),
    ("temp", 0.004, lambda x, y, s: torch.einsum("id,jd->ij", x, y) / s.clamp(min=0.01), "τ", 0.01),
    ("tau", -2.66, lambda x, y, s: (x @ y.T) / softplus(s), "softplus τ", math.log1p(math.exp(-2.66))),
    ("tau", -2.66, lambda x, y, s: (x @ y.T) / s.exp(), "log τ", math.exp(-2.66)),
    ("log_tau", -2.66, lambda x, y, s: (x @ y.T) * torch.exp(-s), "log τ", math.exp(-2.66)),
    ("tau", 0.07, lambda x, y, s: (x @ y.T) * s.reciprocal(), "τ", 0.07),
    ("inv_tau", 14.0, lambda x, y, s: x @ (s * y).T, "scale", 1 / 14),
    ("t_prime", 2.3, lambda x, y, s: (x @ y.T) * s.exp() - 10, "log scale", math.exp(-2.3)),
]


@pytest.mark.parametrize(("name", "value", "use", "form", "tau"), USES)
def test_the_loss_shows_how_a_temperature_is_used(name, value, use, form, tau) -> None:
    model = Model(name, value)
    (parameter,) = find_temperatures(model, loss_of(use(*model.embed(), getattr(model, name))))
    assert (parameter.name, parameter.form, parameter.reason) == (name, form, "as the loss uses it")
    assert float(parameter.tau()) == pytest.approx(tau, rel=1e-5)


def test_it_is_read_within_half_precision_and_a_regularised_loss() -> None:
    model = Model("logit_scale", 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x, y = model.embed()
        loss = loss_of((x @ y.T) * model.logit_scale) + 0.1 * model.logit_scale.square()
    assert find_temperatures(model, loss)[0].form == "scale"
    loss.backward()
    (parameter,) = find_temperatures(model, loss)  # the graph is gone: by convention
    assert (parameter.form, parameter.reason) == ("log scale", "by its name and value")


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("logit_scale", 2.6593, "log scale"),
        ("logit_scale", 100.0, "scale"),
        ("logit_scale", 8.0, None),
        ("temperature", 0.07, "τ"),
        ("temperature", 14.0, None),
        ("log_temperature", -2.66, "log τ"),
        ("log_temperature", 5.0, None),
        ("inverse_temperature", 10.0, "scale"),
        ("tau", -3.0, "log τ"),
        ("t_prime", 2.3, "log scale"),
        ("tau", math.nan, None),
    ],
)
def test_without_a_loss_the_name_and_the_value_decide_where_they_can(name, value, form) -> None:
    (parameter,) = find_temperatures(Model(name, value))
    assert parameter.form == form
    assert parameter.tau().isnan() == (form is None)
    assert str(parameter).startswith(f"{name} = ")


class Parts(nn.Module):
    """A model within a model, as a LightningModule holds one."""

    def __init__(self, **parts) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def test_names_of_wrappers_are_left_out() -> None:
    plain = Parts(model=Model("logit_scale", 2.66))
    compiled = Parts(model=torch.compile(Model("logit_scale", 2.66)))
    parallel = Parts(model=nn.DataParallel(Model("logit_scale", 2.66)))
    adapted = Parts(base_model=Parts(model=Model("logit_scale", 2.66)))
    saved = Parts(modules_to_save=nn.ModuleDict({"default": Model("logit_scale", 2.0)}))
    saved.original_module = Model("logit_scale", 2.66).requires_grad_(False)
    for model, name in [
        (plain, "model.logit_scale"),
        (compiled, "model.logit_scale"),
        (torch.compile(plain), "model.logit_scale"),
        (parallel, "model.logit_scale"),
        (adapted, "logit_scale"),
        (Parts(head=saved), "head.logit_scale"),
    ]:
        (parameter,) = find_temperatures(model)
        assert parameter.name == name
        assert parameter.form == "log scale"
    assert float(parameter.value()) == 2.0  # the one that trains, not the original beside it


def test_parametrizations_and_hooks_before_and_after() -> None:
    model = Model("temperature", -2.6)
    (before,) = find_temperatures(model)
    assert before.form == "log τ"
    parametrize.register_parametrization(model, "temperature", nn.Softplus(), unsafe=True)
    model.register_forward_hook(lambda *arguments: None)
    (after,) = find_temperatures(model)
    assert (after.name, after.form) == ("temperature", "τ")
    assert float(after.tau()) == pytest.approx(math.log1p(math.exp(-2.6)))


def test_several_and_shared_parameters() -> None:
    one, other = Model("logit_scale", 2.0), Model("tau", 0.1)
    model = Parts(image=one, text=other, loss=Parts(logit_scale=one.logit_scale))
    assert [each.name for each in find_temperatures(model)] == ["image.logit_scale", "text.tau"]
    model = Parts(logit_scale=nn.Parameter(torch.tensor([2.0, 3.0])))
    assert [(each.name, round(float(each.tau()), 4)) for each in find_temperatures(model)] == [
        ("logit_scale[0]", 0.1353),
        ("logit_scale[1]", 0.0498),
    ]


def test_scales_of_attention_are_no_temperatures() -> None:
    attention = Parts(logit_scale=nn.Parameter(torch.ones(4, 1, 1)))
    model = Parts(attn=attention, logit_scale=nn.Parameter(torch.tensor(2.0)))
    assert [each.name for each in find_temperatures(model)] == ["logit_scale"]


class NTXentLoss(nn.Module):
    """A loss with a fixed number, as in many packages."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = 0.5


def test_a_fixed_number_of_a_loss() -> None:
    (parameter,) = find_temperatures(Parts(criterion=NTXentLoss()))
    assert (parameter.name, parameter.learned, float(parameter.tau())) == (
        "criterion.temperature",
        False,
        0.5,
    )
    model = Parts(criterion=NTXentLoss(), logit_scale=nn.Parameter(torch.tensor(2.0)))
    assert [each.name for each in find_temperatures(model)] == ["logit_scale"]
    assert find_temperatures(nn.Linear(2, 2)) == []


@pytest.mark.slow
def test_models_of_open_clip() -> None:
    clip = open_clip.create_model("ViT-B-32-256", pretrained=None, init_logit_scale=math.log(10))
    (scale,) = find_temperatures(clip)
    assert (scale.name, scale.form) == ("logit_scale", "log scale")
    assert find_logit_biases(clip) == {}


def test_biases() -> None:
    biases = find_logit_biases(torch.compile(Model("logit_bias", -10.0)))
    assert {name: float(each.value()) for name, each in biases.items()} == {"logit_bias": -10.0}

"""Find the temperatures of any model, and how each is parametrised: τ or its inverse, plain, logarithm or softplus."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from intrinsic_clip.metrics.temperature_forms import FORMS, Form
from intrinsic_clip.metrics.temperature_graph import use_in_graph

# Names that torch.compile, DDP, FSDP, activation checkpointing, parametrizations and PEFT put into a parameter's name.
WRAPPERS = re.compile(
    r"(^|\.)(_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_model\.model"
    r"|modules_to_save\.\w+|original_module|_forward_module)(?=\.)"
)
PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original\d*$")
TEMPERATURE = re.compile(r"(^|_)(temperature|temp|tau|t_prime)(_|\d|$)|^log_?(temperature|temp|tau)|^t$")
SCALE = re.compile(r"logits?_?scale|(^|_)inv(erse)?_?(temperature|temp|tau)|^log_?scale$")
BIAS = re.compile(r"logits?_?bias")
ATTENTION = re.compile(
    r"attn|attention|block", re.IGNORECASE
)  # whose own scales are no temperature of the loss
SHOWN = "as the loss uses it"  # reason of a form that was read off a graph
MOST = 16  # values of one parameter; more are no temperatures


@dataclass(frozen=True)
class TemperatureParameter:
    """One temperature of a model.

    Attributes:
        name: in the model, without the names of wrappers: `logit_scale`, `heads.0.tau`.
        form: how τ follows from the value; None: it cannot be decided.
        reason: why this form.
        learned: whether training changes it.
        owner: the module that has it.
        attribute: its name there.
        index: which value of a parameter that holds several.
        lowest, highest: limits that the model clamps τ to, as far as the loss shows them.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import find_temperatures
        >>> model = torch.nn.Linear(2, 2)
        >>> model.log_tau = torch.nn.Parameter(torch.tensor(-2.0))
        >>> (temperature,) = find_temperatures(model)
        >>> temperature.form, round(float(temperature.tau()), 3)
        ('log τ', 0.135)
    """

    name: str
    form: Form | None
    reason: str
    learned: bool
    owner: nn.Module
    attribute: str
    index: int | None = None
    lowest: float = 0.0
    highest: float = math.inf

    def value(self) -> Tensor:
        """Return what the model holds now, a number on its device; NaN where another process holds it."""
        held = _held(self.owner, self.attribute)
        flat = held.detach().flatten().float()
        if not flat.numel():  # the shard of another process
            return flat.new_tensor(math.nan)
        return flat[self.index or 0].clone()

    def tau(self) -> Tensor:
        """Return τ now; NaN where the form is not known, and where it is no longer positive."""
        value = self.value()
        if self.form is None:
            return torch.full_like(value, math.nan)
        tau = FORMS[self.form].tau(value)
        return tau.clamp(self.lowest, self.highest).where(tau > 0, math.nan)

    def __str__(self) -> str:
        value, tau = float(self.value()), float(self.tau())
        if self.form is None:
            return f"{self.name} = {value:.4g}: {self.reason}"
        return f"{self.name} = {value:.4g} is {FORMS[self.form].words} ({self.reason}): τ = {tau:.4g}"


def find_temperatures(module: nn.Module, loss: Tensor | None = None) -> list[TemperatureParameter]:
    """Return the temperatures of a model: parameters, buffers and numbers that are named like one.

    The form is read off the graph of the loss, if that is given and shows the parameter; otherwise it follows from the
    name and the value, as the form that models of this name have. Scales within attention are left out. Where learned
    temperatures exist, fixed numbers are left out too.

    Args:
        module: compiled, distributed or otherwise wrapped, with or without parametrizations.
        loss: of one batch, before its `backward()`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import find_temperatures
        >>> model = torch.nn.Linear(2, 2)
        >>> model.logit_scale = torch.nn.Parameter(torch.tensor(2.6593))
        >>> print(find_temperatures(model)[0])
        logit_scale = 2.659 is log 1/τ (by its name and value): τ = 0.07
    """
    candidates = list(_candidates(module))
    learned = [candidate for candidate in candidates if candidate.learned]
    return [_decided(candidate, loss) for candidate in learned or candidates]


def find_logit_biases(module: nn.Module) -> dict[str, TemperatureParameter]:
    """Return the numbers that a model adds to its logits, by name, such as `logit_bias` of SigLIP.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics import find_logit_biases
        >>> model = torch.nn.Linear(2, 2)
        >>> model.logit_bias = torch.nn.Parameter(torch.tensor(-10.0))
        >>> {name: float(bias.value()) for name, bias in find_logit_biases(model).items()}
        {'logit_bias': -10.0}
    """
    return {
        _clean(name): TemperatureParameter(_clean(name), None, "a bias", True, owner, attribute)
        for name, owner, attribute, tensor in _tensors(module)
        if BIAS.search(attribute) and tensor.numel() <= 1
    }


def _candidates(module: nn.Module) -> Iterator[TemperatureParameter]:
    seen: set[int] = set()
    names: set[str] = set()
    for name, owner, attribute, tensor in _tensors(module):
        clean = _clean(name)
        if not _is_named_like_one(attribute) or id(tensor) in seen or clean in names:
            continue
        if _is_in_attention(clean, owner) or tensor.numel() > MOST or not tensor.is_floating_point():
            continue
        seen.add(id(tensor))
        names.add(clean)
        many = tensor.numel() > 1
        for index in range(max(1, tensor.numel())):
            label = f"{clean}[{index}]" if many else clean
            yield TemperatureParameter(
                label, None, "", tensor.requires_grad, owner, attribute, index if many else None
            )
    for path, owner in module.named_modules():
        for attribute, value in vars(owner).items():
            clean = _clean(f"{path}.{attribute}" if path else attribute)
            if type(value) is float and _is_fixed_number(owner, attribute) and clean not in names:
                names.add(clean)
                yield TemperatureParameter(clean, None, "", False, owner, attribute)


def _tensors(module: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Yield name, owner, attribute and tensor of parameters and buffers, those that train first."""
    owners = dict(module.named_modules())
    named = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in sorted(named, key=lambda pair: not pair[1].requires_grad):
        match = PARAMETRIZED.search(name)
        if match is not None:  # what the parametrization makes of it is an attribute of the module itself
            path, attribute = name[: match.start()].rstrip("."), match[1]
            name = f"{path}.{attribute}" if path else attribute
        else:
            path, _, attribute = name.rpartition(".")
        yield name, owners[path], attribute, tensor


def _clean(name: str) -> str:
    """Return a name without those of wrappers."""
    previous = None
    while previous != name:
        previous, name = name, WRAPPERS.sub(r"\1", name).replace("..", ".").lstrip(".")
    return name


def _is_named_like_one(attribute: str) -> bool:
    name = attribute.lower().lstrip("_")
    return bool(TEMPERATURE.search(name) or SCALE.search(name))


def _is_in_attention(name: str, owner: nn.Module) -> bool:
    return bool(ATTENTION.search(name.rpartition(".")[0]) or ATTENTION.search(type(owner).__name__))


def _is_fixed_number(owner: nn.Module, attribute: str) -> bool:
    """Return whether a plain number may be a loss's temperature; many layers have attributes of such names."""
    name = attribute.lower().lstrip("_")
    is_loss = bool(re.search(r"loss|criterion|contrast|clip", type(owner).__name__, re.IGNORECASE))
    return is_loss and (_is_named_like_one(attribute) or name == "scale")


def _decided(candidate: TemperatureParameter, loss: Tensor | None) -> TemperatureParameter:
    if loss is not None and candidate.learned:
        use = use_in_graph(loss, _leaf(candidate.owner, candidate.attribute), candidate.value())
        if use is not None:
            return replace(
                candidate,
                form=use.form,
                reason=SHOWN,
                lowest=use.lowest,
                highest=use.highest,
            )
    form, reason = _by_convention(candidate.attribute.lower().lstrip("_"), float(candidate.value()))
    return replace(candidate, form=form, reason=reason)


def _by_convention(name: str, value: float) -> tuple[Form | None, str]:
    """Return the form that a parameter of this name and value has in most models, and why; None where values differ."""
    by_both = "by its name and value"
    if math.isnan(value):
        return None, "its value is not a number here"
    if "log_" in name or name == "t_prime" or name.endswith("_log"):
        is_scale = bool(SCALE.search(name)) or name == "t_prime"
        form: Form = "log scale" if is_scale else "log τ"
        tau = math.exp(min(max(-value if is_scale else value, -50), 50))
        if 5e-5 <= tau <= 20:
            return form, "by its name"
        return None, f"τ would be {tau:.3g} if it is the logarithm that its name says"
    if SCALE.search(name) or name == "scale":
        if "inv" in name or name == "scale":
            return ("scale", by_both) if value > 0.1 else (None, "it is too small for a scale, 1/τ")
        if value >= 9.9:
            return "scale", f"its exponential, {_exponential(value)}, would be no scale"
        return ("log scale", by_both) if value <= 7 else (None, "it may be a scale, 1/τ, or its logarithm")
    if name == "t":
        return "log scale", "by its name, as in SigLIP"
    if value <= 0:
        return "log τ", "by its name, and τ is positive"
    return ("τ", by_both) if value <= 2 else (None, "it is too large for a τ: it may be 1/τ, or log 1/τ")


def _exponential(value: float) -> str:
    return f"{math.exp(value):.2g}" if value < 700 else "infinite"


def _held(owner: nn.Module, attribute: str) -> Tensor:
    """Return a module's tensor or number, as its parametrization gives it."""
    held: Any = getattr(owner, attribute)
    if isinstance(held, Tensor):
        local = getattr(held, "to_local", None)  # of a tensor spread over processes
        return local() if callable(local) else held
    return torch.tensor(float(held))


def _leaf(owner: nn.Module, attribute: str) -> Tensor | None:
    """Return the parameter itself; None behind a parametrization, whose output is another tensor at each use."""
    return owner._parameters.get(attribute)

"""Remember how the loss of a module uses its temperatures, for all probes, and tell τ or why it is not known."""

from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

from pytorch_lightning import LightningModule
from torch import Tensor

from intrinsic_clip.metrics.temperature_graph import Use
from intrinsic_clip.metrics.temperature_parameters import SHOWN, TemperatureParameter, find_temperatures
from intrinsic_clip.probes.embeddings import called_temperature, is_contrastive

LOWEST = 0.009  # CLIP ends at 0.01 or just below; a scale of 5 that is taken for its logarithm gives 0.0067
HIGHEST = 0.5  # a parameter `temperature` of 1 may be log 1/τ
NONE_FOUND = "the module has neither temperature() nor a parameter such as logit_scale, temperature or tau"
GIVE_IT = "give the module a method temperature() that returns τ"


class Temperature(NamedTuple):
    """The temperature of a module.

    Attributes:
        tau: None where it is not known.
        reason: why it is not.
    """

    tau: Tensor | None
    reason: str | None = None


_shown: WeakKeyDictionary[LightningModule, dict[str, Use]] = WeakKeyDictionary()


def temperatures_in_use(module: LightningModule, loss: Tensor | None = None) -> list[TemperatureParameter]:
    """Return what `find_temperatures` does, in the forms that a loss of this module has shown, now or before."""
    found = find_temperatures(module, loss)
    known = _shown.setdefault(module, {})
    known |= {
        each.name: Use(each.form, each.lowest, each.highest)
        for each in found
        if each.form and _is_shown(each)
    }
    return [
        replace(each, reason=SHOWN, **known[each.name]._asdict()) if each.name in known else each
        for each in found
    ]


def see_loss(module: LightningModule, loss: Tensor) -> None:
    """Remember how a loss uses the temperatures of another's module, as far as it shows that."""
    try:
        if called_temperature(module) is None:
            temperatures_in_use(module, loss)
    except Exception:  # a probe must not cost the training; the name and the value then decide
        return


def known_temperature(module: LightningModule) -> Temperature:
    """Return the τ of a module, from `temperature()` or its one parameter, or why it is not known."""
    tau = called_temperature(module)
    if tau is not None:
        return Temperature(tau)
    if is_contrastive(module):
        return Temperature(None, "the objective has no temperature")
    found = temperatures_in_use(module)
    if len(found) != 1:
        names = ", ".join(each.name for each in found)
        return Temperature(
            None, f"there are several temperatures, {names}: {GIVE_IT}" if found else NONE_FOUND
        )
    (parameter,) = found
    doubt = _doubt(parameter)
    return Temperature(parameter.tau()) if doubt is None else Temperature(None, doubt)


def temperature_of(module: LightningModule) -> Tensor | None:
    """Return a module's τ: from `temperature()`, or its one parameter where its use is plain; otherwise None."""
    return known_temperature(module).tau


def _is_shown(parameter: TemperatureParameter) -> bool:
    return parameter.reason == SHOWN


def _doubt(parameter: TemperatureParameter) -> str | None:
    """Return why a parameter may not be what its name and value say; None where a loss or convention is clear."""
    name, value, tau = parameter.name, float(parameter.value()), float(parameter.tau())
    if parameter.form is None:
        return f"{name} = {value:.4g}: {parameter.reason}; {GIVE_IT}"
    if not tau > 0:
        return f"{name} = {value:.4g} gives no positive τ"
    if _is_shown(parameter):
        return None
    not_shown = f"which no loss has shown: train with the probe, or {GIVE_IT}"
    is_named_log = "log_" in parameter.attribute.lower()
    if parameter.form == "log scale" and tau < LOWEST and not is_named_log:
        return f"{name} = {value:.4g} may be a scale, 1/τ, or its logarithm, {not_shown}"
    if parameter.form == "τ" and tau >= HIGHEST and parameter.learned:
        return f"{name} = {value:.4g} may be τ or a logarithm, {not_shown}"
    return None

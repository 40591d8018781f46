"""Read what a TemperatureProbe needs from the output of a step, from optimizers and from a found parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from intrinsic_clip.metrics.temperature_diagnosis import CLIP_CLAMP
from intrinsic_clip.metrics.temperature_parameters import SHOWN, TemperatureParameter
from intrinsic_clip.probes.embeddings import is_contrastive


def annealed(trainer: Trainer) -> bool:
    """Return whether a schedule has brought every learning rate below a tenth of its highest."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    highest = [max(group["lr"], group.get("initial_lr", 0), group.get("max_lr", 0)) for group in groups]
    return bool(groups) and all(g["lr"] < 0.1 * most for g, most in zip(groups, highest, strict=True))


def of_steps(outputs: Any) -> dict[str, Tensor] | None:
    """Return losses and temperatures by step, of a ContrastiveModule; None of another module, whatever it returns."""
    if not isinstance(outputs, Mapping):
        return None
    losses = outputs.get("losses")
    taus = {name: value for name, value in outputs.items() if str(name).startswith("temperature")}
    if not isinstance(losses, Tensor) or not losses.ndim or not len(losses):
        return None
    if any(not isinstance(tau, Tensor) or tau.shape != losses.shape for tau in taus.values()):
        return None
    if not taus and set(outputs) != {"losses"}:
        return None
    return {"loss": losses.detach(), **{name: tau.detach() for name, tau in taus.items()}}


def limits(module: LightningModule, parameters: Sequence[TemperatureParameter]) -> list[float]:
    """Return limits that τ may have reached: CLIP's, those in the loss, and the minimum of a LearnedTemperature."""
    minimum = getattr(getattr(module, "temperature", None), "minimum", 0.0)
    edges = [edge for each in parameters for edge in (each.lowest, each.highest)]
    return [CLIP_CLAMP, *edges, *([minimum] if isinstance(minimum, float) else [])]


def is_learned(module: LightningModule, parameters: Sequence[TemperatureParameter] | None) -> bool:
    """Return whether training may change the temperatures of a module: unless it is known that nothing does.

    Args:
        parameters: those that the temperatures were found in, if any.
    """
    if parameters:
        return any(each.learned for each in parameters)
    temperature = module.temperature if is_contrastive(module) else None
    return not isinstance(temperature, nn.Module) or any(
        each.requires_grad for each in temperature.parameters()
    )


def advice(parameter: TemperatureParameter) -> str | None:
    """Return what to do about a parameter without a known form, or in an unusual one by its value alone; else None."""
    path = f"module.{parameter.name}"
    if parameter.form is None:
        return f"pass tau=lambda module: …, a function of {path}; until then it is logged as NaN"
    if parameter.form == "scale" and "logit" in parameter.name and parameter.reason != SHOWN:
        return f"if that is so, pass tau=lambda module: 1 / {path}; otherwise another function of it"
    return None


def loss_of(trainer: Trainer, module: LightningModule, outputs: Any) -> Tensor | None:
    """Return the loss of a step of another's module, `(1,)`; None where it returns none."""
    loss: Any = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        return None
    # Lightning has divided it by the number of batches over which gradients are accumulated.
    divided_by = trainer.accumulate_grad_batches if module.automatic_optimization else 1
    return loss.detach().reshape(1) * divided_by


def can_be_joined(values: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Return whether the values of two steps have the same names, shapes and devices."""
    one, other = (
        {name: (value.shape[1:], value.device) for name, value in each.items()} for each in (values, others)
    )
    return one == other

"""Log the temperature at every step, and the loss of a ContrastiveModule."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.loggers.replicated import log_steps
from intrinsic_clip.metrics.temperatures import doubted_temperature
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.both_lightnings import MisconfigurationException
from intrinsic_clip.probes.embeddings import temperature_of
from intrinsic_clip.probes.one_name import refuse_shared_names

MAX_WAITING = 1000  # steps whose values wait on the device at most


class TemperatureProbe(AnyProbe):
    """Log `temperature` at every n-th step, and `loss` with a ContrastiveModule.

    A logger may take fewer steps, as `log_steps` explains. The probe follows training steps rather than embeddings, so
    it is no `Probe`. Values stay on the device until the epoch ends or a thousand have come: reading them at each step
    would stall it. A ContrastiveModule's training step returns a dict with `losses` and `temperature`, `(steps, *R)`
    each.

    Args:
        every_n_steps: how often to log.
        tau: `module → τ` for a module that has neither `temperature()` nor one `logit_scale`.
        prefix: start of the names, to tell the temperatures of two probes apart.
    """

    def __init__(
        self,
        every_n_steps: PositiveInt = 1,
        tau: Callable[[LightningModule], Tensor] | None = None,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self.every_n_steps, self.tau, self.prefix = every_n_steps, tau, prefix
        self._values: list[dict[str, Tensor]] = []
        self._steps: list[range] = []
        self._seen = self._logged = 0  # optimizer steps

    @property
    def state_key(self) -> str:
        """Name of the state in a checkpoint, of which two probes need one each."""
        return f"{type(self).__qualname__}{self.prefix and f'[{self.prefix}]'}"

    def own_names(self) -> set[str]:
        """Return the names of temperature and loss."""
        return {f"{self.prefix}temperature", f"{self.prefix}loss"}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the module has a temperature.

        Raises:
            MisconfigurationException: it has none, and there is no `tau`; or another probe logs the same names.
        """
        if stage == "predict":
            return
        refuse_shared_names(trainer, self)
        if self.tau is not None or not hasattr(pl_module, "replicates"):  # of another's module
            tau = temperature_of(pl_module) if self.tau is None else self.tau(pl_module)
            doubt = None if tau is None else doubted_temperature(tau, of_module=True)
            if doubt is not None:
                self.warn_once(f"TemperatureProbe: {doubt}")
        if self.tau is None and temperature_of(pl_module) is None:
            raise MisconfigurationException(
                f"TemperatureProbe finds neither temperature() nor one logit_scale in {type(pl_module).__name__}: "
                "pass tau=lambda module: …"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move values that wait to the device: a checkpoint restores them elsewhere."""
        self._seen = trainer.global_step
        self._logged = min([self._seen, *(steps.start - 1 for steps in self._steps)])
        self._values = [
            {name: v.to(pl_module.device) for name, v in values.items()} for values in self._values
        ]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the losses and τ of the steps that optimizers took with this batch, if they took one."""
        new, self._seen = trainer.global_step - self._seen, trainer.global_step
        if new <= 0:  # gradients are accumulated
            return
        values = _of_steps(outputs) or {"temperature": self._temperature(pl_module).clone()[None]}
        self._values.append(values)
        self._steps.append(range(self._seen - len(values["temperature"]) + 1, self._seen + 1))
        if len(self._steps) >= MAX_WAITING:
            self._flush(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's steps, and summarise it by its mean loss and last τ."""
        if not self._steps:
            return
        losses = [values["loss"] for values in self._values if "loss" in values]
        self.latest = {f"{self.prefix}temperature": self._values[-1]["temperature"][-1]}
        if losses:
            self.latest[f"{self.prefix}loss"] = torch.cat(losses).mean(0)
        self._flush(trainer, pl_module)
        if not trainer.barebones:
            pl_module.log_dict({name: value.mean() for name, value in self.latest.items()}, logger=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the final τ, after the last step."""
        self.latest[f"{self.prefix}temperature"] = self._temperature(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the last epoch's summary and the values that wait.

        A run that resumes only to write its results needs the summary.
        """
        waiting = [
            (values, steps.start, steps.stop) for values, steps in zip(self._values, self._steps, strict=True)
        ]
        return {"latest": dict(self.latest), "waiting": waiting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the summary and the values that wait."""
        self.latest = dict(state_dict["latest"])
        self._values = [values for values, _, _ in state_dict["waiting"]]
        self._steps = [range(start, stop) for _, start, stop in state_dict["waiting"]]

    def _temperature(self, module: LightningModule) -> Tensor:
        tau = self.tau(module).detach() if self.tau is not None else temperature_of(module)
        assert tau is not None
        return tau

    def _flush(self, trainer: Trainer, module: LightningModule) -> None:
        names = self._values[0]
        columns = {name: torch.cat([values[name] for values in self._values]).cpu() for name in names}
        steps = [step for steps in self._steps for step in steps]
        self._values.clear()
        self._steps.clear()
        n, before = self.every_n_steps, [self._logged, *steps]
        due = [index for index, step in enumerate(steps) if step // n > before[index] // n]
        self._logged = steps[-1]
        metrics = {self.prefix + name: column[due] for name, column in columns.items()}
        log_steps(trainer, module, metrics, [steps[index] for index in due])


def _of_steps(outputs: Any) -> dict[str, Tensor] | None:
    """Return losses and temperatures by step, of a ContrastiveModule; None of another module, whatever it returns."""
    if not isinstance(outputs, Mapping):
        return None
    losses, temperature = outputs.get("losses"), outputs.get("temperature")
    if not isinstance(losses, Tensor) or not isinstance(temperature, Tensor):
        return None
    if not losses.ndim or losses.shape != temperature.shape or not len(losses):
        return None
    return {"loss": losses.detach(), "temperature": temperature.detach()}

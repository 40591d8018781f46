"""Temperature at every step, and the loss of a ContrastiveModule."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from intrinsic_clip.loggers.replicated import log_steps

FLUSH = 1000  # values that wait at most


def temperature_of(module: LightningModule) -> Tensor | None:
    """τ of a module that has `temperature()`, or one parameter `logit_scale` = log 1/τ as CLIP models do; else None."""
    temperature: Any = getattr(module, "temperature", None)
    if callable(temperature):
        return temperature().detach()
    scales = [p for name, p in module.named_parameters() if name.rpartition(".")[2] == "logit_scale"]
    return (-scales[0].detach().float()).exp().squeeze() if len(scales) == 1 else None


class TemperatureProbe(Callback):
    """Logs `temperature` of every n-th step, and `loss` of a ContrastiveModule; a logger may want fewer: `log_steps`.

    Values stay on the device until the epoch ends, or a thousand are there: reading them at each step would stall it.
    A ContrastiveModule's training step gives `losses` and `temperature`, `(steps, *R)` each, in its output dict.

    Args:
        every_n_steps: how often.
        tau: `module → τ` for a module that has neither `temperature()` nor one `logit_scale`.
    """

    def __init__(
        self, every_n_steps: PositiveInt = 1, tau: Callable[[LightningModule], Tensor] | None = None
    ) -> None:
        self.every_n_steps, self.tau = every_n_steps, tau
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}
        self._values: list[dict[str, Tensor]] = []
        self._steps: list[range] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that there is a temperature to be found."""
        if self.tau is None and temperature_of(pl_module) is None:
            raise MisconfigurationException(
                f"TemperatureProbe finds neither temperature() nor one logit_scale in {type(pl_module).__name__}: "
                "give it tau=lambda module: …"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A checkpoint brings back what waits, but not on the device."""
        self._values = [
            {name: v.to(pl_module.device) for name, v in values.items()} for values in self._values
        ]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the losses and τ of the steps just done."""
        if isinstance(outputs, Mapping) and {"losses", "temperature"} <= outputs.keys():
            values = {"loss": outputs["losses"], "temperature": outputs["temperature"]}
        else:
            values = {"temperature": self._temperature(pl_module).clone()[None]}
        steps = range(trainer.global_step - len(values["temperature"]) + 1, trainer.global_step + 1)
        if self._steps and steps == self._steps[-1]:  # gradients are accumulated: the step is not over
            return
        self._values.append(values)
        self._steps.append(steps)
        if len(self._steps) >= FLUSH:
            self._flush(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's steps; the mean loss of the epoch and the last τ are its summary."""
        if not self._steps:
            return
        losses = [values["loss"] for values in self._values if "loss" in values]
        self.latest = {"temperature": self._values[-1]["temperature"][-1]}
        if losses:
            self.latest["loss"] = torch.cat(losses).mean(0)
        self._flush(trainer, pl_module)
        pl_module.log_dict({name: value.mean() for name, value in self.latest.items()}, logger=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The final τ is the one after the last step."""
        self.latest["temperature"] = self._temperature(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The last epoch's summary, for a run that is resumed only to write its results, and what waits within one."""
        waiting = [
            (values, steps.start, steps.stop) for values, steps in zip(self._values, self._steps, strict=True)
        ]
        return {"latest": dict(self.latest), "waiting": waiting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
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
        due = [place for place, step in enumerate(steps) if step % self.every_n_steps == 0]
        metrics = {name: column[due] for name, column in columns.items()}
        log_steps(trainer, module, metrics, [steps[place] for place in due])

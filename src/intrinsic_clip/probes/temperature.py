"""Loss and temperature at every step."""

from typing import Any

import torch
from pydantic import PositiveInt
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.loggers import log_replicates


class TemperatureProbe(Callback):
    """Logs `loss` and `temperature` of every n-th step; a logger may want fewer, see `log_replicates`.

    Values stay on the device until the epoch ends: reading them at each step would stall it. Needs a training step
    whose output dict has `losses` and `temperature`, `(steps, *R)` each.
    """

    def __init__(self, every_n_steps: PositiveInt = 1) -> None:
        self.every_n_steps = every_n_steps
        self.latest: dict[str, Tensor] = {}
        self.reasons: dict[str, str] = {}
        self._values: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the losses and τ of the steps just done."""
        self._values.append((outputs["losses"], outputs["temperature"]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's steps; the mean loss of the epoch and the last τ are its summary."""
        if not self._values:
            return
        losses, temperatures = (torch.cat(column) for column in zip(*self._values, strict=True))
        self._values.clear()
        self.latest = {"loss": losses.mean(0), "temperature": temperatures[-1]}
        first = trainer.global_step - len(losses) + 1
        losses, temperatures = losses.cpu(), temperatures.cpu()
        for step, (loss, tau) in enumerate(zip(losses, temperatures, strict=True), start=first):
            if step % self.every_n_steps == 0:
                metrics = {"loss": loss, "temperature": tau}
                log_replicates(trainer, pl_module, metrics, step, each_step=True)
        pl_module.log_dict({name: value.mean() for name, value in self.latest.items()}, logger=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """The final τ is the one after the last step."""
        self.latest["temperature"] = pl_module.temperature().detach()

    def state_dict(self) -> dict[str, Any]:
        """The last epoch's summary, for a run that is resumed only to write its results."""
        return dict(self.latest)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.latest = dict(state_dict)

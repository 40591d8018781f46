"""Log the temperature at every step and the loss of a ContrastiveModule, and say at the end what its course means."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.loggers.replicated import log_steps
from intrinsic_clip.loggers.steps import counts_batches, step_to_log
from intrinsic_clip.metrics.temperature_parameters import TemperatureParameter, find_logit_biases
from intrinsic_clip.metrics.temperatures import doubted_temperature
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.both_lightnings import MisconfigurationException
from intrinsic_clip.probes.embeddings import called_temperature, is_contrastive
from intrinsic_clip.probes.one_name import refuse_shared_names, warn_of_others
from intrinsic_clip.probes.optimal_temperature_probe import batch_of_training, optimal_beside
from intrinsic_clip.probes.temperature_course import TemperatureCourse
from intrinsic_clip.probes.temperature_steps import (
    advice,
    annealed,
    can_be_joined,
    is_learned,
    limits,
    loss_of,
    of_steps,
)
from intrinsic_clip.probes.temperature_uses import temperatures_in_use
from intrinsic_clip.typed_values import checked

MAX_WAITING = 1000  # steps whose values wait on the device at most
LOSS = "loss of another's module"  # kept for the diagnosis, and not logged
FAILED = "steps in which no temperature could be read"  # which take no part in the diagnosis


class TemperatureProbe(AnyProbe):
    """Log `temperature` at every n-th step, and `loss` with a ContrastiveModule.

    τ comes from the module's `temperature()`, or else from parameters: `find_temperatures` finds them within compiled
    and wrapped modules, and the first loss shows how each is used, which is printed. Several are logged as
    `temperature/<parameter>`; a `logit_bias` is logged too. When training ends, one line says what the course of τ
    means, and with an `OptimalTemperatureProbe` beside it, what would be best for held-out rows; it is printed and is
    among `notes`, which results.json holds.

    Of another's module, steps are batches, and are numbered as those of `self.log`: the first is 0. A logger may take
    fewer steps, as `log_steps` explains. The probe follows training steps rather than embeddings, so
    it is no `Probe`. Values stay on the device until the epoch ends or a thousand have come: reading them at each step
    would stall it. A ContrastiveModule's training step returns a dict with `losses` and `temperature`, `(steps, *R)`
    each.

    Args:
        every_n_steps: how often to log. None: at the trainer's `log_every_n_steps`, and each step of a
            ContrastiveModule.
        tau: `module → τ` for a module whose temperature is not found, or instead of its own. A ContrastiveModule may
            take several steps at once, and `tau` is called after the last of them, whose loss is logged with it.
        prefix: start of the names, to tell the temperatures of two probes apart.
    """

    @checked(besides=("tau",))
    def __init__(
        self,
        every_n_steps: PositiveInt | None = None,
        tau: Callable[[LightningModule], Tensor] | None = None,
        prefix: str = "",
    ) -> None:
        super().__init__()
        self.every_n_steps, self.tau, self.prefix = every_n_steps, tau, prefix
        self._values: list[dict[str, Tensor]] = []
        self._steps: list[range] = []
        self._seen = 0  # optimizer steps
        self._logged: int | None = None  # the last step that may have been logged
        self._course = TemperatureCourse()
        self._parameters: list[TemperatureParameter] | None = None  # None: not looked for yet
        self._biases: dict[str, TemperatureParameter] = {}
        self._is_decided = False  # whether a loss has shown how parameters are used
        self._is_diagnosed = self._has_failed = False
        self._published: dict[str, float] = {}  # means of the epoch that has just ended

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what refers to the module."""
        return {**super().__getstate__(), "_parameters": None, "_biases": {}, "_is_decided": False}

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
        self._is_decided = False
        if stage == "fit":
            self._course, self._is_diagnosed = TemperatureCourse(), False
        self._find(pl_module)
        if self.tau is not None or called_temperature(pl_module) is not None:
            self._doubt(pl_module)
            return
        if self._has_none(pl_module):
            return
        if not self._parameters:
            raise MisconfigurationException(
                "TemperatureProbe finds neither temperature() nor a parameter such as logit_scale, temperature or tau "
                f"in {type(pl_module).__name__}: pass tau=lambda module: …"
            )
        for parameter in self._parameters:
            what_to_do = advice(parameter)
            if what_to_do is not None:
                self.warn_once(f"TemperatureProbe: {parameter}; {what_to_do}")

    def _doubt(self, module: LightningModule) -> None:
        """Warn where what `tau` or the module's `temperature()` gives looks like no temperature."""
        if self.tau is None and is_contrastive(module):
            return
        try:
            called = self._called(module)
            doubt = None if called is None else doubted_temperature(called, of_module=True)
        except Exception as error:  # it may be known after the first step only
            self.warn_of_failure(error)
            return
        if doubt is not None:
            self.warn_once(f"TemperatureProbe: {doubt}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the module."""
        self._parameters, self._biases = None, {}

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """See from the first loss how the temperatures are used, and print it."""
        if not self._is_decided and self.tau is None and self._parameters:
            try:
                self._find(pl_module, loss)
                self._print_found(trainer)
            except Exception as error:  # a probe must not cost the training
                self.warn_of_failure(error)
        self._is_decided = True

    def _find(self, module: LightningModule, loss: Tensor | None = None) -> None:
        known = self.tau is not None or called_temperature(module) is not None or self._has_none(module)
        self._parameters = [] if known else temperatures_in_use(module, loss)
        self._biases = find_logit_biases(module)
        self.reasons = self._undecided()

    def _undecided(self) -> dict[str, str]:
        """Return by name why a parameter gives no temperature."""
        return {name: each.reason for name, each in self._named().items() if each.form is None}

    def _print_found(self, trainer: Trainer) -> None:
        for parameter in self._parameters or []:
            if trainer.is_global_zero:
                print(f"TemperatureProbe: {parameter}", flush=True)

    def _named(self) -> dict[str, TemperatureParameter]:
        """Return the parameters by the names that their temperatures are logged under."""
        parameters = self._parameters or []
        if len(parameters) == 1:
            return {f"{self.prefix}temperature": parameters[0]}
        return {f"{self.prefix}temperature/{each.name}": each for each in parameters}

    def _called(self, module: LightningModule) -> Tensor | None:
        """Return τ from `tau` or the module's own `temperature()`; None without them."""
        if self.tau is None:
            return called_temperature(module)
        tau = torch.as_tensor(self.tau(module)).detach()
        if tau.numel() == 1 and not is_contrastive(module):
            tau = tau.reshape(())
        return tau if tau.is_floating_point() else tau.float()

    def _has_none(self, module: LightningModule) -> bool:
        """Return whether nothing gives a temperature: no `tau`, and a ContrastiveModule's objective has none."""
        return self.tau is None and is_contrastive(module) and module.temperature is None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move values that wait to the device: a checkpoint restores them elsewhere."""
        self._seen, self._logged = trainer.global_step, None
        self._values = [
            {name: v.to(pl_module.device) for name, v in values.items()} for values in self._values
        ]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for names that are logged twice."""
        self._check_names(trainer)

    def _check_names(self, trainer: Trainer) -> None:
        means, self._published = self._published, {}
        warn_of_others(trainer, self, means)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the losses and τ of the steps that optimizers took with this batch, if they took one."""
        new, self._seen = trainer.global_step - self._seen, trainer.global_step
        if new <= 0:  # gradients are accumulated
            return
        values = of_steps(outputs)
        if values is None:
            values = self._of_now(pl_module, loss_of(trainer, pl_module, outputs))
        elif self.tau is not None:  # known after the last of these steps only
            values = {"loss": values["loss"][-1:], **self._of_now(pl_module, None)}
        last = step_to_log(trainer, pl_module) + counts_batches(pl_module)
        if self._values and not can_be_joined(values, self._values[-1]):
            self._flush(trainer, pl_module)
        self._values.append(values)
        self._steps.append(range(last - len(next(iter(values.values()))) + 1, last + 1))
        if len(self._steps) >= MAX_WAITING:
            self._flush(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the epoch's steps, and summarise it by its mean loss and last τ."""
        if not self._steps:
            return
        losses = [values["loss"] for values in self._values if "loss" in values]
        last = {
            name: column[-1]
            for name, column in self._values[-1].items()
            if name not in ("loss", LOSS, FAILED)
        }
        self.latest = {self.prefix + name: value for name, value in last.items()}
        if losses:
            self.latest[f"{self.prefix}loss"] = torch.cat(losses).mean(0)
        self._flush(trainer, pl_module)
        if not trainer.barebones:
            self._published = {name: float(value.mean()) for name, value in self.latest.items()}
            pl_module.log_dict(self._published, logger=False)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the final τ, after the last step."""
        self.latest |= {self.prefix + name: value for name, value in self._read(pl_module).items()}
        if not self._is_diagnosed:  # a run that was killed behind its last epoch trains no more
            self._diagnose(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for names that are logged twice, and say in one line what the course of each temperature means."""
        self._check_names(trainer)
        self._diagnose(trainer, pl_module)

    def _diagnose(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_diagnosed = True
        try:
            optimal, as_given = optimal_beside(trainer) if len(self._course.taus) == 1 else (None, None)
            clamps, batch = limits(pl_module, self._parameters or ()), batch_of_training(trainer)
            shown = self.tau is None and bool(self._parameters)
            trusted = shown or is_contrastive(pl_module)
            learned = is_learned(pl_module, None if self.tau else self._parameters)
            for name in list(self._course.taus):
                text = self._course.diagnose(
                    name, clamps, optimal, batch, trusted, annealed(trainer), as_given, learned
                )
                if text is not None:
                    self._say(trainer, pl_module, f"{self.prefix}{name} {text}")
        except Exception as error:  # a sentence must not cost the training
            self.warn_of_failure(error)

    def _say(self, trainer: Trainer, module: LightningModule, line: str) -> None:
        self.note(line)
        if trainer.is_global_zero and not is_contrastive(module):  # whose results and report have the notes
            print(line, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the last epoch's summary and the values that wait.

        A run that resumes only to write its results needs the summary.
        """
        waiting = [
            (values, steps.start, steps.stop) for values, steps in zip(self._values, self._steps, strict=True)
        ]
        return {"latest": dict(self.latest), "waiting": waiting, "course": self._course.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the summary and the values that wait."""
        self.latest = dict(state_dict["latest"])
        self._values = [values for values, _, _ in state_dict["waiting"]]
        self._steps = [range(start, stop) for _, start, stop in state_dict["waiting"]]
        if "course" in state_dict:  # older checkpoints have none
            self._course.restore(state_dict["course"])

    def _read(self, module: LightningModule) -> dict[str, Tensor]:
        """Return what `_now` gives; where it fails, NaN with the error as reason."""
        try:
            values, self.reasons, self._has_failed = self._now(module), self._undecided(), False
        except Exception as error:  # a probe must not cost the training
            self._has_failed = True
            self.reasons = dict.fromkeys(
                self._named() or [f"{self.prefix}temperature"], self.warn_of_failure(error)
            )
            unknown = torch.full((), math.nan, device=module.device)
            return {name.removeprefix(self.prefix): unknown for name in self.reasons}
        return values

    def _now(self, module: LightningModule) -> dict[str, Tensor]:
        """Return temperatures and biases by name, without prefix.

        Raises:
            ValueError: the module's own `temperature()` gives none any more.
        """
        tau = self._called(module)
        if self._has_none(module):
            values: dict[str, Tensor] = {}
        elif self.tau is None and is_contrastive(module):
            values = cast(Any, module).temperatures(cast(Any, module).temperature())
        elif tau is not None:
            values = {"temperature": tau}
        else:
            if self._parameters is None:
                self._find(module)
            if not self._parameters:
                raise ValueError(f"temperature() of {type(module).__name__} gives no temperature any more")
            values = {name.removeprefix(self.prefix): each.tau() for name, each in self._named().items()}
        if len(self._biases) == 1:
            return values | {"logit_bias": next(iter(self._biases.values())).value()}
        return values | {f"logit_bias/{name}": each.value() for name, each in self._biases.items()}

    def _of_now(self, module: LightningModule, loss: Tensor | None) -> dict[str, Tensor]:
        """Return what another's module has after a step, `(1, *R)` each, with its loss for the diagnosis."""
        values = {name: value.detach().clone()[None] for name, value in self._read(module).items()}
        if self._has_failed:
            values[FAILED] = torch.ones(1, device=module.device)
        return values if loss is None else values | {LOSS: loss}

    def _flush(self, trainer: Trainer, module: LightningModule) -> None:
        names = self._values[0]
        columns = {name: torch.cat([values[name] for values in self._values]).cpu() for name in names}
        steps = [step for steps in self._steps for step in steps]
        losses = columns.pop(LOSS, columns.get("loss"))
        self._values.clear()
        self._steps.clear()
        taus = {name: column for name, column in columns.items() if name.startswith("temperature")}
        if columns.pop(FAILED, None) is None:
            self._course.add(steps, taus, losses)
        of_batches = counts_batches(module)
        n = self.every_n_steps or (trainer.log_every_n_steps if of_batches else 1)  # type: ignore[attr-defined]
        before = [steps[0] - 1 if self._logged is None else self._logged, *steps]
        due = [index for index, step in enumerate(steps) if n and step // n > before[index] // n]
        self._logged = steps[-1]
        metrics = {self.prefix + name: column[due] for name, column in columns.items()}
        numbered = [steps[index] for index in due]
        log_steps(trainer, module, metrics, numbered, first=0 if of_batches else 1, apart=n or 1)

"""The contract of a probe: take embeddings at the right time, measure and log them, and never stop a training."""

import math
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import Split
from intrinsic_clip.loggers.media import log_histogram
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loggers.replicated import by_output_dim, log_replicates, replicates_of
from intrinsic_clip.loggers.steps import step_to_log
from intrinsic_clip.measurement.embeddings import Measured
from intrinsic_clip.probes.collection import Collector, RowCollector, shared_collector
from intrinsic_clip.probes.embeddings import Embeddings, Side, take_embeddings
from intrinsic_clip.probes.final_numbers import FinalNumbers
from intrinsic_clip.probes.loaders import Stage
from intrinsic_clip.probes.one_name import are_twins, claim, warn_of_others
from intrinsic_clip.probes.random_numbers import own_random_numbers
from intrinsic_clip.probes.schedule import Scheduled, is_last_epoch
from intrinsic_clip.probes.transfer import on_cpu
from intrinsic_clip.probes.user_line import warn_at_user_line, warnings_at_user_line
from intrinsic_clip.probes.window import LatestRows
from intrinsic_clip.runs.replicates import Replicates


class Subject(Protocol):
    """Anything that `measure` can be given, by default `Embeddings`."""

    def sides(self) -> dict[Side, Tensor]:
        """Return the tensor of each modality that is there."""


class Probe(Scheduled):
    """Base class of probes, which measure embeddings while a module trains and log the numbers.

    A probe of your own needs two methods: `names` and `measure`.

    Example:
        >>> class MeanNormProbe(Probe):
        ...     '''Log the mean norm of representations.'''
        ...
        ...     def names(self, sides):
        ...         return [f"mean_norm/{side}" for side in sides]
        ...
        ...     def measure(self, embeddings):
        ...         return {
        ...             f"mean_norm/{side}": rows.norm(dim=-1).mean(-1) for side, rows in embeddings.sides().items()
        ...         }
        >>> probe = MeanNormProbe(lambda module, batch: module(batch), every_n_epochs=5)

        `Trainer(callbacks=[probe])` runs it; so does `_target_: my_package.MeanNormProbe` in a config of probes.

    With a ContrastiveModule on PairedData it measures the held-out rows: before training, every n epochs, after the
    last one, and in `trainer.test`. With any other LightningModule it measures what `source` gives: for the rows of a
    validation run; where there is none, or with `every_n_steps`, for the latest training batches when it is due, under
    names that start with `in_sample/`; in `trainer.test` for the test rows, as `test/…`. Several loaders are measured
    one by one, as `id/mle/x/<loader>`: a dict's key, or `dataloader_idx_0` and so on.

    Loggers get the numbers as `log_replicates` describes, at the step of `step_to_log`, `trainer.callback_metrics` gets
    the mean over replicates, `trainer.validate` and `trainer.test` return it, and `latest` keeps the value of every
    replicate. If a ModelCheckpoint, EarlyStopping or scheduler watches a number, the first epoch is measured too. A
    failure is warned of once and logged as NaN, `reasons` says why, and training continues. Several processes send
    their rows to rank 0, which measures.

    To measure something other than embeddings, also override `of_split` (for a ContrastiveModule) and `collector` (for
    any other module); JacobianProbe does so.

    Args:
        source: where the embeddings come from: a function `(module, batch)` → x, (x, y), (x, y, labels) or a dict of x,
            y, z and labels, or `by_output(…)` or `by_module(…)`. None: from a ContrastiveModule.
        every_n_epochs: how often to measure during training.
        every_n_steps: measure every n training steps instead.
        in_sample: with a ContrastiveModule, measure the training rows too at the end, unless they are streamed.
        max_samples: measure a sample of that many rows where there are more.
        seed: of the sample.
        prefix: start of all names, such as "layer4/", which two probes of one class need.
    """

    @abstractmethod
    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the names that `measure` always gives; they are logged as NaN where it fails."""

    @abstractmethod
    def measure(self, embeddings: Embeddings) -> Mapping[str, Tensor | Measured]:
        """Return numbers by name, each `(*R,)`; called on rank 0, without gradient and in full precision."""

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return samples by name, `(*R, n)` each, to be logged as histograms; by default there are none."""
        return {}

    def of_split(self, trainer: Trainer, module: LightningModule, split: Split) -> Subject:
        """Return what `measure` is given for a split of a ContrastiveModule's data; called on rank 0."""
        return take_embeddings(trainer, module, split, self.max_samples, self.seed)

    def collector(self, module: LightningModule, stage: Stage) -> Collector:
        """Return what gathers the batches of any other module for `measure`, the same object throughout a stage."""
        source = self.source
        assert source is not None
        key: Hashable = (source, stage, self.max_samples, self.seed)
        if stage != "train":
            return shared_collector(module, key, lambda: RowCollector(source, self.max_samples, self.seed))
        by_steps = self.every_n_steps is not None
        return shared_collector(
            module,
            (
                key,
                self.every_n_steps,
            ),  # a measurement empties the window, so only those due together share it
            lambda: LatestRows(source, self.max_samples, self.seed, spans_epochs=by_steps),
        )

    def own_names(self) -> set[str]:
        """Return the names that this probe logs for two modalities; its class's where they depend on the data."""
        return {self.prefix + name for name in self.names(("x", "y")) or [f"{type(self).__name__}/…"]}

    def evaluate(
        self,
        trainer: Trainer,
        module: LightningModule,
        rows: Mapping[Split | Stage, str],
        to_loggers: bool = True,
    ) -> None:
        """Measure on rank 0, send the numbers to the other processes, and log them."""
        self._measured_at, self._measurements = trainer.global_step, self._measurements + 1
        known = self._known(trainer, module, rows)
        values, samples = self._measure_all(trainer, module, rows) if known is None else (known, {})
        if trainer.state.fn == "fit" and is_last_epoch(trainer):
            held_out = self._held_out(trainer, module)
            self._final = FinalNumbers(held_out, dict(rows), dict(values)) if held_out else None
        values = on_cpu(values)
        if trainer.world_size > 1:
            values = trainer.strategy.broadcast(values)
        self._leave_out_claimed(trainer, module, values)
        self.latest |= values
        as_results = self._are_results(trainer)
        if to_loggers:
            step = step_to_log(trainer, module)
            if not as_results:  # Lightning sends results to the loggers itself
                log_replicates(trainer, module, values, step)
            self._log_histograms(trainer, module, samples, step)
        self._publish(trainer, module, values, as_results)

    def _measure_all(
        self, trainer: Trainer, module: LightningModule, rows: Mapping[Split | Stage, str]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return numbers and histograms by the names under which they are logged, and note reasons."""
        self.notes.clear()
        values: dict[str, Tensor] = {}
        samples: dict[str, Tensor] = {}
        for which, kind in rows.items():
            measured, drawn = self._measure(trainer, module, which)
            loader = which.partition("/")[2]
            prefix, suffix = self.prefix + kind, f"/{loader}" if loader else ""
            for name, number in measured.items():
                values[prefix + name + suffix] = self._value(module, number)
                self._note(prefix + name + suffix, number.reason)
            samples |= {prefix + name + suffix: sample for name, sample in drawn.items()}
        return values, samples

    def _known(
        self, trainer: Trainer, module: LightningModule, rows: Mapping[Split | Stage, str]
    ) -> dict[str, Tensor] | None:
        """Return the numbers of the end of the fit in a test that would find them again; otherwise None."""
        if self._final is None or trainer.state.fn != "test":
            return None
        held_out = self._held_out(trainer, module)
        return self._final.values if held_out and self._final.hold_for(held_out, rows) else None

    def _held_out(self, trainer: Trainer, module: LightningModule) -> Embeddings | None:
        """Return the embeddings by which `_known` recognises the end of the fit; None where it is not to."""
        if not self.repeats_final or self.source is not None or trainer.world_size > 1:
            return None
        try:
            return take_embeddings(trainer, module, "test", self.max_samples, self.seed)
        except Exception:  # a probe must not cost the training; `measure` says what is wrong
            return None

    def _log_histograms(
        self, trainer: Trainer, module: LightningModule, samples: Mapping[str, Tensor], step: int
    ) -> None:
        """Log histograms to the loggers that take them; a logger that does not is named once."""
        for name, values in samples.items():
            for key, row in by_output_dim(name, values, replicates_of(module)):
                if not math.isfinite(float(row.double().sum())):
                    warn_at_user_line(f"{key}: not finite at step {step}, histogram left out")
                    continue
                for logger in trainer.loggers:
                    reason = log_histogram(logger, key, row, step)
                    if reason is not None:
                        warn_at_user_line(f"{type(self).__name__}: {reason}")

    def _are_results(self, trainer: Trainer) -> bool:
        """Return whether `trainer.validate` or `trainer.test` is to return and print the numbers.

        In this package's own runs the metrics file has them already, by replicate.
        """
        in_file = any(isinstance(logger, MetricsFile) for logger in trainer.loggers)
        return trainer.state.fn in ("validate", "test") and not (self.source is None and in_file)

    def _publish(
        self, trainer: Trainer, module: LightningModule, values: Mapping[str, Tensor], as_results: bool
    ) -> None:
        """Give the means to Lightning, where other callbacks see them."""
        means = {name: float(value.double().mean()) for name, value in values.items()}
        if trainer.barebones:  # which takes nothing; `latest` has the numbers
            return
        if self._may_log:
            logger = None if as_results else False  # None: results are logged too, where there is a logger
            shared = trainer.world_size > 1
            module.log_dict(means, logger=logger, sync_dist=shared, add_dataloader_idx=False, batch_size=1)
        else:
            trainer.callback_metrics.update({name: torch.tensor(mean) for name, mean in means.items()})
        self._published = means

    def check_names(self, trainer: Trainer) -> None:
        """Warn where something else has logged under a name that this probe has just logged."""
        means, self._published = self._published, {}
        if means:
            warn_of_others(trainer, self, means, self._are_results(trainer))

    def is_watched(self, trainer: Trainer) -> bool:
        """Return whether another callback or a scheduler waits for a number that the trainer does not have yet."""
        monitors = {getattr(callback, "monitor", None) for callback in trainer.callbacks}  # type: ignore[attr-defined]
        monitors |= {config.monitor for config in trainer.lr_scheduler_configs if config.reduce_on_plateau}
        families = {name.partition("/")[0] for name in self.names(("x", "y"))}
        for monitor in monitors:
            if not isinstance(monitor, str) or not monitor.startswith(self.prefix):
                continue
            name = monitor.removeprefix(self.prefix).removeprefix("in_sample/")
            family, _, parts = name.partition("/")
            ours = family.removesuffix("_standard_error") in families if families else bool(parts)
            if ours and monitor not in trainer.callback_metrics:
                return True
        return False

    def _leave_out_claimed(
        self, trainer: Trainer, module: LightningModule, values: dict[str, Tensor]
    ) -> None:
        """Drop numbers under names that another probe has logged, and warn: logged twice, they would be averaged."""
        if any(isinstance(c, Scheduled) and are_twins(self, c) for c in trainer.callbacks):  # type: ignore[attr-defined]
            return
        for name in claim(module, self, values):
            del values[name]
            self.warn_once(
                f"{name} is logged by another probe, and not by this {type(self).__name__}: give it a prefix"
            )

    def failed(self, names: Iterable[str], error: Exception, label: str = "") -> dict[str, Measured]:
        """Warn of an error once, and return NaN with the error as reason under each name.

        Args:
            label: opens the warning; by default the class's name.
        """
        reason = self.warn_of_failure(error, label)
        return {name: Measured(None, reason) for name in names}

    def _measure(
        self, trainer: Trainer, module: LightningModule, which: Split | Stage
    ) -> tuple[dict[str, Measured], dict[str, Tensor]]:
        """Return numbers and histograms on rank 0, and nothing on the other processes."""
        sides: Sequence[Side] | None = None
        try:
            subject = self._subject(trainer, module, which)
            if subject is None:
                return {}, {}
            sides = tuple(subject.sides())
            no_autocast = torch.autocast(module.device.type, enabled=False)
            told = warnings_at_user_line(self.pass_on)
            with torch.no_grad(), no_autocast, own_random_numbers(module.device), told:
                numbers, samples = self.measure(subject), self.histograms(subject)
            if isinstance(subject, Embeddings) and subject.left_out is not None:
                self.warn_once(subject.left_out)
            checked = {name: self._checked(module, name, number) for name, number in numbers.items()}
            checked |= self._not_given(sides, checked)
            self._given[which] = list(checked)
            return {name: _explained(number, subject) for name, number in checked.items()}, samples
        except Exception as error:  # a probe must not cost the training
            names = self._given.get(which, [])
            if sides is not None or not names:
                names = [*names, *self.names(self._known_sides(module, which) if sides is None else sides)]
            return self.failed(dict.fromkeys(names), error), {}

    def _known_sides(self, module: LightningModule, which: Split | Stage) -> Sequence[Side]:
        """Return the sides of rows that could not be measured, so far as they are known; otherwise both."""
        if self.source is None:
            return ("x", "y")
        came: Sequence[Side] | None = getattr(self.collector(module, which), "sides", None)
        return self.source.sides if came is None else came

    def _not_given(self, sides: Sequence[Side], given: Iterable[str]) -> dict[str, Measured]:
        """Return NaN under each name that `names` promises and `measure` has not given, and warn once.

        A probe whose names depend on the data as well, such as RecoveryProbe, gives none here.
        """
        given = list(given)
        missing = [name for name in self.names(sides) if name not in given]
        if missing:
            self.warn_once(
                f"{type(self).__name__}: names() promises {', '.join(missing)}, which measure() has not given; "
                f"it gave {', '.join(given) or 'no number'}"
            )
        return {
            name: Measured(None, "names() promises it, and measure() has not given it") for name in missing
        }

    def _subject(self, trainer: Trainer, module: LightningModule, which: Split | Stage) -> Any:
        if self.source is not None:
            return self.collector(module, which).collected(trainer, module)
        return self.of_split(trainer, module, which) if trainer.is_global_zero else None  # type: ignore[arg-type]

    def _checked(self, module: LightningModule, name: str, number: Tensor | Measured) -> Measured:
        """Check that a number has one value per replicate, as far as the replicates are known."""
        measured = number if isinstance(number, Measured) else Measured(torch.as_tensor(number))
        shape = () if self.source is not None else replicates_of(module).shape
        is_known = self.source is not None or isinstance(getattr(module, "replicates", None), Replicates)
        if is_known and measured.value is not None and measured.value.shape != shape:
            raise ValueError(
                f"{name} must have one value per replicate, shape {shape}, got {tuple(measured.value.shape)}"
            )
        return measured

    def _value(self, module: LightningModule, number: Measured) -> Tensor:
        shape = () if self.source is not None else replicates_of(module).shape
        return torch.full(shape, math.nan) if number.value is None else number.value

    def _note(self, name: str, reason: str | None) -> None:
        self.reasons.pop(name, None)
        if reason is not None:
            self.reasons[name] = reason


def _explained(number: Measured, subject: Any) -> Measured:
    """Return a number that is NaN without a reason with what may be: rows that are not finite."""
    if number.reason is not None or not isinstance(subject, Embeddings):
        return number
    if number.value is not None and not bool(number.value.isnan().any()):
        return number
    return Measured(number.value, subject.odd_rows(subject.sides()))

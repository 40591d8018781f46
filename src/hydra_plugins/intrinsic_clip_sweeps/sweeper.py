"""A Hydra sweeper for runs that are addressed by their content."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from intrinsic_clip.runs import addresses

if TYPE_CHECKING:
    from intrinsic_clip.sweeps.sweep import Run


@dataclass
class ResumingSweeperConf(BasicSweeperConf):
    """As Hydra's own: `params`, and of how many runs at most a launcher is given at once."""

    _target_: str = "hydra_plugins.intrinsic_clip_sweeps.sweeper.ResumingSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="resuming", node=ResumingSweeperConf, provider="intrinsic_clip"
)


class ResumingSweeper(BasicSweeper):
    """Hydra's basic sweeper, with its grammar and its launchers, that repeats nothing and survives failures.

    Finished runs are skipped, the others checked before any of them starts. A run that fails or is killed ends no
    other. A table says what became of each; where one failed, the program ends with exit code 1.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Have the launcher call `sweep.job` for each run."""
        from intrinsic_clip.sweeps.compose import Composer
        from intrinsic_clip.sweeps.sweep import job

        task_function = partial(job, started_in=str(Path.cwd()))
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._compose = Composer(hydra_context.config_loader, config)
        self._parse = OverridesParser.create(hydra_context.config_loader).parse_overrides
        self._launched = 0

    def sweep(self, arguments: list[str]) -> None:
        """Plan, launch what is not finished, and report."""
        from intrinsic_clip.sweeps.sweep import announce, report

        runs = self._plan(arguments)
        print(announce(runs), flush=True)
        unfinished = [run for run in runs if not run.finished_before]
        interrupted = False
        try:
            size = self.max_batch_size or len(runs) or 1
            for start in range(0, len(unfinished), size):
                self._launch(unfinished[start : start + size])
        except KeyboardInterrupt:
            interrupted = True
        table, failed = report(runs, interrupted)
        print(f"\n{table}", flush=True)
        if interrupted:
            raise KeyboardInterrupt
        if failed:
            sys.exit(1)

    def _plan(self, arguments: list[str]) -> list["Run"]:
        """The distinct runs; raises ConfigError where one that is not finished has an impossible config."""
        from intrinsic_clip import config
        from intrinsic_clip.sweeps.sweep import Run
        from intrinsic_clip.training.build import build, one_replicate

        runs: dict[Path, Run] = {}
        unfinished = []
        for overrides in self._each(arguments):
            cfg = self._compose(overrides)
            settings = config.resolve(cfg)
            folder = addresses.run_folder(settings)
            if folder not in runs:
                runs[folder] = Run(overrides, folder)
                if not runs[folder].finished_before:
                    unfinished.append((cfg, settings))
        for cfg, settings in unfinished:
            config.check(settings)
            build(*one_replicate(cfg, settings))
        return list(runs.values())

    def _each(self, arguments: list[str]) -> Iterator[list[str]]:
        """The overrides of every run: those given, and what an experiment's own `hydra.sweeper.params` adds."""
        for given in self.split_arguments(self._parse(arguments), None)[0]:
            params = self._parse(self._compose.params(given))
            keys = {override.key_or_group for override in self._parse(list(given))} if params else ()
            missing = [str(override.input_line) for override in params if override.key_or_group not in keys]
            if missing:
                yield from self.split_arguments(self._parse([*missing, *given]), None)[0]
            else:
                yield list(given)

    def _launch(self, runs: Sequence["Run"]) -> None:
        """Launch the runs; where one that was killed took the launcher along, the others go on."""
        assert self.launcher is not None
        for run in runs:
            run.forget_failure()
        first, self._launched = self._launched, self._launched + len(runs)
        try:
            returned = self.launcher.launch([run.overrides for run in runs], initial_job_idx=first)
        except Exception as error:
            self._go_on(runs, error)
        else:
            for run, job in zip(runs, returned, strict=True):
                run.note_failure(job._return_value)

    def _go_on(self, runs: Sequence["Run"], error: Exception) -> None:
        """Launch again what the launcher's failure left: a run that may be its cause by itself, at the end."""
        waiting = [run for run in runs if not run.begun()]
        if len(waiting) == len(runs):
            for run in runs:
                run.note_failure(error)
            return
        suspects = [run for run in runs if run.died()] if len(runs) > 1 else []
        for again in (waiting, *([run] for run in suspects)):
            if again:
                self._launch(again)

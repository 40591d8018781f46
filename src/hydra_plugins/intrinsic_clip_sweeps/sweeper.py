"""Sweep over runs that are addressed by their content."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from intrinsic_clip.sweeps.sweep_run import SweepRun


ELSEWHERE = ("SlurmLauncher", "RayLauncher")  # launchers whose runs may have other devices and more memory
MOST_RUNS = 100_000


@dataclass
class ResumingSweeperConf(BasicSweeperConf):
    """Settings of Hydra's basic sweeper: `params`, and `max_batch_size`, the runs that a launcher gets at once."""

    _target_: str = "hydra_plugins.intrinsic_clip_sweeps.sweeper.ResumingSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="resuming", node=ResumingSweeperConf, provider="intrinsic_clip"
)


class ResumingSweeper(BasicSweeper):
    """Hydra's basic sweeper, with its grammar and launchers, that repeats nothing and survives failures.

    Finished runs are skipped, the others are checked before any of them starts. A run that fails or is killed does not
    stop the others. A table shows the outcome of each; if one failed, the program ends with exit code 1.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Have the launcher call `sweeps.job.job` for each run."""
        from intrinsic_clip.sweeps.compose import Composer
        from intrinsic_clip.sweeps.job import job

        task_function = partial(job, started_in=str(Path.cwd()))
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._compose = Composer(hydra_context.config_loader, config)
        self._parse = OverridesParser.create(hydra_context.config_loader).parse_overrides
        self._launched = 0

    def sweep(self, arguments: list[str]) -> None:
        """Plan, launch what is not finished, and report."""
        from intrinsic_clip.sweeps.table import announce, report
        from intrinsic_clip.training.ranks import only_own_ranks

        with only_own_ranks(self.config):
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

    def _plan(self, arguments: list[str]) -> list["SweepRun"]:
        """Return the distinct runs.

        Raises:
            ConfigError: an unfinished run has an impossible config.
        """
        from intrinsic_clip import config
        from intrinsic_clip.config.paths import check_writable
        from intrinsic_clip.runs.spec import RunSpec
        from intrinsic_clip.sweeps.names import Names
        from intrinsic_clip.sweeps.sweep_run import SweepRun
        from intrinsic_clip.training.build import check_buildable

        runs: dict[Path, SweepRun] = {}
        unfinished = []
        each = list(self._each(arguments))
        names = Names(each)
        for overrides in each:
            with names.in_errors(overrides):
                spec = RunSpec.of(self._compose(overrides))
            if spec.folder not in runs:
                runs[spec.folder] = SweepRun(overrides, spec.folder)
                if not runs[spec.folder].finished_before:
                    unfinished.append((spec, overrides))
        assert self.config is not None
        here = not str(self.config.hydra.launcher.get("_target_")).endswith(ELSEWHERE)
        for spec, overrides in unfinished:
            with names.in_errors(overrides):
                config.check(spec.settings)
                check_writable(spec.folder)
                check_buildable(spec, here)
        return list(runs.values())

    def _each(self, arguments: list[str]) -> Iterator[list[str]]:
        """Yield the overrides of every run: the user's, and the experiment's own `hydra.sweeper.params`."""
        for overrides in self._split(self._parse(arguments)):
            params = self._parse(self._compose.params(overrides))
            keys = {override.key_or_group for override in self._parse(list(overrides))} if params else ()
            missing = [str(override.input_line) for override in params if override.key_or_group not in keys]
            if missing:
                yield from self._split(self._parse([*missing, *overrides]))
            else:
                yield list(overrides)

    def _split(self, overrides: list[Override]) -> Sequence[list[str]]:
        """Return the overrides of each combination, unless there are more than anybody waits for."""
        from intrinsic_clip.sweeps.combinations import check_count

        check_count(overrides, MOST_RUNS)
        return self.split_arguments(overrides, None)[0]

    def _launch(self, runs: Sequence["SweepRun"]) -> None:
        """Launch the runs; if a killed run ended the launcher too, launch the others again."""
        assert self.launcher is not None
        for run in runs:
            run.forget_failure()
        first, self._launched = self._launched, self._launched + len(runs)
        try:
            returned = self.launcher.launch([run.overrides for run in runs], initial_job_idx=first)
        except Exception as error:
            self._launch_rest(runs, error)
        else:
            for run, job in zip(runs, returned, strict=True):
                run.note_failure(job._return_value)

    def _launch_rest(self, runs: Sequence["SweepRun"], error: Exception) -> None:
        """Launch the runs that a failed launcher left; a run that may have caused the failure comes last and alone."""
        waiting = [run for run in runs if not run.begun()]
        if len(waiting) == len(runs):
            for run in runs:
                run.note_failure(error)
            return
        suspects = [run for run in runs if run.died()] if len(runs) > 1 else []
        for again in (waiting, *([run] for run in suspects)):
            if again:
                self._launch(again)

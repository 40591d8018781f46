"""Specify a run: its config as Hydra composed it, its address and its replicates."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from intrinsic_clip.config.checks import check_top
from intrinsic_clip.config.objective import without_idle_temperature
from intrinsic_clip.config.paths import with_home
from intrinsic_clip.config.resolve import resolve
from intrinsic_clip.runs.addresses import run_folder
from intrinsic_clip.runs.replicates import Replicates


@dataclass(frozen=True)
class RunSpec:
    """Specification of a run.

    Attributes:
        cfg: the config, from which classes are instantiated.
        settings: the config as plain containers, every interpolation filled in.
    """

    cfg: DictConfig
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, cfg: DictConfig) -> "RunSpec":
        """Resolve a config, `~` in paths included, and check its top level, on which the address depends.

        Raises:
            ConfigError: a mandatory value or an interpolation is missing, or a setting of the top level is impossible.
        """
        cfg = with_home(cfg)
        settings = resolve(cfg)
        if isinstance(settings.get("objective"), dict):
            settings["objective"] = without_idle_temperature(settings["objective"])
        check_top(settings)
        return cls(cfg, settings)

    @cached_property
    def folder(self) -> Path:
        """The run's address, `<output_dir>/<name>/<hash>`; files that the settings name are hashed for it."""
        return run_folder(self.settings)

    @property
    def replicates(self) -> Replicates:
        """Output dimensions and repetitions of the run."""
        return Replicates.of(self.settings)

    def with_replicates(self, indices: Sequence[int]) -> "RunSpec":
        """Return the run with these of its replicates alone."""
        cfg = copy.deepcopy(self.cfg)
        OmegaConf.update(cfg, "replicates", list(indices))
        return RunSpec.of(cfg)

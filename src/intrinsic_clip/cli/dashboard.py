"""The verb `dashboard`: a W&B workspace."""

from omegaconf import DictConfig

from intrinsic_clip import config
from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.dashboard import dashboard

DRY_RUN = "--dry-run"


def main(overrides: list[str]) -> None:
    """Make the dashboard as the overrides say."""
    if {"-m", "--multirun"} & set(overrides):
        raise ConfigError("--multirun: dashboard makes one workspace; give a command for each")
    translated = ["dry_run=true" if override == DRY_RUN else override for override in overrides]
    run_composed("dashboard", translated, _task, own=(DRY_RUN,))


def _task(cfg: DictConfig) -> None:
    with in_one_line("dashboard"):
        print(f"Dashboard: {dashboard(config.resolve(config.with_home(cfg)))}")

"""The verb `shared`: how many dimensions two views of the same things share."""

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.shared_dimension.command import estimate


def main(arguments: list[str]) -> None:
    """Estimate as the arguments say."""
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("--multirun: shared estimates one thing at a time; give a command for each")
    run_composed("shared", arguments, _task)


def _task(cfg: DictConfig) -> None:
    with in_one_line("shared"):
        estimate(cfg)

"""The verb `measure`: numbers about embeddings that exist already."""

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.command import measure


def main(arguments: list[str]) -> None:
    """Measure as the arguments say."""
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError("--multirun: measure measures one thing at a time; give a command for each")
    run_composed("measure", arguments, _task)


def _task(cfg: DictConfig) -> None:
    with in_one_line("measure"):
        measure(cfg)

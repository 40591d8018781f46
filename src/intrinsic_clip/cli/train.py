"""The verb `train`: one run, or a sweep of them."""

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.training.composed import train_composed


def main(arguments: list[str]) -> None:
    """Train the run that the arguments ask for, or with --multirun a sweep of them."""
    run_composed("train", arguments, _task, sweeps=True)


def _task(cfg: DictConfig) -> None:
    with in_one_line():
        train_composed(cfg)

"""The verb `train`: one run, or a sweep of them."""

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.training.composed import train_composed


def main(overrides: list[str]) -> None:
    """Train the run that the overrides ask for, or with --multirun a sweep of them."""
    if {"-m", "--multirun"} & set(overrides):
        overrides = [
            "--multirun",
            *(o for o in overrides if o not in ("-m", "--multirun")),
        ]  # Hydra wants it first
    run_composed("train", overrides, _task)


def _task(cfg: DictConfig) -> None:
    with in_one_line():
        train_composed(cfg)

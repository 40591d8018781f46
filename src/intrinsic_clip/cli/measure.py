"""The verb `measure`: numbers about embeddings that exist already."""

from omegaconf import DictConfig

from intrinsic_clip.cli.composed import run_composed
from intrinsic_clip.cli.one_line import in_one_line
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measure.command import measure

TEXTS = ("x", "y", "x_key", "y_key", "run", "output_dir")  # settings that hold names of the user's files


def main(overrides: list[str]) -> None:
    """Measure as the overrides say."""
    if {"-m", "--multirun"} & set(overrides):
        raise ConfigError("--multirun: measure measures one thing at a time; give a command for each")
    run_composed("measure", [_quoted(override) for override in overrides], _task)


def _quoted(override: str) -> str:
    """Quote names with commas, brackets or only digits, which Hydra would read as lists or numbers."""
    key, _, value = override.partition("=")
    if key not in TEXTS or value in ("", "null") or value[0] in "'\"$":
        return override
    return "{}='{}'".format(key, value.replace("'", "\\'"))


def _task(cfg: DictConfig) -> None:
    with in_one_line("measure"):
        measure(cfg)

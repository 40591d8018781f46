"""Compose the runs that the file of an experiment describes; nothing is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer

from intrinsic_clip.config.folders import is_group
from intrinsic_clip.config.own_hydra import own_hydra
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.sweeps.compose import Composer


@dataclass(frozen=True)
class Described:
    """The runs of an experiment at one size, as its file describes them.

    Attributes:
        runs: the settings of one run for each combination of choices of groups.
        swept: values of the single settings that the file gives several, such as `data.noise`, by dotted name.
    """

    runs: list[Mapping[str, Any]]
    swept: Mapping[str, list[Any]]


def described_runs(experiment: str, size: str) -> Described:
    """Return the runs that `train experiment=<experiment> size=<size>` stands for."""
    chosen = [f"experiment={experiment}", f"size={size}"]
    with own_hydra():
        composer = Composer(
            GlobalHydra.instance().config_loader(), compose("train", chosen, return_hydra_config=True)
        )
        parse = OverridesParser.create().parse_overrides
        params = parse(composer.params(chosen))
        swept = {
            each.key_or_group: list(each.sweep_iterator(Transformer.identity))
            for each in params
            if _is_sweep_of_values(each)
        }
        once = [each for each in params if each.key_or_group not in swept]
        combinations = BasicSweeper.split_arguments([*once, *parse(chosen)], None)[0]
        return Described([_settings(composer, overrides) for overrides in combinations], swept)


def _is_sweep_of_values(override: Override) -> bool:
    return override.is_sweep_override() and not is_group(override.key_or_group)


def _settings(composer: Composer, overrides: list[str]) -> Mapping[str, Any]:
    return RunSpec.of(composer(overrides)).settings

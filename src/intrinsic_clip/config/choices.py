"""Check choices of groups that only make sense with one another."""

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.errors import ConfigError

OF_AN_OBJECTIVE = ("tuned", "search")  # groups whose choices are made for one objective
SEARCH = "experiment=objective_search"


def check_choices(overrides: Sequence[str], multirun: bool) -> None:
    """Check the choices that a command makes.

    Args:
        overrides: as Hydra takes them.
        multirun: whether the command sweeps.

    Raises:
        ConfigError: settings found for one objective are given with another, or a search without its experiment.
    """
    chosen = dict(
        override.split("=", 1) for override in overrides if override[:1] not in "+~" and "=" in override
    )
    for group in OF_AN_OBJECTIVE:
        for choice in chosen.get(group, "null").split(","):
            path = conf_folder() / group / f"{choice}.yaml"
            objective = _objective_of(OmegaConf.load(path)) if path.is_file() else None
            if objective and any(
                other != objective for other in chosen.get("objective", objective).split(",")
            ):
                other = chosen["objective"]
                raise ConfigError(
                    f"objective={other}: {group}={choice} has the settings of objective={objective}; leave out one of "
                    f"the two{_counterpart(group, other)}"
                )
    if chosen.get("search", "null") != "null" and not multirun and SEARCH not in overrides:
        raise ConfigError(
            f"search={chosen['search']}: is the grid of {SEARCH}, without which one run is trained as if it were not "
            "there; give both, or --multirun"
        )


def _objective_of(settings: Any) -> str | None:
    """Return the objective that a file chooses."""
    chosen = (
        entry.get("override /objective") for entry in settings.get("defaults", ()) if OmegaConf.is_dict(entry)
    )
    return next((str(objective) for objective in chosen if objective), None)


def _counterpart(group: str, objective: str) -> str:
    """Return the advice to take the choice made for an objective, where there is one."""
    return (
        f", or choose {group}={objective}" if (conf_folder() / group / f"{objective}.yaml").is_file() else ""
    )

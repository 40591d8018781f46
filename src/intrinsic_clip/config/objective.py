"""Check the objective of a training and its two parts, the temperature and the similarity."""

import json
from collections.abc import Mapping
from typing import Any

from intrinsic_clip.config.nodes import short_name, target_of
from intrinsic_clip.errors import ConfigError

PARTS = ("temperature", "similarity")  # groups of their own, in the objective's node
KINDS = {"CosineSimilarity": "cosine", "NoNormalisation": "none"}  # any other class: a population norm


def check_parts(objective: Mapping[str, Any]) -> None:
    """Check that the objective has a similarity, and that its parts are nodes.

    Raises:
        ConfigError: they are missing, or no nodes.
    """
    for part in PARTS:
        node = objective.get(part)
        if not isinstance(node, Mapping) and (node is not None or part == "similarity"):
            raise ConfigError(
                f"objective.{part}={json.dumps(node)}: must be settings with a _target_; objective/{part}=… makes them"
            )


def parts_of(objective: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the nodes of an objective's parts by dotted name."""
    return {f"objective.{part}": objective[part] for part in PARTS if objective.get(part) is not None}


def without_parts(objective: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an objective's own class."""
    return {key: value for key, value in objective.items() if key not in PARTS}


def with_parts_apart(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config in which the parts stand beside the objective, whose class does not take them."""
    objective = config["objective"]
    return {**config, "objective": without_parts(objective), **parts_of(objective)}


def without_idle_temperature(objective: Mapping[str, Any]) -> dict[str, Any]:
    """Return an objective without a temperature that has a scale but no class.

    An experiment sets its temperature's scale; with an objective that has no temperature, there is none to scale.

    Raises:
        ConfigError: a temperature without a class has other settings, which a user must have meant.
    """
    temperature = objective.get("temperature")
    if temperature is not None and (not isinstance(temperature, Mapping) or "_target_" in temperature):
        return dict(objective)
    others = [key for key in temperature or {} if key != "scale"]
    if others and "_target_" in objective:
        raise ConfigError(
            f"objective.temperature.{others[0]}: {short_name(objective)} has no temperature; leave it out"
        )
    return {key: value for key, value in objective.items() if key != "temperature"}


def check_objective(objective: Mapping[str, Any]) -> None:
    """Check that an objective goes together with its temperature and its similarity.

    Raises:
        ConfigError: it does not.
    """
    made, name = target_of("objective", objective), short_name(objective)
    if getattr(made, "takes_temperature", True):
        if objective.get("temperature") is None:
            raise ConfigError(
                f"objective/temperature=null: {name} has a temperature; choose learned, fixed, clamped"
                + (", scheduled or per_direction" if takes_directions(objective) else " or scheduled")
            )
    elif objective.get("temperature") is not None:
        raise ConfigError(
            f"objective/temperature: {name} has no temperature; leave out {short_name(objective['temperature'])}, and "
            "with it all that is set of objective.temperature"
        )
    if "PerDirection" in short_name(objective.get("temperature") or {"_target_": ""}):
        _check_per_direction(objective, name)
    allowed = getattr(made, "similarities", None)
    kind = KINDS.get(short_name(objective["similarity"]), "population")
    if allowed is not None and kind not in allowed:
        choices = " or ".join(f"objective/similarity={choice}" for choice in sorted(allowed))
        raise ConfigError(f"objective/similarity={kind}: does not go together with {name}; choose {choices}")


def takes_directions(objective: Mapping[str, Any]) -> bool:
    """Return whether an objective may have a temperature for each direction."""
    return short_name(objective) == "InfoNCE" and not objective.get("local_block")


def check_output_dims(objective: Mapping[str, Any], output_dim: Any) -> None:
    """Check that the outputs of the encoders suffice for the objective.

    Args:
        objective: its node.
        output_dim: the setting of that name: a number, several, or anything else, which says nothing.

    Raises:
        ConfigError: they are too few; or padded with zeros, which the objective counts, or where the last has a
            meaning of its own.
    """
    made = target_of("objective", objective)
    dims = [d for d in (output_dim if isinstance(output_dim, list) else [output_dim]) if isinstance(d, int)]
    if len(set(dims)) > 1 and getattr(made, "counts_columns", False):
        raise ConfigError(
            f"encoder.output_dim={json.dumps(output_dim)}: must be one number with {short_name(objective)}, which "
            "counts the zeros that end narrower outputs; --multirun sweeps over several"
        )
    if not hasattr(made, "least_output_dim") or not dims:
        return
    settings = {key: value for key, value in without_parts(objective).items() if not key.startswith("_")}
    configured = made(**settings)
    if len(set(dims)) > 1 and getattr(configured, "reads_last_column", False):
        raise ConfigError(
            f"encoder.output_dim={json.dumps(output_dim)}: with {configured.least_output_dim[1]} must be one number, "
            "since narrower outputs end in zeros; --multirun sweeps over several"
        )
    least, setting = configured.least_output_dim
    if max(dims) < least:
        raise ConfigError(
            f"encoder.output_dim={json.dumps(output_dim)}: must be at least {least} with {setting}"
        )


def _check_per_direction(objective: Mapping[str, Any], name: str) -> None:
    if not takes_directions({**objective, "local_block": False}):
        raise ConfigError(
            f"objective/temperature=per_direction: {name} takes one temperature; choose another, or objective=infonce"
        )
    if objective.get("local_block"):
        raise ConfigError(
            "objective.local_block=true: does not go together with objective/temperature=per_direction; leave it out"
        )

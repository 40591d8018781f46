"""Name and group a training run in W&B."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.config.nodes import short_name
from intrinsic_clip.config.objective import PARTS
from intrinsic_clip.runs.addresses import fingerprint


def wandb_identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return group, job type, name and kinds of the run with these resolved settings, as WandbLogger takes them.

    Runs that differ in the seed alone form a group, whose mean and spread W&B's charts show; so do the chunks of a
    run. A run with several replicates logs means, so it is not in the group of single runs. The six digits at the end
    of the group's name stand for all settings that its words leave out. A choice is named by its class.
    """
    name, encoder, objective = settings["name"], settings["encoder"], settings["objective"]
    replicates, d = settings["replicates"], encoder.get("output_dim")
    width = [] if d is None else [f"d={_listed(d)}"]
    parts = [short_name(objective[part]) if objective.get(part) else None for part in PARTS]
    temperature, similarity = (name or "no temperature" for name in parts)
    formula = [] if short_name(objective) == "InfoNCE" else [short_name(objective)]
    words = [*formula, similarity.removesuffix("Similarity"), temperature.removesuffix("Temperature")]
    ignored = {"seed": None, "replicates": replicates is not None}
    shared = {**settings, **ignored, "data": {**settings["data"], **ignored}}
    repetitions = [] if replicates is None else [f"replicates={_listed(replicates)}"]
    return {
        "group": " ".join([name, *width, *map(str.lower, words), fingerprint(shared)[:6]]),
        "job_type": "train",
        "name": " ".join([*width, f"seed={settings['seed']}", *repetitions]),
        "kinds": [
            name,
            short_name(settings["data"]),
            short_name(encoder),
            similarity,
            temperature,
            *formula,
        ],
    }


def _listed(value: Any) -> str:
    """Write out a number or a short list, and the ends of a long list: W&B shows forty characters of a name."""
    if not isinstance(value, list):
        return str(value)
    numbers = [str(number) for number in value]
    return ",".join(numbers if len(numbers) < 5 else [*numbers[:2], "…", numbers[-1]])

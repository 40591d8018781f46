"""What a training run is called in W&B: which runs its charts average over, and by what they can be found."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.runs.addresses import fingerprint


def labels(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Group, job type, name and kinds of the run with these resolved settings, as WandbLogger takes them.

    Runs that differ in the seed alone form a group, whose mean and spread W&B's charts show; so do the chunks of a
    run. A run with replicates inside gives means, so it is not in the group of lone runs. The six digits at the end
    of the group's name stand for all that its words leave out.
    """
    name, encoder, loss = settings["name"], settings["encoder"], settings["loss"]
    replicates, d = settings["replicates"], encoder.get("output_dim")
    width = [] if d is None else [f"d={_listed(d)}"]
    similarity, temperature = (_class(loss[part]) for part in ("similarity", "temperature"))
    apart = {"seed": None, "replicates": replicates is not None}
    alike = {**settings, **apart, "data": {**settings["data"], **apart}}
    words = [similarity.removesuffix("Similarity").lower(), temperature.removesuffix("Temperature").lower()]
    repetitions = [] if replicates is None else [f"replicates={_listed(replicates)}"]
    return {
        "group": " ".join([name, *width, *words, fingerprint(alike)[:6]]),
        "job_type": "train",
        "name": " ".join([*width, f"seed={settings['seed']}", *repetitions]),
        "kinds": [name, _class(settings["data"]), _class(encoder), similarity, temperature],
    }


def _class(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def _listed(value: Any) -> str:
    """A number, a short list as it is, a long one by its ends: W&B shows forty characters of a name."""
    if not isinstance(value, list):
        return str(value)
    numbers = [str(number) for number in value]
    return ",".join(numbers if len(numbers) < 5 else [*numbers[:2], "…", numbers[-1]])

"""Check that what a run combines goes together with its number of modalities."""

from typing import TYPE_CHECKING

from intrinsic_clip import config
from intrinsic_clip.config.nodes import short_name
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.vocabulary import FURTHER_SIDES

if TYPE_CHECKING:
    from torch import nn

    from intrinsic_clip.data import PairedData


PLAIN = {
    "kernel": "auto",
    "compile": "null",
    "cuda_graph": "false",
}  # settings with which PyTorch computes a step


def is_multimodal(objective: "nn.Module") -> bool:
    """Return whether an objective takes modalities by name, two or more, instead of x and y."""
    return bool(getattr(objective, "takes_modalities", False))


def check_modalities(spec: RunSpec, data: "PairedData", objective: "nn.Module") -> None:
    """Check objective, similarity, temperature, encoder and step of a run against the data's modalities.

    Raises:
        ConfigError: two of them do not go together.
    """
    names = ["x", "y", *data.further_dims]
    if not is_multimodal(objective):
        if data.further_dims:
            raise ConfigError(
                f"objective: {type(objective).__name__} compares two modalities, and the data have "
                f"{', '.join(names)}; choose objective=pairs, anchor, symile or gram"
            )
        return
    unknown = [name for name in data.further_dims if name not in FURTHER_SIDES]
    if unknown:
        raise ConfigError(
            f"data: a further modality is named {unknown[0]!r}; it must be one of {', '.join(FURTHER_SIDES)}"
        )
    anchor = getattr(objective, "anchor", None)
    if anchor is not None and anchor not in names:
        raise ConfigError(f"objective.anchor={anchor}: must be one of {', '.join(names)}")
    _check_parts(spec, type(objective).__name__)
    _check_step(spec, type(objective).__name__)


def _check_parts(spec: RunSpec, objective: str) -> None:
    """Check what belongs to pairs of modalities alone."""
    settings = spec.settings
    similarity = settings["objective"]["similarity"]
    kind = short_name(similarity)
    if kind == "PopulationSimilarity":
        over = similarity.get("over", "append")
        serves, named = over == "append", f"{kind} over {over}"
    else:
        serves, named = kind == "CosineSimilarity", kind
    if not serves:
        raise ConfigError(
            f"objective.similarity: {named} knows x and y alone; {objective} takes "
            "objective/similarity=cosine, and pairs and anchor population or fast too"
        )
    if config.is_pretrained(spec.cfg.encoder):
        raise ConfigError(
            f"encoder: a pretrained model has two encoders, of x and y; {objective} trains encoders from scratch"
        )
    noise = (settings.get("regularisation") or {}).get("input_noise")
    if noise:
        raise ConfigError(
            f"regularisation.input_noise={noise:g}: is made for pairs; choose 0 with {objective}"
        )


def _check_step(spec: RunSpec, objective: str) -> None:
    """Refuse ways of computing a step that were asked for and do not serve; `auto` and null take PyTorch's."""
    for key, plain in PLAIN.items():
        value = spec.settings.get(key)
        if value and value not in ("auto", "none"):
            word = str(value).lower()
            raise ConfigError(
                f"{key}={word}: serves steps on pairs; {objective} runs in plain PyTorch, so choose {key}={plain}"
            )

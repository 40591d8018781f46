"""An open_clip model's two projections, taken off its towers."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError

FeatureLayer = Literal["tower", "projected"]
TIMM_PROJECTIONS = {"drop", "proj", "mlp"}  # names of the layers in a head that only projects


def take_projections(model: Any, name: str) -> tuple[nn.Module, nn.Module]:
    """Both projections as modules; from now on the model's own features are those before them.

    Raises:
        ConfigError: where a tower does not end in a projection of its own, as ModifiedResNet's attention pooling.
    """
    return _from_images(model.visual, name), _from_texts(getattr(model, "text", model), name)


def _from_images(visual: Any, name: str) -> nn.Module:
    head = getattr(visual, "head", None)
    if isinstance(head, nn.Sequential) and {key for key, _ in head.named_children()} <= TIMM_PROJECTIONS:
        visual.head = nn.Identity()
        return head
    projection = _as_module(getattr(visual, "proj", None))
    if projection is None:
        raise ConfigError(_without(name, "image"))
    visual.proj = None
    return projection


def _from_texts(holder: Any, name: str) -> nn.Module:
    projection = _as_module(getattr(holder, "text_projection", None))
    if projection is None:
        raise ConfigError(_without(name, "text"))
    holder.text_projection = None
    return projection


def _as_module(projection: Any) -> nn.Module | None:
    """What open_clip holds as a matrix that multiplies from the right, or as a layer."""
    if not isinstance(projection, Tensor):
        return projection if isinstance(projection, nn.Linear) else None
    width, output_dim = projection.shape
    layer = nn.Linear(width, output_dim, bias=False)
    with torch.no_grad():
        layer.weight.copy_(projection.T)
    return layer


def _without(name: str, tower: str) -> str:
    return (
        f"encoder.model={name}: its {tower} tower has no projection that could be taken off; "
        "features=projected, to train it together with an output_dim, does not need to"
    )

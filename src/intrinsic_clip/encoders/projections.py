"""Separate the two projections of an open_clip model from its towers."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError

FeatureLayer = Literal["tower", "projected"]
TIMM_PROJECTIONS = {"drop", "proj", "mlp"}  # layers of a head that is a projection only


def take_projections(model: Any, name: str) -> tuple[nn.Module, nn.Module]:
    """Remove both projections from a model and return them; its features are then those before the projections.

    Raises:
        ConfigError: a tower does not end in a separate projection, like the attention pooling of ModifiedResNet.
    """
    return _from_images(model.visual, name), _from_texts(getattr(model, "text", model), name)


def _from_images(visual: Any, name: str) -> nn.Module:
    head = getattr(visual, "head", None)
    if isinstance(head, nn.Sequential) and {key for key, _ in head.named_children()} <= TIMM_PROJECTIONS:
        visual.head = nn.Identity()
        return head
    projection = _as_module(getattr(visual, "proj", None))
    if projection is None:
        raise ConfigError(_no_projection(name, "image"))
    visual.proj = None
    return projection


def _from_texts(holder: Any, name: str) -> nn.Module:
    projection = _as_module(getattr(holder, "text_projection", None))
    if projection is None:
        raise ConfigError(_no_projection(name, "text"))
    holder.text_projection = None
    return projection


def _as_module(projection: Any) -> nn.Module | None:
    """Convert a projection, a matrix that multiplies from the right or a linear layer, to a layer; else None."""
    if not isinstance(projection, Tensor):
        return projection if isinstance(projection, nn.Linear) else None
    width, output_dim = projection.shape
    layer = nn.Linear(width, output_dim, bias=False, device=projection.device)
    with torch.no_grad():
        layer.weight.copy_(projection.T)
    return layer


def _no_projection(name: str, tower: str) -> str:
    return (
        f"encoder.model={name}: its {tower} tower has no projection that could be separated; "
        "encoder.features=projected with an encoder.output_dim works without"
    )

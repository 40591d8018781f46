"""Fine-tune the towers of a pretrained open_clip model as the encoders f and g."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.preprocessing import fit_context_length, prepare_images
from intrinsic_clip.encoders.projections import FeatureLayer, take_projections
from intrinsic_clip.errors import ConfigError

Trainable = Literal["heads", "towers", "all"]


def fine_tuned(
    model: Any,
    name: str,
    features: FeatureLayer,
    trainable: Trainable,
    output_dim: int | None,
    batch_size: int,
) -> tuple[nn.Module, nn.Module]:
    """Return f of images `(n, 3, h, w)` in [0, 1] and g of token ids `(n, length)`, each a tower and a head.

    Args:
        model: an open_clip model, which is taken apart; for `tower` features already without its projections.
        name: name of the model, for messages.
        features: input of new heads, before (`tower`) or after the projection (`projected`).
        trainable: `heads`, on frozen towers in evaluation mode; `towers`, under frozen heads; or `all`.
        output_dim: output size of new linear heads; None: the model's projections are the heads.
        batch_size: rows at once where no gradient is needed.

    Raises:
        ConfigError: no output dimension for tower features, or a model whose projections cannot be separated.
    """
    heads: tuple[nn.Module, nn.Module]
    device = next(model.parameters()).device
    if output_dim is not None:
        width_x, width_y = _widths(model, device)
        heads = nn.Linear(width_x, output_dim), nn.Linear(width_y, output_dim)
    elif features == "projected":
        heads = take_projections(model, name)
    else:
        raise ConfigError("encoder.output_dim: must be given for new heads on features=tower")
    heads = heads[0].to(device), heads[1].to(device)  # drawn on the CPU, so that they are the same everywhere
    visual = model.visual
    preparation = visual.preprocess_cfg
    text = _TextPart(model)
    f = FineTuned(visual, heads[0], lambda images: prepare_images(images, preparation), trainable, batch_size)
    length = model.context_length
    g = FineTuned(text, heads[1], lambda ids: fit_context_length(ids.long(), length), trainable, batch_size)
    return f, g


class FineTuned(nn.Module):
    """A tower and a head.

    Args:
        tower: module from preprocessed rows to features.
        head: module from features to representations.
        prepare: preprocessing of the rows.
        trainable: heads, towers or all.
        batch_size: rows at once where no gradient is needed.
    """

    def __init__(
        self,
        tower: nn.Module,
        head: nn.Module,
        prepare: Callable[[Tensor], Tensor],
        trainable: Trainable,
        batch_size: int,
    ) -> None:
        super().__init__()
        self.tower, self.head = tower, head
        self.prepare, self.batch_size = prepare, batch_size
        self.frozen_tower = trainable == "heads"
        if self.frozen_tower:
            tower.requires_grad_(False)
        head.requires_grad_(trainable != "towers")
        self.train()  # pretrained models come in evaluation mode, and Lightning keeps modes

    def train(self, mode: bool = True) -> "FineTuned":
        """Set the mode, except that a frozen tower stays in evaluation mode: no dropout, no batch statistics."""
        super().train(mode)
        if self.frozen_tower:
            self.tower.eval()
        return self

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows `(n, …)` to `(n, d)`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_tower):
            features = self._features(rows)
        return self.head(features)

    def _features(self, rows: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self.tower(self.prepare(rows))
        # A measurement passes a whole split at once.
        return torch.cat([self.tower(self.prepare(part)) for part in rows.split(self.batch_size)])


class _TextPart(nn.Module):
    """The text tower of a model, without its image tower and temperature."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        del model.visual, model.logit_scale
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids to features."""
        return self.model.encode_text(ids)


@torch.no_grad()
def _widths(model: Any, device: torch.device) -> tuple[int, int]:
    """Return the feature sizes of both towers."""
    size = model.visual.preprocess_cfg["size"]
    height, width = (size, size) if isinstance(size, int) else size
    x = model.encode_image(torch.zeros(1, 3, height, width, device=device))
    y = model.encode_text(torch.ones(1, model.context_length, dtype=torch.int64, device=device))
    return x.shape[1], y.shape[1]

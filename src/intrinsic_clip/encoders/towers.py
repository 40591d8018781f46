"""Small towers to train from scratch: a convolutional one for pixels, a transformer for token ids."""

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from intrinsic_clip.encoders.augmentation import AugmentImages, OmitTokens
from intrinsic_clip.encoders.preprocessing import in_unit_range

VOCABULARY = 49408  # of open_clip's tokenizer, whose end mark is the largest id
HEAD_WIDTH = 32  # channels of one attention head
NORM_CHANNELS = 8  # channels of a group that is normalised together


def pixels_and_tokens(
    input_dim: tuple[int, ...],
    output_dim: PositiveInt,
    image_width: Annotated[int, Field(ge=NORM_CHANNELS, multiple_of=NORM_CHANNELS)] = 16,
    image_stages: PositiveInt = 4,
    text_width: Annotated[int, Field(ge=HEAD_WIDTH, multiple_of=HEAD_WIDTH)] = 64,
    text_layers: PositiveInt = 2,
    text_length: PositiveInt = 32,
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 0.6,
    colour: Annotated[NonNegativeFloat, Field(le=1)] = 0.3,
    omitted_tokens: Annotated[NonNegativeFloat, Field(lt=1)] = 0.2,
) -> nn.Module:
    """The tower that the shape of a row asks for: of images `(3, h, w)`, or of token ids `(length,)`.

    Args:
        input_dim: the shape of a row.
        output_dim: d.
        image_width, image_stages: channels of the first layer, and how often they double while the side is halved.
        text_width, text_layers: of the transformer.
        text_length: tokens of a caption that are read, from its beginning.
        crop_scale, colour: of the images while training, see `AugmentImages`.
        omitted_tokens: share of a caption's tokens that are hidden while training.

    Raises:
        ValueError: rows that are neither.
    """
    match input_dim:
        case (3, _, _):
            return ImageTower(output_dim, image_width, image_stages, AugmentImages(crop_scale, colour))
        case (length,):
            omit = OmitTokens(omitted_tokens)
            return TextTower(min(length, text_length), output_dim, text_width, text_layers, omit)
    raise ValueError(
        "encoder: pixels_and_tokens takes images (3, h, w) and token ids (length,), not rows of "
        f"{input_dim} features; data.images=true where the data have both"
    )


class ImageTower(nn.Module):
    """A residual network with group normalisation, which treats each image by itself.

    Args:
        output_dim: d.
        width: channels of the first layer, at half the picture's side.
        stages: residual blocks, each with half the side and twice the channels.
        augment: applied to the pixels first.
    """

    def __init__(self, output_dim: int, width: int, stages: int, augment: nn.Module) -> None:
        super().__init__()
        self.augment = augment
        widths = [width * 2**i for i in range(stages + 1)]
        self.stem = nn.Sequential(_convolution(3, width, stride=2), _norm(width), nn.ReLU())
        self.blocks = nn.Sequential(*map(HalvingBlock, widths[:-1], widths[1:]))
        self.head = nn.Linear(widths[-1], output_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Images `(n, 3, h, w)`, floats in [0, 1] or uint8, to `(n, d)`."""
        pixels = 2 * self.augment(in_unit_range(images)) - 1
        return self.head(self.blocks(self.stem(pixels)).mean((2, 3)))


class HalvingBlock(nn.Module):
    """A residual block `(n, width_in, h, w) → (n, width_out, h / 2, w / 2)`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _convolution(width_in, width_out, stride=2),
            _norm(width_out),
            nn.ReLU(),
            _convolution(width_out, width_out),
            _norm(width_out),
        )
        self.skip = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(width_in, width_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both paths, rectified."""
        return functional.relu(self.main(x) + self.skip(x))


def _convolution(width_in: int, width_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(width // NORM_CHANNELS, width)


class TextTower(nn.Module):
    """A transformer over token ids; its output is the mean over a caption's real tokens.

    Args:
        length: tokens that are read.
        output_dim: d.
        width, layers: of the transformer.
        omit: which of the real tokens `(n, length)` to use.
    """

    def __init__(self, length: int, output_dim: int, width: int, layers: int, omit: nn.Module) -> None:
        super().__init__()
        self.omit = omit
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, output_dim)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids `(n, length or more)` to `(n, d)`."""
        ids = ids.long()
        end, ids = ids.argmax(1, keepdim=True), ids[:, : len(self.positions)]
        # Up to the end mark: what follows is filled with zeros, and 0 is also the id of "!".
        real = torch.arange(ids.shape[1], device=ids.device) <= end
        used = self.omit(real)
        x = self.tokens(ids) + self.positions
        for layer in self.layers:
            x = layer(x, used)
        weights = used[:, :, None].to(x.dtype)
        return self.head((self.norm(x) * weights).sum(1) / weights.sum(1))


class TransformerLayer(nn.Module):
    """Attention and a feed-forward network, each normalised first and added to what came in.

    Args:
        width: of its input and output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.norm, self.attention_in = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, used: Tensor | None = None) -> Tensor:
        """Rows `(n, length, width)`, of which only those `used`, `(n, length)`, are attended to; None: all."""
        parts = self.attention_in(self.norm(x)).unflatten(2, (3, self.heads, -1)).unbind(2)
        queries, keys, values = (part.transpose(1, 2) for part in parts)
        # By hand: of the fused attention vmap knows no batched form, and captions are short.
        scores = queries @ keys.mT / HEAD_WIDTH**0.5
        if used is not None:
            scores = scores.masked_fill(~used[:, None, None], -torch.inf)
        attended = scores.softmax(-1) @ values
        x = x + self.attention_out(attended.transpose(1, 2).flatten(2))
        return x + self.feed_forward(x)

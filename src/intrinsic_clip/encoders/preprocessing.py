"""What encoders take: pixels as numbers in [0, 1]; for open_clip models resized and normalised, and token ids cut."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError


def in_unit_range(images: Tensor) -> Tensor:
    """Images in [0, 1]: as they are, or float32 where they are whole numbers up to 255 (`data.pixels=uint8`)."""
    return images if images.is_floating_point() else images.float() / 255


def prepare_images(images: Tensor, wanted: Mapping[str, Any]) -> Tensor:
    """What open_clip's own transform does to pictures, on tensors, for a model's preprocessing settings."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import center_crop, normalize, resize

    size = [wanted["size"]] * 2 if isinstance(wanted["size"], int) else list(wanted["size"])
    square = images.shape[-2] == images.shape[-1] and size[0] == size[1]
    whole = square or wanted["resize_mode"] == "squash"
    mode = InterpolationMode(wanted["interpolation"])
    resized = resize(
        in_unit_range(images), size if whole else [min(size)], interpolation=mode, antialias=True
    )
    cropped = resized if whole else center_crop(resized, size)
    return normalize(cropped.clamp(0, 1), list(wanted["mean"]), list(wanted["std"]))


def are_images_and_tokens(images: Tensor, tokens: Tensor) -> bool:
    """Whether these are images `(n, 3, h, w)` and token ids `(n, length)`."""
    return images.ndim == 4 and images.shape[1] == 3 and tokens.ndim == 2 and not tokens.is_floating_point()


def check_images_and_tokens(images: Tensor, tokens: Tensor) -> None:
    """Raise ConfigError where these are not images and token ids."""
    if not are_images_and_tokens(images, tokens):
        shapes = f"{tuple(images.shape)} and {tuple(tokens.shape)} {tokens.dtype}"
        raise ConfigError(
            f"encoder: takes images (n, 3, h, w) and token ids (n, length), the data are {shapes}"
        )


def fit_context_length(tokens: Tensor, length: int) -> Tensor:
    """Token ids of another context length; what is cut off leaves its end mark, which the model reads."""
    if tokens.shape[1] <= length:
        return torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]))
    fitted = tokens[:, :length].clone()
    longer = (tokens[:, length:] != 0).any(1)
    fitted[:, -1] = torch.where(longer, tokens.amax(1), fitted[:, -1])
    return fitted

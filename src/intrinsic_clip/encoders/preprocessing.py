"""Preprocess the input of encoders: scale, resize and normalise images, and fit token ids to a context length."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError

HIGHEST = {torch.uint8: 255, torch.uint16: 65535, torch.bool: 1}
WANTED_RANGE = "wanted are floats in [0, 1] or uint8 from 0 to 255"
ROUNDING = 0.01  # by which resized floats may leave [0, 1]


def in_unit_range(images: Tensor) -> Tensor:
    """Return images in [0, 1]: floats as they are, whole numbers (`data.pixels=uint8`) as float32.

    Whole numbers run up to 255, those of 16 bits without sign up to 65535.

    Raises:
        ConfigError: whole numbers of a larger type that are not all from 0 to 255.
    """
    if images.is_floating_point():
        return images
    if images.dtype in HIGHEST:
        return images.float() / HIGHEST[images.dtype]
    low, high = (int(bound) for bound in images.aminmax()) if images.numel() else (0, 0)
    if low < 0 or high > 255:
        raise ConfigError(f"encoder: images are {images.dtype} from {low} to {high}; {WANTED_RANGE}")
    return images.float() / 255


def prepare_images(images: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Resize, crop and normalise images `(n, 3, h, w)` as open_clip's own transform does with PIL.

    Args:
        images: floats in [0, 1] or uint8.
        settings: a model's `preprocess_cfg`.
    """
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import center_crop, normalize, resize

    size = [settings["size"]] * 2 if isinstance(settings["size"], int) else list(settings["size"])
    square = images.shape[-2] == images.shape[-1] and size[0] == size[1]
    whole = square or settings["resize_mode"] == "squash"
    mode = InterpolationMode(settings["interpolation"])
    resized = resize(
        in_unit_range(images), size if whole else [min(size)], interpolation=mode, antialias=True
    )
    cropped = resized if whole else center_crop(resized, size)
    return normalize(cropped.clamp(0, 1), list(settings["mean"]), list(settings["std"]))


def are_images_and_tokens(images: Tensor, tokens: Tensor) -> bool:
    """Return whether these are images `(n, 3, h, w)` and token ids `(n, length)`."""
    return images.ndim == 4 and images.shape[1] == 3 and tokens.ndim == 2 and not tokens.is_floating_point()


def check_images_and_tokens(images: Tensor, tokens: Tensor) -> None:
    """Check that these are images, floats in [0, 1] or whole numbers, and token ids.

    Raises:
        ConfigError: they are not; the message gives their shapes or range.
    """
    if not are_images_and_tokens(images, tokens):
        shapes = f"{tuple(images.shape)} and {tuple(tokens.shape)} {tokens.dtype}"
        raise ConfigError(
            f"encoder: takes images (n, 3, h, w) and token ids (n, length), the data are {shapes}"
        )
    if images.is_floating_point() and images.numel():
        low, high = (float(bound) for bound in images.aminmax())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # not a number is neither
            raise ConfigError(f"encoder: images are floats from {low:g} to {high:g}; {WANTED_RANGE}")


def fit_context_length(tokens: Tensor, length: int) -> Tensor:
    """Cut or pad token ids to a context length; cut captions keep their end mark, at which the model reads."""
    if tokens.shape[1] <= length:
        return torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]))
    fitted = tokens[:, :length].clone()
    longer = (tokens[:, length:] != 0).any(1)
    fitted[:, -1] = torch.where(longer, tokens.amax(1), fitted[:, -1])
    return fitted

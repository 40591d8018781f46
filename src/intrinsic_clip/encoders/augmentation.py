"""Augment batches: crop, mirror and recolour pictures at random, and omit random tokens of captions.

Every random number is a function of a key, the number of calls of the module, and the place in the batch. A resumed
training therefore sees the numbers of an uninterrupted one, and copies under `vmap` draw the same numbers as alone.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLIERS = (0x45D9F3B, 0x27D4EB2D, 0x165667B1)
MASK = 0xFFFFFFFF
GREY = (0.299, 0.587, 0.114)


class Draws(nn.Module):
    """Uniform random numbers, different at each call; the key is drawn from PyTorch's global generator."""

    key: Tensor
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("key", torch.randint(MASK, ()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, *shape: int) -> Tensor:
        """Return numbers in [0, 1) of the given shape."""
        self.calls += 1
        places = torch.arange(math.prod(shape), device=self.key.device)
        mixed = _mixed(_mixed(self.key + 1) + _mixed(self.calls))
        bits = _mixed(mixed + places)
        return ((bits >> 8).float() / 2**24).reshape(shape)


def _mixed(bits: Tensor) -> Tensor:
    """Hash 32-bit numbers (in int64), so that every bit of the result depends on every bit."""
    for multiplier in MULTIPLIERS:
        bits = bits & MASK
        bits = ((bits ^ (bits >> 16)) * multiplier) & MASK
    return bits ^ (bits >> 16)


class AugmentImages(nn.Module):
    """Random crops at random scales, mirrored or not, recoloured, in training mode; otherwise the identity.

    Args:
        scale: side of the smallest crop, as a share of the picture's side.
        colour: largest change of brightness, contrast and saturation, up or down, as a share.
    """

    def __init__(self, scale: float, colour: float) -> None:
        super().__init__()
        self.scale, self.colour = scale, colour
        self.draws = Draws()

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, h, w)` in [0, 1] to images of the same shape and range."""
        if not self.training:
            return images
        side, left, top, mirrored, *colours = self.draws(7, images.shape[0])
        side = self.scale + (1 - self.scale) * side
        flip = torch.where(mirrored < 0.5, -1.0, 1.0)
        height, width = images.shape[2:]
        across = (side * flip)[:, None] * _centres(width, side) + ((1 - side) * (2 * left - 1))[:, None]
        down = side[:, None] * _centres(height, side) + ((1 - side) * (2 * top - 1))[:, None]
        grid = torch.stack(
            [across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], -1
        )
        crops = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return self._recoloured(crops, *(1 + self.colour * (2 * c - 1)[:, None, None, None] for c in colours))

    @staticmethod
    def _recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
        """Change saturation, grey + s · (image − grey), then contrast around the mean, then brightness.

        Together these are one linear map of the colours of each picture and a shift: one pass over the pixels.
        """
        b, c, s = (factor[:, :, :, 0] for factor in (brightness, contrast, saturation))
        weights, pixels = torch.tensor(GREY, device=images.device), images.flatten(2)
        colours = b * c * (s * torch.eye(3, device=images.device) + (1 - s) * weights)
        mean = (pixels.mean(2) @ weights)[:, None, None]
        return torch.baddbmm(b * (1 - c) * mean, colours, pixels).clamp(0, 1).unflatten(2, images.shape[2:])


def _centres(pixels: int, like: Tensor) -> Tensor:
    """Return the centres of a row of pixels in the coordinates of `grid_sample`, whose ends are −1 and 1."""
    return (2 * torch.arange(pixels, device=like.device, dtype=like.dtype) + 1) / pixels - 1


class OmitTokens(nn.Module):
    """Random omission of a share of a caption's tokens in training mode; otherwise the identity.

    Args:
        share: share of the tokens to omit.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.draws = Draws()

    def forward(self, real: Tensor) -> Tensor:
        """Return which of the real tokens `(n, length)` are kept; the start mark always is."""
        if not self.training or not self.share:
            return real
        kept = self.draws(*real.shape) >= self.share
        first = torch.arange(real.shape[1], device=real.device) == 0
        return real & (kept | first)

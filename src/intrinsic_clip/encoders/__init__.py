"""Encoders f and g: each builder takes the input size and returns a module `(*, d_in) → (*, output_dim)`."""

from intrinsic_clip.encoders.feedforward import deep, linear, mlp, shallow
from intrinsic_clip.encoders.towers import pixels_and_tokens
from intrinsic_clip.encoders.transformer import transformer

__all__ = ["deep", "linear", "mlp", "pixels_and_tokens", "shallow", "transformer"]

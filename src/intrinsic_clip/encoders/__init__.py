"""Encoders f and g: each builder takes the input size and gives a module `(*, d_in) → (*, output_dim)`."""

from intrinsic_clip.encoders.feedforward import deep, linear, mlp, shallow

__all__ = ["deep", "linear", "mlp", "shallow"]

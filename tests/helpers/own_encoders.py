"""Encoders of a user's, as a config names them."""

from torch import nn


def with_dropout(input_dim: int, output_dim: int, width: int = 16, hidden_layers: int = 1) -> nn.Module:
    """Return an encoder that draws in training."""
    return nn.Sequential(
        nn.Linear(input_dim, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, output_dim)
    )

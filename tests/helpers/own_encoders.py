"""Encoders of a user's, as a config names them."""

from torch import nn


def with_dropout(input_dim: int, output_dim: int, width: int = 16, hidden_layers: int = 1) -> nn.Module:
    """Return an encoder that draws in training."""
    return nn.Sequential(
        nn.Linear(input_dim, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, output_dim)
    )


def orthogonal(
    input_dim: int, output_dim: int, width: int = 16, hidden_layers: int = 1, kind: str | None = None
) -> nn.Module:
    """Return an encoder that begins with an orthogonal map of PyTorch's."""
    first = nn.utils.parametrizations.orthogonal(nn.Linear(input_dim, width), orthogonal_map=kind)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(width, output_dim))

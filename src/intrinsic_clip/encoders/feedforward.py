"""Build the paper's feed-forward encoders (PyTorch's default initialisation everywhere)."""

from itertools import pairwise

from pydantic import PositiveInt
from torch import nn


def _relu_network(widths: list[int]) -> nn.Sequential:
    """Build linear maps between the given widths with a ReLU between every two of them."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def vector(input_dim: int) -> int:
    """Return the input size of an encoder of feature vectors; raise ValueError for inputs of any other shape."""
    if not isinstance(input_dim, int):
        raise ValueError(f"this encoder takes feature vectors, not inputs of shape {tuple(input_dim)}")
    return input_dim


def mlp(
    input_dim: PositiveInt, output_dim: PositiveInt, width: PositiveInt = 50, hidden_layers: PositiveInt = 3
) -> nn.Sequential:
    """Build the paper's main encoder: `hidden_layers` ReLU layers of one width and a linear output, with biases."""
    return _relu_network([vector(input_dim), *[width] * hidden_layers, output_dim])


def deep(
    input_dim: PositiveInt, output_dim: PositiveInt, width: PositiveInt = 50, linear_layers: PositiveInt = 12
) -> nn.Sequential:
    """Build an encoder of `linear_layers` linear maps in total with a ReLU between every two of them."""
    return _relu_network([vector(input_dim), *[width] * (linear_layers - 1), output_dim])


def shallow(
    input_dim: PositiveInt,
    output_dim: PositiveInt,
    width: PositiveInt | None = None,
    partner_dim: PositiveInt = 1,
) -> nn.Sequential:
    """Build one ReLU layer without bias: too weak to align a nonlinear pair, the paper's V(H) = ∅ experiment.

    Args:
        input_dim, output_dim: sizes of input and output vectors.
        width: width of the layer; None: the larger of both modalities' input sizes, and at least 50.
        partner_dim: input size of the other modality.
    """
    width = width or max(50, vector(input_dim), vector(partner_dim))
    return nn.Sequential(
        nn.Linear(vector(input_dim), width, bias=False), nn.ReLU(), nn.Linear(width, output_dim)
    )


def linear(input_dim: PositiveInt, output_dim: PositiveInt, width: PositiveInt = 50) -> nn.Sequential:
    """Build two linear maps without bias or nonlinearity."""
    return nn.Sequential(
        nn.Linear(vector(input_dim), width, bias=False), nn.Linear(width, output_dim, bias=False)
    )

"""Build a transformer over the parts of a feature vector, the paper's ablation on CITE-seq."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import pad

from intrinsic_clip.encoders.feedforward import vector
from intrinsic_clip.encoders.towers import HEAD_WIDTH, TransformerLayer


def transformer(
    input_dim: PositiveInt,
    output_dim: PositiveInt,
    width: PositiveInt = 32,
    layers: PositiveInt = 2,
    token_size: PositiveInt = 8,
) -> nn.Module:
    """Build a transformer over tokens of `token_size` features; its output is linear in the mean over the tokens.

    The paper does not give the sizes of its transformers: these are ours.

    Raises:
        ValueError: the width is no multiple of the width of an attention head.
    """
    if width % HEAD_WIDTH:
        raise ValueError(
            f"encoder.width={width}: must be a multiple of {HEAD_WIDTH}, the width of an attention head"
        )
    return VectorTransformer(vector(input_dim), output_dim, width, layers, token_size)


class VectorTransformer(nn.Module):
    """The module that `transformer` builds.

    Args:
        input_dim, output_dim: sizes of input and output vectors.
        width, layers: width and depth of the transformer.
        token_size: features per token; the last token is padded with zeros.
    """

    def __init__(self, input_dim: int, output_dim: int, width: int, layers: int, token_size: int) -> None:
        super().__init__()
        self.token_size, self.tokens = token_size, -(-input_dim // token_size)
        self.embed = nn.Linear(token_size, width)
        self.positions = nn.Parameter(0.1 * torch.randn(self.tokens, width))
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map vectors `(n, d_in)` to `(n, d)`."""
        filled = pad(x, (0, self.tokens * self.token_size - x.shape[1]))
        h = self.embed(filled.unflatten(1, (self.tokens, self.token_size))) + self.positions
        for layer in self.layers:
            h = layer(h)
        return self.head(self.norm(h).mean(1))

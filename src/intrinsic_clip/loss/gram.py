"""GRAM: contrast whole tuples of modalities by the volume that their vectors span.

    L = ½ (CE over rows + CE over columns) of −V / τ,   V_ij = √det G_ij

G_ij is the Gram matrix of row i of the anchor and rows j of all other modalities: V is 0 where the unit vectors lie in
one another's span, and at most 1, where they are orthogonal. Cicchetti, Grassucci, Sigillo and Comminiello, *Gramian
multimodal representation learning and alignment*, ICLR 2025, section 3.3; without their matching loss of a further
network. The volume does not tell a vector from its negative. For two modalities V² = 1 − ⟨x, y⟩².
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from intrinsic_clip.loss.arguments import modalities, place_of_anchor, temperature
from intrinsic_clip.loss.info_nce import symmetric_cross_entropy
from intrinsic_clip.loss.precision import in_widest_type, without_autocast
from intrinsic_clip.typed_values import checked

SMALLEST_SQUARE = 1e-8  # of a volume: below it float32 has no digits left, and the root no finite slope


def volumes(representations: Sequence[Tensor], anchor: int = 0) -> Tensor:
    """Return the volume that each row of the anchor spans with each tuple of rows of the other modalities.

    Args:
        representations: two or more modalities of unit vectors, `(*R, n, d)`.
        anchor: place of the anchor among them.

    Returns:
        Volumes `(*R, n, n)`: row i of the anchor with rows j of all others.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import volumes
        >>> x = torch.eye(3)[:2]
        >>> volumes([x, x.flip(0), torch.eye(3)[[2, 2]]]).round(decimals=3).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    representations = modalities(representations, anchor)
    one = representations[anchor]
    others = [rows for place, rows in enumerate(representations) if place != anchor]
    among = [
        [(a * b).sum(-1)[..., None, :] for b in others] for a in others
    ]  # `(*R, 1, n)`: the same for all i
    across = [one @ rows.mT for rows in others]
    own = one.square().sum(-1)[..., :, None]
    gram = [[own, *across], *([across[place], *row] for place, row in enumerate(among))]
    return _determinant(gram).clamp_min(SMALLEST_SQUARE).sqrt()


def _determinant(matrix: Sequence[Sequence[Tensor]]) -> Tensor:
    """Expand by the first row: without a division, so that singular matrices have a gradient."""
    if len(matrix) == 1:
        return matrix[0][0]
    total = None
    for column, entry in enumerate(matrix[0]):
        minor = [[*row[:column], *row[column + 1 :]] for row in matrix[1:]]
        term = entry * _determinant(minor)
        total = term if total is None else total - term if column % 2 else total + term
    assert total is not None
    return total


def gram(representations: Sequence[Tensor], tau: Tensor | float, anchor: int = 0) -> Tensor:
    """Return the symmetric cross-entropy whose similarity is the negative volume.

    Args:
        representations: two or more modalities of unit vectors, `(*R, n, d)`; row i of one belongs to row i of all.
        tau: the temperature itself, a number or `(*R,)`.
        anchor: place of the modality whose row is exchanged against the rows of all others.

    Returns:
        The loss per replicate in nats, `(*R,)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import gram
        >>> x = torch.eye(4)
        >>> round(float(gram([x, x], torch.tensor(1.0))), 3)  # log(1 + 3 / e)
        0.744
    """
    representations = modalities(representations, anchor)
    *representations, tau = in_widest_type(*representations, temperature(tau, representations[0]))
    with without_autocast(representations[0].device):
        return symmetric_cross_entropy(-volumes(representations, anchor) / tau[..., None, None])


class Gram(nn.Module):
    """The GRAM loss, by the volume of one row of each modality.

    Args:
        anchor: name of the modality whose row is exchanged against the rows of all others.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Gram
        >>> x = torch.eye(4)
        >>> round(float(Gram()({"x": x, "y": x, "z": x}, torch.tensor(1.0))), 3)  # two equal vectors span no volume
        1.386
    """

    takes_temperature: ClassVar[bool] = True
    takes_modalities: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine"})

    @checked("objective")
    def __init__(self, anchor: str = "x") -> None:
        super().__init__()
        self.anchor = anchor

    def forward(self, representations: Mapping[str, Tensor], tau: Tensor) -> Tensor:
        """Return the loss of modalities by name, `(*R, n, d)` each: `(*R,)`.

        Raises:
            ConfigError: no modality has the anchor's name.
        """
        return gram(list(representations.values()), tau, place_of_anchor(self.anchor, representations))

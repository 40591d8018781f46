"""InfoNCE between the pairs of several modalities: of all pairs, or of one anchor with each other.

    L = mean over pairs (a, b) of InfoNCE(a, b, τ)

The pairs are all M (M − 1) / 2 (as in Tian, Krishnan and Isola, *Contrastive multiview coding*, ECCV 2020: the full
graph), or the M − 1 with an anchor (their core view; Girdhar et al., *ImageBind: one embedding space to bind them all*,
CVPR 2023). All pairs have one temperature.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from intrinsic_clip.loss.arguments import modalities, place_of_anchor
from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.typed_values import checked


def sum_over_pairs(
    representations: Sequence[Tensor], tau: Tensor | float, chunk: int | None = None
) -> Tensor:
    """Return the mean of symmetric InfoNCE over all pairs of modalities; for two modalities it is InfoNCE.

    Args:
        representations: two or more modalities, each normalised, `(*R, n, d)`; row i of one belongs to row i of all.
        tau: the temperature itself, a number or `(*R,)`.
        chunk: rows of the n × n logits in memory at a time; None: all.

    Returns:
        The loss per replicate in nats, `(*R,)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import sum_over_pairs
        >>> x = torch.eye(4)
        >>> round(float(sum_over_pairs([x, x, x], torch.tensor(1.0))), 3)
        0.744
    """
    return _mean_of(combinations(modalities(representations), 2), tau, chunk)


def anchored(
    representations: Sequence[Tensor], tau: Tensor | float, anchor: int = 0, chunk: int | None = None
) -> Tensor:
    """Return the mean of symmetric InfoNCE of one modality with each other; those are not compared with one another.

    Args:
        representations: two or more modalities, each normalised, `(*R, n, d)`; row i of one belongs to row i of all.
        tau: the temperature itself, a number or `(*R,)`.
        anchor: place of the anchor among the modalities.
        chunk: rows of the n × n logits in memory at a time; None: all.

    Returns:
        The loss per replicate in nats, `(*R,)`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import anchored
        >>> x, other = torch.eye(4), torch.eye(4).flip(0)
        >>> [round(float(anchored([x, x, other], torch.tensor(0.1), anchor)), 2) for anchor in (0, 2)]
        [5.0, 10.0]
    """
    representations = modalities(representations, anchor)
    others = [rows for place, rows in enumerate(representations) if place != anchor]
    return _mean_of(((representations[anchor], rows) for rows in others), tau, chunk)


def _mean_of(pairs: Iterable[tuple[Tensor, Tensor]], tau: Tensor | float, chunk: int | None) -> Tensor:
    losses = [info_nce(one, other, tau, chunk) for one, other in pairs]
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total / len(losses)


class SumOverPairs(nn.Module):
    """The mean of InfoNCE over all pairs of modalities.

    Args:
        chunk: rows of the logits in memory at a time; None: all.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import SumOverPairs
        >>> x = torch.eye(4)
        >>> round(float(SumOverPairs()({"x": x, "y": x, "z": x}, torch.tensor(1.0))), 3)
        0.744
    """

    takes_temperature: ClassVar[bool] = True
    takes_modalities: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})

    @checked("objective")
    def __init__(self, chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.chunk = chunk

    def forward(self, representations: Mapping[str, Tensor], tau: Tensor) -> Tensor:
        """Return the loss of modalities by name, `(*R, n, d)` each: `(*R,)`."""
        return sum_over_pairs(list(representations.values()), tau, self.chunk)


class Anchor(nn.Module):
    """The mean of InfoNCE of one modality, the anchor, with each other one.

    Args:
        anchor: name of that modality.
        chunk: rows of the logits in memory at a time; None: all.

    Example:
        >>> import torch
        >>> from intrinsic_clip.loss import Anchor
        >>> x = torch.eye(4)
        >>> round(float(Anchor("y")({"x": x, "y": x, "z": x}, torch.tensor(1.0))), 3)
        0.744
    """

    takes_temperature: ClassVar[bool] = True
    takes_modalities: ClassVar[bool] = True
    similarities: ClassVar[frozenset[str]] = frozenset({"cosine", "population"})

    @checked("objective")
    def __init__(self, anchor: str = "x", chunk: PositiveInt | None = None) -> None:
        super().__init__()
        self.anchor, self.chunk = anchor, chunk

    def forward(self, representations: Mapping[str, Tensor], tau: Tensor) -> Tensor:
        """Return the loss of modalities by name, `(*R, n, d)` each: `(*R,)`.

        Raises:
            ConfigError: no modality has the anchor's name.
        """
        place = place_of_anchor(self.anchor, representations)
        return anchored(list(representations.values()), tau, place, self.chunk)

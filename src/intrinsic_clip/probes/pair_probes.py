"""Measure the similarities of paired representations: matching, alignment, information, and their histograms.

Of three and more modalities every pair is measured: `retrieval/top_1/x_to_z`, `modality_gap/y_z`; histograms are those
of x and y.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Gt, Le
from pydantic import PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families import Alignment, Information, Matching, Similarities
from intrinsic_clip.measurement.families.family import Family
from intrinsic_clip.measurement.over_pairs import measure_over_pairs, names_over_pairs
from intrinsic_clip.metrics import pair_similarities
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.probes.temperature_uses import see_loss
from intrinsic_clip.typed_values import checked

Share = Annotated[float, Gt(0), Le(1)]
NO_TEMPERATURE = "the objective has no temperature"


class _PairProbe(Probe):
    """Probe of a family of numbers, those of every pair of modalities."""

    family: Family

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each number."""
        return names_over_pairs(self.family, sides)

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return the numbers, in the units that the table of metrics gives."""
        return measure_over_pairs(self.family, embeddings, self)


class MatchingProbe(_PairProbe):
    """Log how often a row's partner is among its most similar rows, in both directions.

    The names are `matching/…` where the similarity is the inner product of the encoders' own outputs (the paper's),
    and `retrieval/…` where it is their cosine, as in `measure`:

    - `top_<k>/x_to_y`, `top_<α>pct/x_to_y`: the share of pairs whose partner is among the most similar,
    - `median_rank/x_to_y`: the median over rows of the partner's rank among all n,
    - `label_<set>/x_to_y`: the share of rows whose most similar partner has their label.

    Under the population norm, the loss's similarity ranks exactly as the inner product of the encoders' own outputs,
    since it divides all of an encoder's outputs by one number; under the cosine loss it ranks as the cosine.

    Where rows of the data repeat, as an image with five captions does, each distinct row is searched for once, and any
    of its partners is right, as in published recalls. A warning says so.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`.
        ks: a pair counts as matched if the partner is among the k most similar.
        alphas: the same with k = max(1, int(α n)); the paper's is 0.005.
        similarity: by which rows are ranked.
    """

    @checked()
    def __init__(
        self,
        *args: Any,
        ks: Sequence[PositiveInt] = (1,),
        alphas: Sequence[Share] = (0.005,),
        similarity: Literal["inner_product", "cosine"] = "inner_product",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ks, self.alphas, self.similarity = ks, alphas, similarity
        self.family = Matching(ks, alphas, similarity)


class AlignmentProbe(_PairProbe):
    """Log `alignment/cosine`, the mean cosine of positive pairs (the paper's alignment is its negative).

    Also logged are `uniformity/x`, `uniformity/y`, `modality_gap` and `distribution_gap`. A single embedding has
    uniformity only.
    """

    family = Alignment()


class InformationProbe(_PairProbe):
    """Log `information/infonce_bound` = log N − L in nats over the N held-out rows, a lower bound of I(X; Y).

    The temperature of another's module is that of its `temperature()`, or of its one parameter, in the form in which
    the first loss of a training uses it. Where no loss has shown that, and the value leaves doubt, the bound is NaN.
    """

    family = Information()
    _has_looked = False  # whether a loss of this fit was looked at

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin a fit or test, as all probes do."""
        super().setup(trainer, pl_module, stage)
        self._has_looked = False

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """See from the first loss how another's module uses its temperature."""
        if not self._has_looked and self.source is not None:
            see_loss(pl_module, loss)
        self._has_looked = True

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return the bound, at most log N; NaN without a temperature."""
        if embeddings.tau is None:
            return dict.fromkeys(
                self.names(list(embeddings.sides())), Measured(None, embeddings.no_tau or NO_TEMPERATURE)
            )
        return super().measure(embeddings)


class SimilarityProbe(_PairProbe):
    """Log the mean similarities of positive and of random pairs with their histograms, and mean norms.

    `norm/x` and `norm/y` are of the encoders' own outputs, `relative_norm/x` and `relative_norm/y` of the
    representations as the loss sees them. Under the population norm the latter are 1 where the append rows represent
    the held-out ones; training sees the append rows too, and large values mean that it has shrunk them.
    """

    family = Similarities()

    def histograms(self, embeddings: Embeddings) -> dict[str, Tensor]:
        """Return the similarities of positive and of random pairs."""
        positive, random = pair_similarities(*embeddings.pair())
        return {"similarity/histogram_positive": positive, "similarity/histogram_random": random}

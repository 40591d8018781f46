"""Replace images and captions by the features of frozen pretrained towers, as the paper does."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from intrinsic_clip.data.features.feature_transforms import standardised, with_noise
from intrinsic_clip.data.features.row_cache import Compute, load_or_compute_rows
from intrinsic_clip.data.paired import Examples, PairedData, Pairs, Split
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.encoders.packaged import PackagedTowers, packaged_weights
from intrinsic_clip.encoders.preprocessing import check_images_and_tokens
from intrinsic_clip.encoders.projections import FeatureLayer
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.contents import digest, weights_digest
from intrinsic_clip.typed_values import checked

SPLITS: tuple[Split, ...] = ("train", "append", "test")
PREPROCESSING = 1  # raise it whenever the input of the same model changes

Texts = Tensor | list[str]  # token ids, or captions as they were written
Embed = Callable[[Tensor, Any], tuple[Tensor, Tensor]]


class FrozenFeatures(PairedData):
    """Features of another source's images and captions from two towers, computed once and kept on disk.

    The folder of the features is named by a hash of all that they depend on: pixels, captions, model, weights,
    preprocessing and layer. Subclasses define the towers.

    Args:
        source: a source of images `(n, 3, h, w)`, floats in [0, 1] or uint8, and token ids `(n, length)`.
        standardise: subtract each feature's mean over the training rows and divide by one number per modality, so
            that a feature has unit variance on average.
        noise_y: σ of Gaussian noise on y before that, for captions that repeat; the same noise in every run.
        folder: parent of the features' folders.
        batch_size: rows that the model computes at once.
        device: where the model computes; None: a GPU if there is one.

    Raises:
        ConfigError: from `read`: the source has no images and captions, or the model cannot be loaded.
    """

    model: str

    @checked("data", besides=("source", "device"))
    def __init__(
        self,
        source: PairedData,
        standardise: bool = True,
        noise_y: NonNegativeFloat = 0.0,
        folder: str = "outputs/features",
        batch_size: PositiveInt = 64,
        device: str | None = None,
    ) -> None:
        super().__init__(source.batch_size)
        self.source, self.sizes, self.shared_dim = source, source.sizes, source.shared_dim
        self.standardise, self.noise_y = standardise, noise_y
        self.folder, self.rows_at_once, self.device = Path(folder), batch_size, device

    def _read(self) -> None:
        """Read the source, and compute the features that are not on disk yet."""
        pairs = [self.source.pairs(split) for split in SPLITS]
        self.sizes = self.source.sizes
        with _named_as_given():
            check_images_and_tokens(pairs[0].x, pairs[0].y)
        images, texts = torch.cat([part.x for part in pairs]), self.texts()

        def prepare() -> Compute:
            embed = self.towers(self.rows_at_once, self.device)
            return lambda start, stop: embed(images[start:stop], texts[start:stop])

        key = digest([_fingerprint(images), _fingerprint(texts), *self.key()])
        self._features = load_or_compute_rows(
            self.folder / key, len(images), self.rows_at_once, prepare, f"features of {self.model}"
        )
        self.d_x, self.d_y = (int(part.shape[1]) for part in self._features)

    @abstractmethod
    def texts(self) -> Texts:
        """Return the input of the caption tower for each pair of the source, split by split."""

    @abstractmethod
    def key(self) -> list[Any]:
        """Return all that the features depend on except images and texts, for the folder's hash."""

    @abstractmethod
    def towers(self, batch_size: int, device: str | None) -> Embed:
        """Load the towers and return their function from a batch of images and texts to float32 features on the CPU."""

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the features of the source's splits on the device."""
        bounds = np.cumsum([0, *(self.sizes[split] for split in SPLITS)])
        train = torch.arange(self.sizes["train"])
        x, y = map(torch.from_numpy, self._features)
        y = with_noise(y, self.noise_y, seed=0)
        if self.standardise:
            x, y = (standardised(part, train) for part in (x, y))
        return {
            split: Pairs(
                x[start:stop].to(device),
                y[start:stop].to(device),
                labels={name: v.to(device) for name, v in self.source.pairs(split).labels.items()},
                row_axis=0,
            )
            for split, start, stop in zip(SPLITS, bounds[:-1], bounds[1:], strict=True)
        }

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """Return the captions of the source."""
        return self.source.read_captions(split, rows)

    def examples(self, rows: Tensor) -> Examples | None:
        """Return the pictures and captions of the source."""
        return self.source.examples(rows)


class OpenClipFeatures(FrozenFeatures):
    """`FrozenFeatures` of an open_clip model.

    Args:
        source: see `FrozenFeatures`.
        model, pretrained: see `OpenClip`.
        features: `tower` for features before the projection (ViT-L/14: 1024 and 768), `projected` for those after it
            (768 and 768); neither is normalised.
        options: see `FrozenFeatures`.
    """

    @checked("data", besides=("source",))
    def __init__(
        self,
        source: PairedData,
        model: str,
        pretrained: str | None = None,
        features: FeatureLayer = "tower",
        **options: Any,
    ) -> None:
        self.model, self.pretrained, self.layer = model, pretrained, features
        super().__init__(source, **options)

    def texts(self) -> Tensor:
        """Return token ids of open_clip's tokenizer."""
        return torch.cat([self.source.pairs(split).y for split in SPLITS])

    def key(self) -> list[Any]:
        """Return model, weights, version of the preprocessing, and layer."""
        return [weights_digest(self.model), weights_digest(self.pretrained), PREPROCESSING, self.layer]

    def towers(self, batch_size: int, device: str | None) -> Embed:
        """Load the model."""
        with _named_as_given():
            model = OpenClip(self.model, self.pretrained, batch_size, device, self.layer).load()

        def embed(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
            with _named_as_given():
                return model.features(images, texts)

        return embed


class PackagedFeatures(FrozenFeatures):
    """`FrozenFeatures` of EfficientNet-Lite0 `(n, 1280)` and all-MiniLM-L6-v2 `(n, 384)`, two PyPI packages.

    The shipped features of Open Clip Art come from these towers and from drawings of 224 pixels.

    Args:
        source: see `FrozenFeatures`; the caption tower reads captions as they were written.
        options: see `FrozenFeatures`.
    """

    model = "EfficientNet-Lite0 and all-MiniLM-L6-v2"

    @checked("data", besides=("source",))
    def __init__(self, source: PairedData, **options: Any) -> None:
        super().__init__(source, **options)

    def texts(self) -> list[str]:
        """Return the captions as they were written."""
        return [caption for split in SPLITS for caption in self.source.read_captions(split)]

    def key(self) -> list[Any]:
        """Return digests of the weights and the version of the preprocessing."""
        return [*(weights_digest(str(path)) for path in packaged_weights()), PREPROCESSING]

    def towers(self, batch_size: int, device: str | None) -> Embed:
        """Load both packages' towers."""
        return PackagedTowers(batch_size, device).load().features


@contextmanager
def _named_as_given() -> Iterator[None]:
    """Have errors of the encoder call its settings as they are given here, in the group `features`."""
    try:
        yield
    except ConfigError as error:
        message = re.sub(r"\bencoder(?=: |\.(model|pretrained|features)\b)", "features", str(error))
        raise ConfigError(message) from error


def _fingerprint(rows: Texts) -> list[Any]:
    """Return a JSON value that identifies the content of a tensor, or the captions themselves."""
    if isinstance(rows, list):
        return rows
    return [
        list(rows.shape),
        str(rows.dtype),
        hashlib.sha256(rows.contiguous().numpy().data).hexdigest(),
    ]

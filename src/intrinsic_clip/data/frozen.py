"""Features of a frozen pretrained model in place of images and captions: how the paper trains."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.content import weights_digest
from intrinsic_clip.data.paired import Examples, PairedData, Pairs, Split
from intrinsic_clip.data.rows_on_disk import Compute, computed_once
from intrinsic_clip.encoders.inputs import check_inputs
from intrinsic_clip.encoders.open_clip import OpenClip
from intrinsic_clip.encoders.projections import Features
from intrinsic_clip.results import digest

SPLITS: tuple[Split, ...] = ("train", "append", "test")
PREPROCESSING = 1  # to be raised whenever the same model would be fed otherwise


class FrozenFeatures(PairedData):
    """Another source's images and captions as an open_clip model's features, computed once and kept on disk.

    The folder of the features has the hash of all that they depend on: the pixels and token ids, the model, its
    weights, how pictures are prepared, and which features are meant.

    Args:
        source: of images `(n, 3, h, w)` in [0, 1] and token ids `(n, length)`.
        model, pretrained: as `encoder=open_clip` takes them.
        features: the towers' own (ViT-L/14: 1024 and 768), or projected (768 and 768); neither is normalised.
        standardise: subtract each feature's mean over the training rows and divide by one number per modality, so
            that a feature has unit variance on average.
        folder: where features are kept.
        batch_size: rows that the model computes at once.
        device: where it computes; None: a GPU where there is one.

    Raises:
        ConfigError: the source has no images and captions, or the model cannot be had.
    """

    def __init__(
        self,
        source: PairedData,
        model: str,
        pretrained: str | None = None,
        features: Features = "tower",
        standardise: bool = True,
        folder: str = "outputs/features",
        batch_size: PositiveInt = 64,
        device: str | None = None,
    ) -> None:
        super().__init__(source.batch_size)
        self.source, self.sizes, self.shared_dim = source, source.sizes, source.shared_dim
        self.standardise = standardise
        pairs = [source.pairs(split) for split in SPLITS]
        check_inputs(pairs[0].x, pairs[0].y)
        images, tokens = (torch.cat([getattr(part, side) for part in pairs]) for side in ("x", "y"))

        def begin() -> Compute:
            towers = OpenClip(model, pretrained, batch_size, device, features)
            return lambda start, stop: towers.features(images[start:stop], tokens[start:stop])

        content = [
            _fingerprint(images),
            _fingerprint(tokens),
            weights_digest(model),
            weights_digest(pretrained),
        ]
        key = digest([*content, PREPROCESSING, features])
        rows = len(images)
        self._features = computed_once(Path(folder) / key, rows, batch_size, begin, f"features of {model}")
        self.d_x, self.d_y = (int(part.shape[1]) for part in self._features)

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """The splits of the source, on the device."""
        bounds = np.cumsum([0, *(self.sizes[split] for split in SPLITS)])
        n_train = self.sizes["train"]
        x, y = (
            _standardised(part, n_train) if self.standardise else part
            for part in map(torch.from_numpy, self._features)
        )
        return {
            split: Pairs(
                x[start:stop].to(device),
                y[start:stop].to(device),
                labels={name: v.to(device) for name, v in self.source.pairs(split).labels.items()},
                row_axis=0,
            )
            for split, start, stop in zip(SPLITS, bounds[:-1], bounds[1:], strict=True)
        }

    def examples(self, rows: Tensor) -> Examples | None:
        """What the source shows."""
        return self.source.examples(rows)


def _standardised(rows: Tensor, n_train: int) -> Tensor:
    centred = rows - rows[:n_train].mean(0)
    return centred / centred[:n_train].square().mean().sqrt()


def _fingerprint(rows: Tensor) -> list[Any]:
    """Of the content of a tensor."""
    return [
        list(rows.shape),
        str(rows.dtype),
        hashlib.sha256(rows.contiguous().numpy().data).hexdigest(),
    ]

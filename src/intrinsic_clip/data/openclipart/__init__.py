"""Open Clip Art, the image–text pairs that ship with the package (public domain; see README.md in this folder)."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt
from safetensors import safe_open
from torch import Tensor

from intrinsic_clip.data.features.feature_transforms import standardised
from intrinsic_clip.data.formats.pixels import read_pixels
from intrinsic_clip.data.paired import Examples, PairedData, Pairs, Split
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

FOLDER = Path(__file__).resolve().parent
IMAGE_SHAPE, TOKENS_SHAPE = (3, 64, 64), (77,)
SPLIT_SEED = 0  # the split is part of the data set, so that runs of different seeds differ in weights alone


class OpenClipArt(PairedData):
    """Pairs of drawings and captions: frozen features of pretrained towers, or pixels and token ids.

    Features, by default: x `(n, 1280)` of EfficientNet-Lite0, y `(n, 384)` of all-MiniLM-L6-v2, float32. With
    `images`: x `(n, 3, 64, 64)` in [0, 1], y `(n, 77)` int64 ids of open_clip's tokenizer. Labels: `category` and
    `subcategory`. The shared dimension is not known.

    Args:
        n_train, n_append, n_test: rows to train on, for the population norm, and held out, cut from one shuffled order
            that no seed changes.
        batch_size: pairs per step.
        standardise: subtract each feature's mean over the training rows and divide by one number per modality, so
            that a feature has unit variance on average.
        images: yield pixels and token ids instead of features.

    Raises:
        ConfigError: from `read`: more rows than there are.
    """

    @checked("data")
    def __init__(
        self,
        n_train: PositiveInt = 2048,
        n_append: NonNegativeInt = 156,
        n_test: PositiveInt = 500,
        batch_size: PositiveInt = 256,
        standardise: bool = True,
        images: bool = False,
    ) -> None:
        super().__init__(batch_size)
        self.sizes = {"train": n_train, "append": n_append, "test": n_test}
        self.standardise, self.images = standardise, images
        if images:
            self.d_x, self.d_y = IMAGE_SHAPE, TOKENS_SHAPE

    def _read(self) -> None:
        """Read the features and labels of all pairs."""
        self._features = read_features()
        available, requested = len(self._features["x"]), sum(self.sizes.values())
        if requested > available:
            raise ConfigError(
                f"data.n_train + n_append + n_test = {requested}: must not exceed the set's {available} pairs"
            )
        if not self.images:
            self.d_x, self.d_y = (self._features[side].shape[1] for side in ("x", "y"))

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the splits on the device."""
        features = self._features
        x, y = (features["x"].float(), features["y"].float()) if not self.images else read_images_and_tokens()
        rows = self._rows(len(features["x"]))
        if self.standardise and not self.images:
            x, y = (standardised(c, rows["train"]) for c in (x, y))
        labels = {name: features[name] for name in ("category", "subcategory")}
        return {
            split: Pairs(
                x[chosen].to(device),
                y[chosen].to(device),
                labels={name: values[chosen].to(device) for name, values in labels.items()},
                row_axis=0,
            )
            for split, chosen in rows.items()
        }

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """Return the captions as they were written."""
        return [metadata["caption"] for _, metadata in self._samples(split, rows)]

    def examples(self, rows: Tensor) -> Examples:
        """Return the drawings, even if x are features, and their captions as they were written."""
        return Examples(
            _pixels([image for image, _ in self._samples("test", rows)]), self.read_captions("test", rows)
        )

    def _samples(self, split: Split, rows: Tensor | None) -> list[tuple[bytes, dict[str, Any]]]:
        samples = list(read_samples())
        chosen = self._rows(len(samples))[split]
        return [samples[row] for row in (chosen if rows is None else chosen[rows]).tolist()]

    def _rows(self, available: int) -> dict[Split, Tensor]:
        order = torch.randperm(available, generator=torch.Generator().manual_seed(SPLIT_SEED))
        sizes = list(self.sizes.values())
        return dict(zip(self.sizes, order[: sum(sizes)].split(sizes), strict=True))


def read_features(path: Path = FOLDER / "features.safetensors") -> dict[str, Tensor]:
    """Read features and labels of all pairs in the order of images.tar: x, y float16, category, subcategory int64."""
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def read_samples(path: Path = FOLDER / "images.tar") -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the bytes of the WebP image and the metadata of each pair in the tar, without unpacking it to disk."""
    with tarfile.open(path) as archive:
        image = b""
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            if member.name.endswith(".webp"):
                image = content.read()
            else:
                yield image, json.load(content)


def read_images_and_tokens() -> tuple[Tensor, Tensor]:
    """Read pixels `(n, 3, 64, 64)` float32 in [0, 1] and token ids `(n, 77)` int64 of all pairs."""
    from open_clip import tokenize

    images, samples = zip(*read_samples(), strict=True)
    return _pixels(images), tokenize([sample["caption"] for sample in samples])


def _pixels(images: Iterable[bytes]) -> Tensor:
    """Decode WebP images to pixels `(n, 3, 64, 64)` float32 in [0, 1]."""
    decoded = [read_pixels(io.BytesIO(image), IMAGE_SHAPE[1]).transpose(1, 2, 0) for image in images]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float() / 255

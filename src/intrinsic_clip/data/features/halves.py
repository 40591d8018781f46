"""Pair the left and the right half of pictures in MNIST's format, the protocol of deep CCA."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.formats.idx import read_idx
from intrinsic_clip.data.images.image_captions import require_file, require_folder
from intrinsic_clip.data.splits import linked_digests, row_digests
from intrinsic_clip.errors import ConfigError

GET = "apt-get install dataset-fashion-mnist"
PARTS = ("train", "t10k")
BELOW = ("", "FashionMNIST/raw/", "raw/")  # Debian's folder, or the one that torchvision was given as root


class ImageHalves(FeaturePairs):
    """Pixels of the left half x and of the right half y of grey pictures, from 0 to 1. Label set `class`.

    The published split into 60,000 and 10,000 pictures is not used: all are split by content, as other sources are.

    Args:
        folder: the folder of train-images-idx3-ubyte and its three companions, each of them compressed or not.
        options: see `FeaturePairs`.
    """

    def __init__(self, folder: str, **options: Any) -> None:
        self.folder = Path(folder)
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Read all pictures; those that are equal in a half stay in one split."""
        require_folder(self.folder, f"{PARTS[0]}-images-idx3-ubyte.gz: {GET}")
        images = np.concatenate([self._read_part(part, "images-idx3") for part in PARTS])
        classes = np.concatenate([self._read_part(part, "labels-idx1") for part in PARTS])
        if images.ndim != 3 or classes.shape != images.shape[:1] or images.shape[2] < 2:
            raise ConfigError(
                f"data.folder={self.folder}: pictures of shape {images.shape} and labels of shape {classes.shape}; "
                f"must be one label for each picture of rows and columns; {GET}"
            )
        middle = images.shape[2] // 2
        halves = [
            torch.from_numpy(half.reshape(len(half), -1)) for half in np.split(images, [middle], axis=2)
        ]
        contents = linked_digests(*(row_digests(half) for half in halves))
        x, y = (half.float() / 255 for half in halves)
        return Features(x, y, {"class": torch.from_numpy(classes.astype(np.int64))}, contents)

    def _read_part(self, part: str, kind: str) -> np.ndarray:
        name = f"{part}-{kind}-ubyte"
        names = [f"{below}{name}{suffix}" for below in BELOW for suffix in ("", ".gz")]
        return read_idx(require_file(self.folder, *names))

"""Images with captions, in memory: what every folder of images becomes, whoever published it.

A source says which file has which caption and labels (`ImageCaption`); reading, skipping, splitting are done here.
"""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from tqdm import tqdm

from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.pixels import BadImage, Fit, read_pixels
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.data.skipped_samples import Share, SkippedSamples
from intrinsic_clip.data.splits import check_batch, requested_sizes, split_by_content
from intrinsic_clip.errors import ConfigError

GIB = 2**30


@dataclass(frozen=True)
class ImageCaption:
    """One pair as a source lists it: an image file, its caption, and its class in each label set."""

    image: Path
    caption: str
    labels: dict[str, str] = field(default_factory=dict, hash=False)


class CaptionedImages(PairedData):
    """Pixels x `(n, 3, size, size)` and ids y `(n, 77)` int64 of open_clip's tokenizer; subclasses `list_pairs`.

    Args:
        folder: where the source lies.
        image_size: pixels along a side.
        pixels: `float` yields float32 in [0, 1], `uint8` whole numbers up to 255 in a quarter of the memory.
        captions_per_image: use the first so many captions of an image that has several, each with the image a pair.
        max_bad: the share of samples that may be corrupt, missing or without caption; more stop the run.
        limit_gb: the pixels may take so much memory (GiB).
        n_train, n_append, n_test: rows to train on, for the population norm, and held out; None: all that are left.
            Pairs of the same pixels are on the same side.
        batch_size: pairs per step.
        split_seed: determines the split.

    Raises:
        ConfigError: the source is not there or not as expected, or too little of it can be used or held in memory.
    """

    fit: Fit = "crop"

    def __init__(
        self,
        folder: str,
        image_size: PositiveInt = 64,
        pixels: Literal["float", "uint8"] = "float",
        captions_per_image: PositiveInt = 1,
        max_bad: Share = 0.01,
        limit_gb: PositiveFloat = 8.0,
        n_train: PositiveInt | None = None,
        n_append: NonNegativeInt = 0,
        n_test: PositiveInt | None = 1000,
        batch_size: PositiveInt = 256,
        split_seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__(batch_size)
        self.folder, self.image_size, self.pixels = Path(folder), image_size, pixels
        self.captions_per_image, self.max_bad, self.limit_gb = captions_per_image, max_bad, limit_gb
        self.split_seed = split_seed
        self._requested = requested_sizes(n_train, n_append, n_test)
        self.d_x, self.d_y = (3, image_size, image_size), (77,)

    def _read(self) -> None:
        """List the pairs, read their images, and split them by the images' content."""
        skipped = SkippedSamples(f"data.folder={self.folder}", self.max_bad)
        listed = list(self._with_captions(skipped))
        files = list(dict.fromkeys(pair.image for pair in listed))
        self._check_memory(files, listed)
        self._decoded, reasons = read_images(files, self.image_size, self.fit)
        self._captioned = [pair for pair in listed if pair.image not in reasons]
        for pair in listed:
            if pair.image in reasons:
                skipped.skip(_short(pair.image, self.folder), reasons[pair.image])
        skipped.check()
        skipped.report()
        places = {file: place for place, file in enumerate(files)}
        self._places = torch.tensor([places[pair.image] for pair in self._captioned], dtype=torch.int64)
        digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self._decoded]
        self.rows = split_by_content((digests[p] for p in self._places), self._requested, self.split_seed)
        self.sizes = {split: len(rows) for split, rows in self.rows.items()}
        check_batch(self.batch_size, self.sizes["train"])

    @abstractmethod
    def list_pairs(self) -> Iterator[ImageCaption]:
        """All pairs of the source, those of one image in the order of its captions; files need not exist.

        Raises:
            ConfigError: what was expected where, if it is not there.
        """

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """The splits, on the device."""
        from open_clip import tokenize

        tokens = tokenize([pair.caption for pair in self._captioned])
        labels = {
            name: class_codes([pair.labels.get(name, "") for pair in self._captioned])
            for name in sorted({name for pair in self._captioned for name in pair.labels})
        }
        return {
            split: Pairs(
                self._pixels_of(rows).to(device),
                tokens[rows].to(device),
                labels={name: values[rows].to(device) for name, values in labels.items()},
                row_axis=0,
            )
            for split, rows in self.rows.items()
        }

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """The captions as they were written."""
        self.read()
        chosen = self.rows[split] if rows is None else self.rows[split][rows]
        return [self._captioned[row].caption for row in chosen.tolist()]

    def _pixels_of(self, rows: Tensor) -> Tensor:
        pixels = torch.from_numpy(self._decoded[self._places[rows].numpy()])
        return pixels.float().div_(255) if self.pixels == "float" else pixels

    def _with_captions(self, skipped: SkippedSamples) -> Iterator[ImageCaption]:
        """What is listed, without empty captions and more captions of an image than are asked for."""
        counts: dict[Path, int] = {}
        for pair in self.list_pairs():
            if counts.get(pair.image, 0) >= self.captions_per_image:
                continue
            skipped.seen += 1
            caption = " ".join(pair.caption.split())
            if not caption:
                skipped.skip(_short(pair.image, self.folder), "empty caption")
                continue
            counts[pair.image] = counts.get(pair.image, 0) + 1
            yield ImageCaption(pair.image, caption, pair.labels)

    def _check_memory(self, files: Sequence[Path], pairs: Sequence[ImageCaption]) -> None:
        """Check the memory of the images as they are read, once, and as they are trained on."""
        bytes_of_image = 3 * self.image_size * self.image_size
        need = bytes_of_image * (len(files) + len(pairs) * (4 if self.pixels == "float" else 1)) / GIB
        if need > self.limit_gb:
            raise ConfigError(
                f"data.folder={self.folder}: {len(files):,} images take {need:.1f} GiB, more than data.limit_gb="
                f"{self.limit_gb:g}; data.pixels=uint8 or a smaller data.image_size takes less, data=webdataset streams"
            )


def read_images(files: Sequence[Path], size: int, fit: Fit) -> tuple[np.ndarray, dict[Path, str]]:
    """Return the pixels `(n, 3, size, size)` uint8 of all files, and why some of them cannot be read."""
    pixels = np.zeros((len(files), 3, size, size), np.uint8)
    bad: dict[Path, str] = {}

    def read(place: int) -> str | None:
        try:
            pixels[place] = read_pixels(files[place], size, fit)
        except BadImage as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = tqdm(
            pool.map(read, range(len(files))),
            "reading images",
            len(files),
            delay=2,
            leave=False,
            disable=None,
        )
        for place, reason in enumerate(bar):
            if reason is not None:
                bad[files[place]] = reason
    return pixels, bad


def require_folder(folder: Path, expected: str) -> None:
    """Raise ConfigError where there is no such folder; `expected` says what should be in it."""
    if not folder.is_dir():
        raise ConfigError(f"data.folder={folder}: there is no such folder; expected {expected}")


def require_file(folder: Path, *names: str) -> Path:
    """The first of these files that is in the folder; raises ConfigError where none is."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"data.folder={folder}: holds no {' or '.join(names)}, which was expected there")


def _short(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

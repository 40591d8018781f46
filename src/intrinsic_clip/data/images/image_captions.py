"""Base class of the sources that read images with captions into memory.

A subclass lists files with their captions and labels (`ImageCaption`); reading, skipping and splitting are done here.
"""

import hashlib
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from tqdm.auto import tqdm

from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.pixels import BadImage, Fit, read_pixels
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.data.skipped_samples import Share, SkippedSamples
from intrinsic_clip.data.splits import check_batch, requested_sizes, split_by_content
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular
from intrinsic_clip.typed_values import checked

GIB = 2**30


@dataclass(frozen=True)
class ImageCaption:
    """A pair as a source lists it: image file, caption, and class in each label set."""

    image: Path
    caption: str
    labels: dict[str, str] = field(default_factory=dict, hash=False)


class CaptionedImages(PairedData):
    """Pixels x `(n, 3, size, size)` and token ids y `(n, 77)` int64 of open_clip's tokenizer.

    Subclasses implement `list_pairs`.

    Args:
        folder: folder of the images.
        image_size: pixels along a side.
        pixels: `float` yields float32 in [0, 1], `uint8` whole numbers up to 255 in a quarter of the memory.
        captions_per_image: number of captions to use of an image that has several; each makes a pair.
        max_bad: the share of samples that may be corrupt, missing or without caption; more stop the run.
        limit_gb: memory that the pixels may take (GiB).
        n_train, n_append, n_test: rows to train on, for the population norm, and held out; None: all remaining rows.
            Pairs of equal pixels are in the same split.
        batch_size: pairs per step.
        split_seed: determines the split.

    Raises:
        ConfigError: more than one size is None; `read` raises it for a source that is missing or not as expected, with
            too few usable pairs, or too large for the memory.
    """

    fit: Fit = "crop"

    @checked("data")
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
                skipped.skip(_name_in(self.folder, pair.image), reasons[pair.image])
        skipped.check()
        skipped.report()
        self._label_sets()
        places = {file: place for place, file in enumerate(files)}
        self._places = torch.tensor([places[pair.image] for pair in self._captioned], dtype=torch.int64)
        digests = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self._decoded]
        self.rows = split_by_content((digests[p] for p in self._places), self._requested, self.split_seed)
        self.sizes = {split: len(rows) for split, rows in self.rows.items()}
        check_batch(self.batch_size, self.sizes["train"])

    @abstractmethod
    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield all pairs of the source, those of an image in the order of its captions; image files need not exist.

        Raises:
            ConfigError: a folder or table is missing or not as expected.
        """

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the splits on the device."""
        from open_clip import tokenize

        tokens = tokenize([pair.caption for pair in self._captioned])
        labels = {
            name: class_codes([pair.labels[name] for pair in self._captioned]) for name in self._label_sets()
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
        """Return the captions as they were written."""
        self.read()
        chosen = self.rows[split] if rows is None else self.rows[split][rows]
        return [self._captioned[row].caption for row in chosen.tolist()]

    def _label_sets(self) -> list[str]:
        """Return the names of the label sets.

        Raises:
            ConfigError: a pair lacks a class of one of them.
        """
        counts = Counter(name for pair in self._captioned for name in pair.labels)
        for name, count in counts.items():
            if count < len(self._captioned):
                lacking, pairs = len(self._captioned) - count, len(self._captioned)
                raise ConfigError(
                    f"data.folder={self.folder}: {lacking:,} of {pairs:,} pairs lack a class of the label set {name!r}"
                )
        return sorted(counts)

    def _pixels_of(self, rows: Tensor) -> Tensor:
        pixels = torch.from_numpy(self._decoded[self._places[rows].numpy()])
        return pixels.float().div_(255) if self.pixels == "float" else pixels

    def _with_captions(self, skipped: SkippedSamples) -> Iterator[ImageCaption]:
        """List the pairs without empty and surplus captions of an image, and say how many of the latter there are."""
        counts: dict[Path, int] = {}
        surplus: Counter[Path] = Counter()
        for pair in self.list_pairs():
            if counts.get(pair.image, 0) >= self.captions_per_image:
                surplus[pair.image] += bool(pair.caption.strip())
                continue
            skipped.seen += 1
            caption = " ".join(pair.caption.split())
            if not caption:
                skipped.skip(_name_in(self.folder, pair.image), "empty caption")
                continue
            counts[pair.image] = counts.get(pair.image, 0) + 1
            yield ImageCaption(pair.image, caption, pair.labels)
        self._report_surplus(counts, surplus)

    def _report_surplus(self, counts: Mapping[Path, int], surplus: Counter[Path]) -> None:
        """Say how many captions are left out, if any are, and which setting takes them."""
        if not surplus.total():
            return
        used, most = sum(counts.values()), max(counts[image] + left for image, left in surplus.items())
        note = (
            f"{used:,} of {used + surplus.total():,} captions are used, at most {self.captions_per_image} per image; "
            f"data.captions_per_image={most} takes all"
        )
        print_decisions(f"data.folder={self.folder}", [note])

    def _check_memory(self, files: Sequence[Path], pairs: Sequence[ImageCaption]) -> None:
        """Check that the images fit into `limit_gb`, as they are read and, besides, as they are trained on."""
        bytes_of_image = 3 * self.image_size * self.image_size
        need = bytes_of_image * (len(files) + len(pairs) * (4 if self.pixels == "float" else 1)) / GIB
        if need > self.limit_gb:
            raise ConfigError(
                f"data.folder={self.folder}: {len(files):,} images take {need:.1f} GiB, more than data.limit_gb="
                f"{self.limit_gb:g}; data.pixels=uint8 or a smaller data.image_size takes less, data=webdataset streams"
            )


def read_images(files: Sequence[Path], size: int, fit: Fit) -> tuple[np.ndarray, dict[Path, str]]:
    """Return the pixels `(n, 3, size, size)` uint8 of all files, and the reason for each that cannot be read."""
    pixels = np.zeros((len(files), 3, size, size), np.uint8)
    reasons: dict[Path, str] = {}

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
                reasons[files[place]] = reason
    return pixels, reasons


def require_folder(folder: Path, expected: str) -> None:
    """Check that a folder exists; raise ConfigError that names its `expected` content."""
    if not folder.is_dir():
        raise ConfigError(f"data.folder={folder}: there is no such folder; expected {expected}")


def require_file(folder: Path, *names: str) -> Path:
    """Return the path of the first of these files in the folder; raise ConfigError if it holds none of them."""
    for name in names:
        try:
            require_regular(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(f"data.folder={folder}: {name} {error.strerror}") from error
        return folder / name
    raise ConfigError(f"data.folder={folder}: holds no {' or '.join(names)}, which was expected there")


def _name_in(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

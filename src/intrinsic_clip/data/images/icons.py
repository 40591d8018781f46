"""Read the icons of Iconify's collections, an npm package, with their names as captions."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import PositiveInt
from tqdm.auto import tqdm

from intrinsic_clip.data.formats.pixels import SVG_HINT, BadImage, read_drawing, renders_svg
from intrinsic_clip.data.formats.tables import read_json
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.data.splits import check_batch, linked_digests, split_by_content
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

INSTALL = "npm install @iconify/json"
LICENCES = ("Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense")
# First words, as in Google's collection, and last words that say how a thing is drawn, not which thing it is.
STYLE = re.compile(
    r"^(baseline|outline|round|sharp|twotone)[-_]|[-_](outlined?|fill(ed)?|bold|light|thin|regular|medium|solid|duotone|duo|two-?tone|tone|sharp|round(ed)?|"
    r"line(ar)?|broken|flat|alt|baseline|skin|dark|negative|background|(8|10|12|16|20|24|28|32|48)(px)?)$"
)


@dataclass(frozen=True)
class Icon:
    """An icon as its collection lists it: its drawing, and the name without style and size."""

    collection: str
    name: str
    base: str
    drawing: str


class Icons(CaptionedImages):
    """Icons, drawn in black where they have no colour of their own, and their names; label set `collection`.

    Icons of one base name, the name without words of style and size, stay in one split, as do equal drawings.

    Args:
        collections: names of collections, such as mdi; None: all with one of the licences.
        licences: SPDX names of the licences of the collections that are read.
        per_name: number of icons of a base name, drawn at random; None: all, many of which are nearly the same.
        options: see `CaptionedImages`; `folder` is the package's.
    """

    fit = "pad"

    @checked("data")
    def __init__(
        self,
        collections: list[str] | None = None,
        licences: Sequence[str] = LICENCES,
        per_name: PositiveInt | None = 1,
        **options: Any,
    ) -> None:
        self.collections, self.licences, self.per_name = collections, tuple(licences), per_name
        super().__init__(**options)

    def _read(self) -> None:
        """List the icons, split them by base name, and draw those of the splits."""
        require_folder(self.folder, f"the package @iconify/json: {INSTALL}")
        if not renders_svg():
            raise ConfigError(f"data=icons: {SVG_HINT}")
        listed = list(self.list_icons())
        self._captions, icons = _captions(listed), self._chosen(listed)
        contents = linked_digests([icon.base for icon in icons], [icon.drawing for icon in icons])
        splits = split_by_content(contents, self._requested, self.split_seed)
        kept = torch.cat(list(splits.values())).sort().values.tolist()
        self._captioned = [self._pair(icons[row]) for row in kept]
        reasons = self._draw([icons[row].drawing for row in kept])
        self._places = torch.arange(len(kept))
        places = {row: place for place, row in enumerate(kept)}
        self.rows = {
            split: torch.tensor(
                [place for row in rows.tolist() if (place := places[row]) not in reasons], dtype=torch.int64
            )
            for split, rows in splits.items()
        }
        self.sizes = {split: len(rows) for split, rows in self.rows.items()}
        check_batch(self.batch_size, self.sizes["train"])

    def _draw(self, drawings: Sequence[str]) -> dict[int, str]:
        """Draw the icons that are listed, and return the reason for each that shows nothing."""
        self._check_memory([pair.image for pair in self._captioned], self._captioned)
        self._decoded, reasons = draw(drawings, self.image_size)
        skipped = SkippedSamples(f"data.folder={self.folder}", self.max_bad)
        skipped.seen = len(drawings)
        for place, reason in reasons.items():
            skipped.skip(str(self._captioned[place].image), reason)
        skipped.check()
        skipped.report()
        return reasons

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield all icons of the collections with their captions; the paths are names, not files."""
        icons = list(self.list_icons())
        self._captions = _captions(icons)
        for icon in icons:
            yield self._pair(icon)

    def list_icons(self) -> Iterator[Icon]:
        """Yield the icons of the collections that are read, without hidden ones and other names of an icon."""
        require_folder(self.folder, f"the package @iconify/json: {INSTALL}")
        listed = False
        for path in self._files():
            try:
                collection = read_json(path)
                if collection["info"]["license"].get("spdx") not in self.licences:
                    if self.collections is not None:
                        licence = collection["info"]["license"].get("spdx")
                        raise ConfigError(
                            f"data.collections={path.stem}: its licence, {licence}, is none of data.licences"
                        )
                    continue
                for name, icon in collection["icons"].items():
                    if not icon.get("hidden"):
                        yield Icon(path.stem, name, base_name(name), drawing(icon, collection))
                        listed = True
            except (LookupError, TypeError, AttributeError) as error:
                raise ConfigError(
                    f"{path}: is no collection of icons ({type(error).__name__}: {error}); {INSTALL}"
                ) from error
        if not listed:
            raise ConfigError(f"data.folder={self.folder}: holds no icons under {', '.join(self.licences)}")

    def _files(self) -> list[Path]:
        """Return the files of the collections."""
        files = {path.stem: path for path in sorted((self.folder / "json").glob("*.json"))}
        if not files:
            raise ConfigError(f"data.folder={self.folder}: holds no json/<collection>.json; {INSTALL}")
        unknown = [name for name in self.collections or [] if name not in files]
        if unknown:
            raise ConfigError(f"data.collections={unknown[0]}: {self.folder} has {', '.join(files)}")
        return [files[name] for name in self.collections or files]

    def _chosen(self, icons: list[Icon]) -> list[Icon]:
        """Return `per_name` icons of each base name, in an order that the package's does not determine."""
        order = sorted(icons, key=lambda icon: _order(f"{self.split_seed} {icon.collection}:{icon.name}"))
        counts: Counter[str] = Counter()
        chosen = []
        for icon in order:
            counts[icon.base] += 1
            if self.per_name is None or counts[icon.base] <= self.per_name:
                chosen.append(icon)
        return chosen

    def _pair(self, icon: Icon) -> ImageCaption:
        caption = self._captions[icon.collection, icon.name]
        return ImageCaption(Path(icon.collection, icon.name), caption, {"collection": icon.collection})


def base_name(name: str) -> str:
    """Return the name of an icon without the words at its ends that say how it is drawn."""
    base = name
    while (shorter := STYLE.sub("", base)) != base:
        base = shorter
    return base


def drawing(icon: Mapping[str, Any], collection: Mapping[str, Any]) -> str:
    """Return the SVG text of an icon, in black where it takes the colour of the text around it."""
    left, top = (icon.get(key, collection.get(key, 0)) for key in ("left", "top"))
    width, height = (icon.get(key, collection.get(key, 16)) for key in ("width", "height"))
    body = icon["body"].replace("currentColor", "#000000")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}">{body}</svg>'
    )


def draw(drawings: Sequence[str], size: int) -> tuple[np.ndarray, dict[int, str]]:
    """Return the pixels `(n, 3, size, size)` uint8 of drawings, and the reason for each that shows nothing."""
    pixels = np.zeros((len(drawings), 3, size, size), np.uint8)

    def read(place: int) -> str | None:
        try:
            pixels[place] = read_drawing(drawings[place], size)
        except BadImage as error:
            return str(error)
        return "drawing of one colour" if (pixels[place] == pixels[place, :, :1, :1]).all() else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        places = range(len(drawings))
        bar = tqdm(pool.map(read, places), "drawing icons", len(drawings), delay=2, leave=False, disable=None)
        return pixels, {place: reason for place, reason in enumerate(bar) if reason is not None}


def _captions(icons: Sequence[Icon]) -> dict[tuple[str, str], str]:
    """Return the caption of each icon: the words of its base name, or of its whole name where no other shares that.

    A traffic light is no light version of anything if its collection has no other `traffic`.
    """
    counts = Counter((icon.collection, icon.base) for icon in icons)
    return {
        (icon.collection, icon.name): re.sub(
            r"[-_]+", " ", icon.base if counts[icon.collection, icon.base] > 1 else icon.name
        )
        for icon in icons
    }


def _order(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()

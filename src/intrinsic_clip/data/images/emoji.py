"""Read emoji and their names from two npm packages, joined by code point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from intrinsic_clip.data.formats.tables import read_json
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

IMAGES, NAMES = "emoji-datasource-google", "emojibase-data"
INSTALL = f"npm install {IMAGES} {NAMES}"


class Emoji(CaptionedImages):
    """Google's pictures of emoji with name and tags in one of 28 languages; label sets `group` and `subgroup`.

    `folder` is node_modules, which holds both packages.

    Args:
        language: language of the captions, a folder of emojibase-data: en, de, zh, …
        tags: number of tags after the name; 0: the name alone.
        options: see `CaptionedImages`.
    """

    fit = "pad"

    @checked("data")
    def __init__(self, language: str = "en", tags: NonNegativeInt = 3, **options: Any) -> None:
        self.language, self.tags = language, tags
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield all emoji that both packages hold, without the variants in other skin tones."""
        require_folder(self.folder, f"node_modules with {IMAGES} and {NAMES}: {INSTALL}")
        for package in (IMAGES, NAMES):
            if not (self.folder / package).is_dir():
                raise ConfigError(
                    f"data.folder={self.folder}: holds no {package}, which was expected: {INSTALL}"
                )
        try:
            yield from self._joined()
        except (LookupError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"data.folder={self.folder}: its {IMAGES} or {NAMES} is not as expected "
                f"({type(error).__name__}: {error}); {INSTALL}"
            ) from error

    def _joined(self) -> Iterator[ImageCaption]:
        entries = {_without_variation(entry["hexcode"]): entry for entry in self._read_names()}
        levels = read_json(self.folder / NAMES / "meta" / "groups.json")
        for emoji in read_json(self.folder / IMAGES / "emoji.json"):
            entry = entries.get(_without_variation(emoji["unified"]))
            if entry is not None and "group" in entry:
                texts = [entry["label"], *entry.get("tags", [])[: self.tags]]
                labels = {
                    "group": levels["groups"][str(entry["group"])],
                    "subgroup": levels["subgroups"][str(entry["subgroup"])],
                }
                yield ImageCaption(
                    self._picture_folder() / emoji["image"], ", ".join(dict.fromkeys(texts)), labels
                )

    def _read_names(self) -> Any:
        path = self.folder / NAMES / self.language / "data.json"
        if not path.is_file():
            offered = ", ".join(sorted(file.parent.name for file in path.parents[1].glob("*/data.json")))
            raise ConfigError(f"data.language={self.language}: {NAMES} has {offered or 'none'}")
        return read_json(path)

    def _picture_folder(self) -> Path:
        return self.folder / IMAGES / "img" / "google" / "64"


def _without_variation(code_points: str) -> str:
    """Return code points without the variation selector, which the two packages write differently."""
    return "-".join(part for part in code_points.upper().split("-") if part != "FE0F")

"""Emoji and their names, from two npm packages that are joined by code point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from intrinsic_clip.data.formats.tables import read_json
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError

IMAGES, NAMES = "emoji-datasource-google", "emojibase-data"
INSTALL = f"npm install {IMAGES} {NAMES}"


class Emoji(CaptionedImages):
    """Google's pictures of emoji with name and tags in one of 28 languages; label sets `group` and `subgroup`.

    `folder` is node_modules, in which both packages lie.

    Args:
        language: of the captions, a folder of emojibase-data: en, de, zh, …
        tags: how many tags follow the name; 0: the name alone.
    """

    fit = "pad"

    def __init__(self, language: str = "en", tags: NonNegativeInt = 3, **options: Any) -> None:
        self.language, self.tags = language, tags
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """All emoji that both packages hold, without the variants in other skin tones."""
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
        names = {_plain(known["hexcode"]): known for known in self._names()}
        levels = read_json(self.folder / NAMES / "meta" / "groups.json")
        for emoji in read_json(self.folder / IMAGES / "emoji.json"):
            known = names.get(_plain(emoji["unified"]))
            if known is not None and "group" in known:
                texts = [known["label"], *known.get("tags", [])[: self.tags]]
                labels = {
                    "group": levels["groups"][str(known["group"])],
                    "subgroup": levels["subgroups"][str(known["subgroup"])],
                }
                yield ImageCaption(
                    self._picture_folder() / emoji["image"], ", ".join(dict.fromkeys(texts)), labels
                )

    def _names(self) -> Any:
        path = self.folder / NAMES / self.language / "data.json"
        if not path.is_file():
            offered = ", ".join(sorted(found.parent.name for found in path.parents[1].glob("*/data.json")))
            raise ConfigError(f"data.language={self.language}: {NAMES} has {offered or 'none'}")
        return read_json(path)

    def _picture_folder(self) -> Path:
        return self.folder / IMAGES / "img" / "google" / "64"


def _plain(code_points: str) -> str:
    """Without the variation selector, which the packages do not write alike."""
    return "-".join(part for part in code_points.upper().split("-") if part != "FE0F")

"""Tux Paint's stamps: pictures for children with a sentence each, in up to 77 languages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intrinsic_clip.data.formats.pixels import SVG_HINT, renders_svg
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError


class TuxPaint(CaptionedImages):
    """Stamps with their texts; label sets `category` and `subcategory`, the folders they lie in.

    Args:
        language: of the captions: en, or de, pt_BR, ca@valencia, … A stamp without a text in it is left out.
        svg: use the stamps that are drawings only, too, a sixth of all, which need a package to be rendered.
    """

    fit = "pad"

    def __init__(self, language: str = "en", svg: bool = False, **options: Any) -> None:
        self.language, self.svg = language, svg
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Every stamp that has a text in the language, in the order of the paths."""
        if self.svg and not renders_svg():
            raise ConfigError(f"data.svg=true: {SVG_HINT}; data.svg=false leaves drawings out")
        require_folder(
            self.folder, "stamps in folders, with .txt files: apt-get install tuxpaint-stamps-default"
        )
        files = sorted(self.folder.rglob("*.txt"))
        offered: set[str] = set()
        listed = 0
        for file in files:
            texts = _texts(file)
            offered |= texts.keys()
            image = self._image(file)
            if image is not None and self.language in texts:
                listed += 1
                yield ImageCaption(image, texts[self.language], _levels(file.relative_to(self.folder)))
        if not listed:
            found = (
                f"it has {', '.join(sorted(offered))}" if offered else "it holds no stamps with .txt files"
            )
            raise ConfigError(
                f"data.language={self.language}: no stamp of data.folder={self.folder} has it; {found}"
            )

    def _image(self, text: Path) -> Path | None:
        """The picture beside a text; None for a drawing that is not asked for."""
        for suffix in (".png", ".svg") if self.svg else (".png",):
            if text.with_suffix(suffix).is_file():
                return text.with_suffix(suffix)
        return None if text.with_suffix(".svg").is_file() else text.with_suffix(".png")


def _texts(file: Path) -> dict[str, str]:
    """By language: English in the first line, then lines of `de.utf8=…`."""
    first, *others = file.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    texts = {"en": first.strip()}
    for line in others:
        name, separator, text = line.partition("=")
        if separator and text.strip():
            texts[name.strip().removesuffix(".utf8")] = text.strip()
    return texts


def _levels(path: Path) -> dict[str, str]:
    folders = path.parts[:-1]
    return {"category": "/".join(folders[:1]), "subcategory": "/".join(folders[:2])}

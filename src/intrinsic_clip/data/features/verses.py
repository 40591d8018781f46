"""Read the verses of two versions of the Bible from a library of the SWORD project."""

from pathlib import Path
from typing import Any

from intrinsic_clip.data.features.text_pairs import TextPairs, TextRows
from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.sword import read_verses
from intrinsic_clip.data.images.image_captions import require_folder
from intrinsic_clip.data.splits import linked_digests
from intrinsic_clip.errors import ConfigError

GET = "apt-get install sword-text-kjv sword-text-web sword-text-sparv"


class Verses(TextPairs):
    """Verses x and y of two versions of the Bible: what they share is their meaning. Label set `book`.

    Args:
        folder: a library of SWORD, which holds mods.d and modules.
        x, y: names or abbreviations of two modules.
        options: see `TextPairs`.

    Raises:
        ConfigError: x and y are the same module; `read` raises it for modules that are missing or damaged.
    """

    def __init__(self, folder: str, x: str = "KJV", y: str = "WEB", **options: Any) -> None:
        if x == y:
            raise ConfigError(f"data.y={y}: must be another version than data.x")
        self.folder, self.versions = Path(folder), (x, y)
        super().__init__(**options)

    def list_rows(self) -> TextRows:
        """Read the verses that both versions have; chapters stay in one split, with those that repeat their verses."""
        require_folder(self.folder, f"mods.d and modules of SWORD: {GET}")
        try:
            x, y = (read_verses(self.folder, name) for name in self.versions)
        except ConfigError as error:
            raise ConfigError(f"data.folder={error}; {GET}") from error
        both = [verse for verse in x if verse in y]
        if not both:
            raise ConfigError(
                f"data.folder={self.folder}: {' and '.join(self.versions)} have no verse in common"
            )
        texts, others = [x[verse] for verse in both], [y[verse] for verse in both]
        chapters = [chapter for chapter, _ in both]
        books = [chapter.rpartition(".")[0] for chapter in chapters]
        contents = linked_digests(chapters, texts, others)
        return TextRows(texts, others, contents, {"book": class_codes(books)})

"""Read a subset of YFCC100M, or any table of captions beside a folder of images."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from intrinsic_clip.data.formats.class_labels import require_classes
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.tables import read_table, require_columns, require_setting_file
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # characters of a caption in a note


class Yfcc(CaptionedImages):
    """Images with captions from a table.

    Args:
        table: path of a .parquet, .csv or .tsv file.
        image: column of file names, with or without extension.
        captions: columns that are joined to the caption; YFCC's are url-encoded, `red+bridge%2C+2009`. None: title.
        labels: columns that are label sets.
        extension: extension of file names without one.
        url_encoded: decode the captions.
        options: see `CaptionedImages`.
    """

    def __init__(
        self,
        table: str,
        image: str = "photoid",
        captions: list[str] | None = None,
        labels: list[str] | None = None,
        extension: str = ".jpg",
        url_encoded: bool = True,
        **options: Any,
    ) -> None:
        self.table, self.image, self.captions = Path(table), image, list(captions or ["title"])
        self.labels, self.extension, self.url_encoded = list(labels or []), extension, url_encoded
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield the rows of the table."""
        require_folder(self.folder, f"the images, <{self.image}>{self.extension}")
        require_setting_file("table", self.table)
        table = read_table(self.table)
        require_columns(self.table, table, self.image, *self.captions, *self.labels)
        for column in self.labels:
            require_classes(table[column].tolist(), f"{self.table}: column {column!r} ")
        self._note_plain_texts(table)
        for row in table.to_dict("records"):
            texts = [unquote_plus(row[name]) if self.url_encoded else row[name] for name in self.captions]
            file = self.folder / row[self.image]
            yield ImageCaption(
                file if file.suffix else file.with_name(file.name + self.extension),
                ". ".join(text.strip() for text in texts if text.strip()),
                {name: row[name] for name in self.labels},
            )

    def _note_plain_texts(self, table: "pd.DataFrame") -> None:
        """Say where decoding changes captions that hold spaces, which url-encoded ones do not."""
        texts = [text for name in self.captions for text in table[name]] if self.url_encoded else []
        changed = [text for text in texts if " " in text.strip() and unquote_plus(text) != text]
        if changed:
            text, decoded = changed[0], unquote_plus(changed[0])
            pairs = enumerate(zip(text, decoded, strict=False))
            start = max(0, next((i for i, (a, b) in pairs if a != b), len(decoded)) - SHOWN // 2)
            shown = slice(start, start + SHOWN)  # where it changes
            note = (
                f"{len(changed):,} of {len(texts):,} texts hold spaces, so they are hardly url-encoded, and are "
                f"decoded, {text[shown]!r} to {decoded[shown]!r}; data.url_encoded=false takes them as they are"
            )
            print_decisions(f"data.table={self.table}", [note])

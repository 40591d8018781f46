"""Read Flickr30k with captions in any of three forms: the original token file, Kaggle's csv, Karpathy's JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intrinsic_clip.data.formats.tables import (
    caption_text,
    read_json,
    read_table,
    require_columns,
    require_setting_file,
)
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError

FORMS = (".token", ".csv", ".json")
AS_PUBLISHED = {
    "quotes": False,
    "fill_short": True,
}  # quotes are part of the captions, and a line lacks its last field


class Flickr30k(CaptionedImages):
    """Images with five captions each.

    Args:
        captions: results_20130124.token, results.csv or dataset_flickr30k.json.
        options: see `CaptionedImages`.

    Raises:
        ConfigError: a captions file of another kind.
    """

    def __init__(self, captions: str, **options: Any) -> None:
        self.captions = Path(captions)
        if self.captions.suffix.lower() not in FORMS:
            raise ConfigError(f"data.captions={captions}: must be a {', '.join(FORMS)} file")
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield every caption, in the order of the file."""
        require_folder(self.folder, "the images, 1000092795.jpg, …")
        require_setting_file("captions", self.captions)
        readers = dict(zip(FORMS, (self._token, self._csv, self._json), strict=True))
        for image, caption in readers[self.captions.suffix.lower()]():
            yield ImageCaption(self.folder / image, caption)

    def _token(self) -> Iterator[tuple[str, str]]:
        """Read lines of `1000092795.jpg#0`, tab, caption."""
        table = read_table(self.captions, "\t", names=["image", "caption"], **AS_PUBLISHED)
        for image, caption in table.itertuples(index=False):
            yield image.partition("#")[0], caption

    def _csv(self) -> Iterator[tuple[str, str]]:
        """Read columns image_name, comment_number, comment, separated by `| ` or a comma."""
        table = read_table(self.captions, "|", **AS_PUBLISHED)
        if len(table.columns) == 1:
            table = read_table(self.captions)
        require_columns(self.captions, table, "image_name", "comment")
        for image, caption in zip(table["image_name"], table["comment"], strict=True):
            yield image.strip(), caption

    def _json(self) -> Iterator[tuple[str, str]]:
        """Read `{"images": [{"filename": …, "sentences": [{"raw": …}, …]}, …]}`."""
        content = read_json(self.captions)
        try:
            listed = [
                (i["filename"], caption_text(s["raw"])) for i in content["images"] for s in i["sentences"]
            ]
        except (LookupError, TypeError) as error:
            raise ConfigError(
                f"data.captions={self.captions}: not dataset_flickr30k.json, whose images have filename and "
                f"sentences with raw ({type(error).__name__}: {error})"
            ) from error
        yield from listed

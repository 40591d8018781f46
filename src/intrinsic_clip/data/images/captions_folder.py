"""Read any folder of images with captions.csv."""

from collections.abc import Iterator

from intrinsic_clip.data.formats.class_labels import require_classes
from intrinsic_clip.data.formats.tables import read_table, require_columns
from intrinsic_clip.data.images.image_captions import (
    CaptionedImages,
    ImageCaption,
    require_file,
    require_folder,
)

CAPTIONS = "captions.csv"


class CaptionsFolder(CaptionedImages):
    """A folder of images with captions.csv: columns `image`, a path in the folder, `caption`, and label sets.

    A column `label` or `label_<set>` is a label set. An image with several captions has several rows.
    """

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield the rows of captions.csv."""
        require_folder(self.folder, f"images and {CAPTIONS} with columns image, caption")
        path = require_file(self.folder, CAPTIONS)
        table = read_table(path)
        sets = {str(c): str(c).removeprefix("label_") for c in table.columns if str(c).startswith("label")}
        require_columns(path, table, "image", "caption", *sets)
        for column in sets:
            require_classes(table[column].tolist(), f"{path}: column {column!r} ")
        for row in table.to_dict("records"):
            labels = {name: row[column] for column, name in sets.items()}
            yield ImageCaption(self.folder / row["image"], row["caption"], labels)

"""COCO Captions as its owners publish it and torchvision's CocoCaptions reads it: images and one JSON of captions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from intrinsic_clip.data.formats.tables import read_json
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError


class CocoCaptions(CaptionedImages):
    """Images with the captions that five people each wrote for them.

    Args:
        annotations: the JSON file of captions, `annotations/captions_train2017.json`.
    """

    def __init__(self, annotations: str, **options: Any) -> None:
        self.annotations = Path(annotations)
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Every annotation, image by image in the order of their numbers."""
        require_folder(self.folder, "the images, 000000000009.jpg, …")
        content = read_json(self.annotations)
        try:
            files = {image["id"]: self.folder / image["file_name"] for image in content["images"]}
            captions = [(note["image_id"], str(note["caption"])) for note in content["annotations"]]
            listed = [(files[image], caption) for image, caption in sorted(captions, key=lambda c: c[0])]
        except (LookupError, TypeError) as error:
            raise ConfigError(
                f"data.annotations={self.annotations}: no COCO captions, which have images with id and file_name "
                f"and annotations with image_id and caption ({type(error).__name__}: {error})"
            ) from error
        for file, caption in listed:
            yield ImageCaption(file, caption)

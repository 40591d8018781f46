"""Read COCO Captions as published: a folder of images and one JSON file of captions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from intrinsic_clip.data.formats.tables import caption_text, read_json, require_setting_file
from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError


class CocoCaptions(CaptionedImages):
    """Images with five captions each, in the layout that torchvision's CocoCaptions reads.

    Args:
        annotations: the JSON file of captions, `annotations/captions_train2017.json`.
        options: see `CaptionedImages`.
    """

    def __init__(self, annotations: str, **options: Any) -> None:
        self.annotations = Path(annotations)
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """Yield every annotation, in the order of the image numbers."""
        require_folder(self.folder, "the images, 000000000009.jpg, …")
        require_setting_file("annotations", self.annotations)
        content = read_json(self.annotations)
        try:
            files = {image["id"]: self.folder / image["file_name"] for image in content["images"]}
            self._check_numbers(content["images"])
            captions = [(note["image_id"], caption_text(note["caption"])) for note in content["annotations"]]
            listed = [(files[image], caption) for image, caption in sorted(captions, key=lambda c: c[0])]
        except (LookupError, TypeError) as error:
            raise ConfigError(
                f"data.annotations={self.annotations}: no COCO captions, which have images with id and file_name "
                f"and annotations with image_id and caption ({type(error).__name__}: {error})"
            ) from error
        for file, caption in listed:
            yield ImageCaption(file, caption)

    def _check_numbers(self, images: Sequence[Mapping[str, Any]]) -> None:
        """Require a number of its own for each image, since captions name their image by it."""
        names = {image["id"]: image["file_name"] for image in images}
        other = next((image for image in images if image["file_name"] != names[image["id"]]), None)
        if other is not None:
            raise ConfigError(
                f"data.annotations={self.annotations}: id {other['id']!r} is that of {other['file_name']} and of "
                f"{names[other['id']]}; each image must have one of its own"
            )

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
            files = self._files(content["images"])
            captions = [(note["image_id"], caption_text(note["caption"])) for note in content["annotations"]]
            listed = [(files[image], caption) for image, caption in sorted(captions, key=lambda c: c[0])]
        except (LookupError, TypeError) as error:
            raise ConfigError(
                f"data.annotations={self.annotations}: no COCO captions, which have images with id and file_name "
                f"and annotations with image_id and caption ({type(error).__name__}: {error})"
            ) from error
        for file, caption in listed:
            yield ImageCaption(file, caption)

    def _files(self, images: Sequence[Mapping[str, Any]]) -> dict[Any, Path]:
        """Return the file of each image's number, which must be its own, since captions name their image by it."""
        names: dict[Any, str] = {}
        for image in images:
            name = names.setdefault(image["id"], image["file_name"])
            if name != image["file_name"]:
                raise ConfigError(
                    f"data.annotations={self.annotations}: id {image['id']!r} is that of {name} and of "
                    f"{image['file_name']}; each image must have one of its own"
                )
        return {number: self.folder / name for number, name in names.items()}

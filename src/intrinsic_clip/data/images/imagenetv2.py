"""ImageNetV2 as its authors publish it: a folder per class, named by the class's number."""

from collections.abc import Iterator
from typing import Any

from intrinsic_clip.data.images.image_captions import CaptionedImages, ImageCaption, require_folder
from intrinsic_clip.errors import ConfigError

CLASSES = 1000
SUFFIXES = {".jpeg", ".jpg", ".png"}


class ImageNetV2(CaptionedImages):
    """Images with a prompt of their class's name, in open_clip's list of names; label set `class`.

    Args:
        prompt: the caption, `{}` in it for the name.
    """

    def __init__(self, prompt: str = "a photo of a {}.", **options: Any) -> None:
        if "{}" not in prompt:
            raise ConfigError(f"data.prompt={prompt!r}: must hold {{}} where the class's name belongs")
        self.prompt = prompt
        super().__init__(**options)

    def list_pairs(self) -> Iterator[ImageCaption]:
        """The files of each class, in the order of the numbers."""
        from open_clip import IMAGENET_CLASSNAMES

        require_folder(self.folder, "a folder per class, named 0 to 999")
        folders = [path for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal()]
        numbered = {int(path.name): path for path in folders if int(path.name) < CLASSES}
        if not numbered:
            raise ConfigError(f"data.folder={self.folder}: holds no folder named 0 to 999, one per class")
        for number, path in sorted(numbered.items()):
            caption = self.prompt.replace("{}", IMAGENET_CLASSNAMES[number])
            for file in sorted(path.iterdir()):
                if file.suffix.lower() in SUFFIXES:
                    yield ImageCaption(file, caption, {"class": f"{number:03d}"})

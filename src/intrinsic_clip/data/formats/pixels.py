"""Read image files of any kind as pixels of one size."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps

SVG_HINT = "rendering .svg needs resvg_py: pip install resvg-py"
Fit = Literal["crop", "pad"]


class BadImage(ValueError):
    """An image that cannot be read; the message gives the reason in two or three words."""


def read_pixels(source: Path | BinaryIO, size: int, fit: Fit = "crop") -> np.ndarray:
    """Return pixels `(3, size, size)` uint8 RGB of an image, upright, with transparent parts on white.

    Args:
        source: path or content of a file.
        size: pixels along a side.
        fit: `crop` keeps the middle square, as CLIP does with photographs; `pad` keeps all, on white.

    Raises:
        BadImage: the image is missing, damaged, or beyond Pillow's limit against decompression bombs.
    """
    try:
        if isinstance(source, Path) and source.suffix.lower() == ".svg":
            source = _rendered(source, size)
        with Image.open(source) as image:
            image.draft("RGB", (2 * size, 2 * size))  # a JPEG decodes much faster at a fraction of its size
            picture = _on_white(ImageOps.exif_transpose(image))
        fitted = ImageOps.fit if fit == "crop" else _padded
        return np.asarray(fitted(picture, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    except FileNotFoundError as error:
        raise BadImage("missing image") from error
    except Image.DecompressionBombError as error:
        raise BadImage("too many pixels") from error
    except Exception as error:  # Pillow's readers raise many types on damaged files
        raise BadImage("corrupt image") from error


def renders_svg() -> bool:
    """Return whether the package that renders drawings is installed."""
    return find_spec("resvg_py") is not None


def _rendered(drawing: Path, size: int) -> BinaryIO:
    """Render a drawing as a PNG of twice the requested width."""
    import resvg_py

    # Passed as text, the drawing has no folder from which it could read other files.
    text = drawing.read_text(encoding="utf-8")
    rendered = resvg_py.svg_to_bytes(svg_string=text, width=2 * size, dpi=96, skip_system_fonts=True)
    return io.BytesIO(bytes(rendered))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")


def _padded(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    return ImageOps.pad(image, size, method, color="white")

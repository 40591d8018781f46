"""Read image files of any kind as pixels of one size."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from intrinsic_clip.data.formats.colours import BadImage, correct_transparency, on_white
from intrinsic_clip.runs.regular_files import require_regular

__all__ = ["SVG_HINT", "BadImage", "Fit", "read_drawing", "read_pixels", "renders_svg"]

SVG_HINT = "rendering .svg needs resvg_py: pip install resvg-py"
PROGRAMS = ("EPS", "WMF")  # they would be run, rather than decoded, for as long as they like
UNREAD = {  # how a file begins, and what it is
    b"II*\0": "corrupt TIFF, or one of a depth that is not read",
    b"MM\0*": "corrupt TIFF, or one of a depth that is not read",
    b"version https://git-lfs": "pointer of Git LFS, not the image",
    b"%PDF": "PDF, which is not read",
    b"<svg": "SVG drawing, which is not read",
    b"\xff\x0a": "JPEG XL, which is not read",
    b"\0\0\0\x0cJXL ": "JPEG XL, which is not read",
}
HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc")  # from byte 4
Fit = Literal["crop", "pad"]


def read_pixels(source: Path | BinaryIO, size: int, fit: Fit = "crop") -> np.ndarray:
    """Return pixels `(3, size, size)` uint8 RGB of an image, upright, with transparent parts on white.

    Of an animation or a file of several pages the first picture is read. Colour profiles are not applied.

    Args:
        source: path or content of a file.
        size: pixels along a side.
        fit: `crop` keeps the middle square, as CLIP does with photographs; `pad` keeps all, on white.

    Raises:
        BadImage: the image is missing, damaged, holds numbers of unknown range, or is beyond Pillow's limit against
            decompression bombs.
    """
    try:
        if isinstance(source, Path):
            require_regular(source)
            if source.suffix.lower() == ".svg":
                source = _rendered(source.read_text(encoding="utf-8"), size)
        picture = _decoded(source, size)
        fitted = ImageOps.fit if fit == "crop" else _padded
        return np.asarray(fitted(picture, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    except BadImage:
        raise
    except FileNotFoundError as error:
        raise BadImage("missing image") from error
    except Image.DecompressionBombError as error:
        raise BadImage("too many pixels") from error
    except MemoryError as error:
        raise BadImage("more pixels than memory holds") from error
    except UnidentifiedImageError as error:
        raise BadImage(_kind_of(source)) from error
    except Exception as error:  # Pillow's readers raise many types on damaged files
        system = (
            isinstance(error, OSError) and error.strerror
        )  # the system's errors have one, Pillow's do not
        raise BadImage(f"image {system}".lower() if system else "corrupt image") from error


def read_drawing(drawing: str, size: int) -> np.ndarray:
    """Return pixels `(3, size, size)` uint8 RGB of the text of an SVG drawing, all of it, on white.

    Raises:
        BadImage: the drawing is damaged.
    """
    try:
        rendered = _rendered(drawing, size)
    except Exception as error:  # of the renderer, which has types of its own
        raise BadImage("corrupt image") from error
    return read_pixels(rendered, size, "pad")


def renders_svg() -> bool:
    """Return whether the package that renders drawings is installed."""
    return find_spec("resvg_py") is not None


def _decoded(source: Path | BinaryIO, size: int) -> Image.Image:
    """Return the first picture of a file, upright and as RGB."""
    with Image.open(source) as image:
        if image.format in PROGRAMS:
            raise BadImage(f"{image.format} drawing, which is not read")
        if 0 in image.size:
            raise BadImage("image of no pixels")
        image.draft("RGB", (2 * size, 2 * size))  # a JPEG decodes much faster at a fraction of its size
        correct_transparency(image)
        image.load()
        _turn_upright(image)
        return on_white(image)


def _turn_upright(image: Image.Image) -> None:
    """Apply the orientation in a picture's metadata, in place; metadata that cannot be read turn nothing."""
    try:
        image.getexif()
    except Exception:  # of a picture whose pixels are whole
        return
    ImageOps.exif_transpose(image, in_place=True)


def _kind_of(source: Path | BinaryIO) -> str:
    """Return the reason for which a file is not known as an image: its kind, or damage."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            start = file.read(256)
    else:
        source.seek(0)
        start = source.read(256)
    if start[4:12] in HEIF:
        return "HEIC image, which is not read"
    if start.lstrip().startswith(b"<?xml") and b"<svg" in start:
        return UNREAD[b"<svg"]
    return next((kind for begin, kind in UNREAD.items() if start.startswith(begin)), "corrupt image")


def _rendered(drawing: str, size: int) -> BinaryIO:
    """Render a drawing as a PNG of twice the requested width."""
    import resvg_py

    # Passed as text, the drawing has no folder from which it could read other files.
    rendered = resvg_py.svg_to_bytes(svg_string=drawing, width=2 * size, dpi=96, skip_system_fonts=True)
    return io.BytesIO(bytes(rendered))


def _padded(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """Return the whole picture, scaled to fit, in the middle of a white one."""
    scale = min(size[0] / image.width, size[1] / image.height)
    if min(image.width, image.height) * scale < 0.5:  # a line, which would round to no pixels
        width, height = (max(1, round(length * scale)) for length in image.size)
        image = image.resize((width, height), method)
    return ImageOps.pad(image, size, method, color="white")

"""Convert pictures of every mode and depth to 8-bit RGB, or say why their brightness is not known."""

import numpy as np
from PIL import Image, ImageCms

UNDEFINED_RANGE = "of no defined range"
WHITE_IS_ZERO = 0  # values of TIFF tags, see the specification of TIFF 6.0
SIGNED = 2
DARK = 1 / 16  # share of the highest value; 8 or 12 bits that are kept as 16 reach no further
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339


class BadImage(ValueError):
    """An image that cannot be read; the message gives the reason in a few words."""


def on_white(image: Image.Image) -> Image.Image:
    """Return a picture as RGB of 8 bits, with its transparent parts on white.

    Whole numbers of 16 bits are scaled from 0 … 65535, floats from 0 … 1. Other ranges are not defined by the file.

    Raises:
        BadImage: the picture holds numbers whose black and white are unknown.
    """
    if _tag(image, SAMPLE_FORMAT, 1) == SIGNED and image.mode == "L":
        raise BadImage(f"signed 8-bit integers {UNDEFINED_RANGE}")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = _as_grey(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")


def correct_transparency(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG of 2, 4 or 16 bits like its pixels; Pillow leaves it as it is in the file.

    The picture must not be loaded yet: its depth is unknown afterwards.
    """
    colour = image.info.get("transparency")
    if image.format != "PNG" or colour is None or not getattr(image, "tile", None):
        return
    match image.tile[0][3]:  # type: ignore[attr-defined]
        case "L;2":
            image.info["transparency"] = colour * 85
        case "L;4":
            image.info["transparency"] = colour * 17
        case "RGB;16B":
            image.info["transparency"] = tuple(level >> 8 for level in colour)


def _as_grey(image: Image.Image) -> Image.Image:
    """Return a picture of one deep channel as L, or as LA where one value stands for transparent."""
    values = np.asarray(image)
    highest = _highest(image, values)
    levels = np.rint(values * (255 / highest)).astype(np.uint8)
    if _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO:
        levels = 255 - levels
    grey = Image.fromarray(levels)
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    return Image.merge("LA", [grey, Image.fromarray(alpha)])


def _highest(image: Image.Image, values: np.ndarray) -> float:
    """Return the number that means white."""
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):  # not a number is neither
            raise BadImage("floats outside [0, 1], so of unknown range")
        return 1.0
    if image.mode.startswith("I;16") and image.format != "FITS":
        highest, brightest = 2 ** _tag(image, BITS, 16) - 1, int(values.max())
        if 0 < brightest < highest * DARK:
            raise BadImage(f"16-bit image of values up to {brightest} only, so of unknown range")
        return highest
    if image.format in ("PPM", "PNG"):  # Pillow scales the numbers of the one to 16 bits, the other has 16
        return 65535.0
    bits = 16 if image.format == "FITS" and image.mode != "I" else _tag(image, BITS, 32)
    signed = "signed " if bits == 16 else ""
    raise BadImage(f"{signed}{bits}-bit integers {UNDEFINED_RANGE}")


def _tag(image: Image.Image, number: int, default: int) -> int:
    """Return the first value of a tag of a TIFF; the default for other pictures."""
    tags = getattr(image, "tag_v2", {})
    value = tags.get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _from_lab(image: Image.Image) -> Image.Image:
    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    assert converted is not None
    return converted

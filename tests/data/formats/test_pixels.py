"""Pictures of every mode, depth and kind of file come out with the right values, or are refused for the true reason."""

import io
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.miniatures import image_bytes
from intrinsic_clip.data.formats.colours import on_white
from intrinsic_clip.data.formats.pixels import BadImage, read_pixels

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)  # every level once
GREY = Image.fromarray(RAMP)


def encoded(image: Image.Image, kind: str, **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def png(depth: int, colour: int, rows: Iterable[bytes], transparent: bytes) -> io.BytesIO:
    """Return a PNG of 16 × 16 pixels with a transparent colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 16, 16, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", pixels), (b"IEND", b""))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def tiff(bits: int, content: bytes, sample_format: int = 1, photometric: int = 1) -> io.BytesIO:
    """Return a TIFF of 16 × 16 samples, as cameras and microscopes write them and Pillow does not."""
    offset = 8 + 2 + 10 * 12 + 4
    tags = {256: 16, 257: 16, 258: bits, 259: 1, 262: photometric, 273: offset, 277: 1, 278: 16}
    tags |= {279: len(content), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", number, 3, 1, value) for number, value in tags.items())
    return io.BytesIO(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + content)


def error_of(source: io.BytesIO | Path) -> str:
    with pytest.raises(BadImage) as caught:
        read_pixels(source, 16)
    return str(caught.value)


def furthest(source: io.BytesIO, wanted: np.ndarray = RAMP) -> int:
    """Return the largest difference from the wanted levels."""
    return int(np.abs(read_pixels(source, 16).astype(int) - wanted).max())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_grey_ramp_keeps_its_levels_in_every_mode_of_8_bits(kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    saved = []
    for mode in ("L", "RGB", "RGBX", "RGBA", "LA", "P", "PA", "CMYK", "YCbCr", "HSV"):
        image = GREY.convert("RGB").convert("HSV") if mode == "HSV" else GREY.convert(mode)
        assert np.abs(np.asarray(on_white(image))[..., 0].astype(int) - RAMP).max() <= 1
        with suppress(OSError):  # the format has no such mode
            file = encoded(image, kind, **options)
            assert furthest(file) <= (3 if kind == "JPEG" else 1), mode
            saved.append(mode)
    assert {"L", "RGB"} <= {*saved}
    assert kind != "TIFF" or len(saved) == 9  # all but HSV


def test_every_mode_of_pillow_is_converted() -> None:
    for mode in set(Image.MODES) - {"I"}:
        assert on_white(Image.new(mode, (4, 4))).mode == "RGB", mode
    with pytest.raises(BadImage, match="32-bit integers of no defined range"):
        on_white(Image.new("I", (4, 4)))


DEEP = RAMP.astype(np.uint16) * 257
UNIT = (RAMP / 255).astype(np.float32)
NINETY = 4095 / 255 * RAMP
TWELVE = NINETY.round().astype(int).ravel()
PACKED = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in TWELVE.reshape(-1, 2).tolist())


@pytest.mark.parametrize(
    "file",
    [
        encoded(Image.fromarray(DEEP), "PNG"),
        encoded(Image.fromarray(DEEP), "TIFF"),
        encoded(Image.fromarray(DEEP), "JPEG2000"),
        encoded(Image.fromarray(DEEP).convert("I"), "PPM"),
        encoded(Image.fromarray(UNIT), "TIFF"),
        encoded(Image.fromarray(UNIT), "PPM"),
        tiff(16, DEEP.tobytes()),
        tiff(16, (65535 - DEEP).tobytes(), photometric=0),
        tiff(32, (1 - UNIT).tobytes(), 3, photometric=0),
        tiff(12, PACKED),
        io.BytesIO(b"P5 16 16 4095\n" + NINETY.round().astype(">u2").tobytes()),
    ],
    ids=["png", "tiff", "jp2", "pgm", "float", "pfm", "tif", "white=0", "float, white=0", "12 bits", "4095"],
)
def test_deep_pictures_are_scaled_and_not_clipped(file: io.BytesIO) -> None:
    assert furthest(file) <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_16_bits_of_either_byte_order(mode: str) -> None:
    order = ">u2" if mode == "I;16B" else "<u2"
    image = Image.frombytes(mode, (16, 16), DEEP.astype(order).tobytes())
    assert (np.asarray(on_white(image))[..., 0] == RAMP).all()


def test_numbers_of_unknown_range_are_refused_by_name() -> None:
    assert error_of(encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF")) == (
        "32-bit integers of no defined range"
    )
    assert error_of(tiff(32, RAMP.astype("<u4").tobytes())) == "32-bit integers of no defined range"
    assert error_of(tiff(16, RAMP.astype("<i2").tobytes(), 2)) == "signed 16-bit integers of no defined range"
    assert error_of(tiff(8, RAMP.tobytes(), 2)) == "signed 8-bit integers of no defined range"
    outside = "floats outside [0, 1], so of unknown range"
    for values in (255 * UNIT, UNIT - 0.5, np.full_like(UNIT, np.nan)):
        assert error_of(encoded(Image.fromarray(values), "TIFF")) == outside
    twelve = encoded(Image.fromarray(NINETY.astype(np.uint16)), "PNG")
    assert error_of(twelve) == "16-bit image of values up to 4095 only, so of unknown range"
    assert furthest(encoded(Image.fromarray(np.zeros_like(DEEP)), "PNG"), np.zeros_like(RAMP)) == 0
    assert "a depth that is not read" in error_of(tiff(16, UNIT.astype("<f2").tobytes(), 3))


LEVELS = np.arange(16)


def test_the_transparent_colour_of_a_png_counts_at_every_depth() -> None:
    four = [bytes((LEVELS[::2] << 4 | LEVELS[1::2]).tolist())] * 16
    two, one = [bytes([0b00011011] * 4)] * 16, [bytes([0b01010101] * 2)] * 16
    deep = [(LEVELS * 4369).astype(">u2").tobytes()] * 16
    colours = [np.stack([LEVELS * 4369] * 3, 1).astype(">u2").tobytes()] * 16
    wanted = np.where(LEVELS == 3, 255, LEVELS * 17)
    for file in (
        png(4, 0, four, struct.pack(">H", 3)),
        png(16, 0, deep, struct.pack(">H", 3 * 4369)),
        png(16, 2, colours, struct.pack(">3H", *[3 * 4369] * 3)),
    ):
        assert (read_pixels(file, 16)[:, 0] == wanted).all()
    assert (read_pixels(png(2, 0, two, struct.pack(">H", 1)), 16)[:, 0, :4] == [0, 255, 170, 255]).all()
    assert (read_pixels(png(1, 0, one, struct.pack(">H", 1)), 16)[0, 0, :2] == [0, 255]).all()
    palette = GREY.convert("P")
    assert read_pixels(encoded(palette, "PNG", transparency=0), 16)[0, 0, 0] == 255
    half = read_pixels(encoded(palette, "PNG", transparency=bytes([128] * 256)), 16)[0]
    assert np.abs(half - (255 + (RAMP.astype(float) - 255) * 128 / 255)).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "La", "RGBa"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    alpha = Image.new("L", GREY.size, 64)
    if mode.endswith("a"):  # the levels are multiplied by alpha already
        bands = [GREY.point(lambda level: level * 64 // 255)] * (len(mode) - 1)
        image = Image.frombytes(mode, GREY.size, np.stack([*bands, alpha], -1).tobytes())
    else:
        image = GREY.convert("P" if mode == "PA" else mode)
        image.putalpha(alpha)
        assert image.mode == mode
    wanted = 255 + (RAMP.astype(float) - 255) * 64 / 255
    assert np.abs(np.asarray(on_white(image))[..., 0] - wanted).max() <= 2


def test_colours_of_print_and_of_lab() -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(read_pixels(encoded(ink, "TIFF"), 16)[:, 8, 8] - [255, 0, 0]).max() == 0
    adobe = encoded(ink, "JPEG", quality=100)  # stores the levels inverted, with Adobe's mark
    assert b"Adobe" in adobe.getvalue()
    assert np.abs(read_pixels(adobe, 16)[:, 8, 8].astype(int) - [255, 0, 0]).max() <= 3
    red = Image.frombytes(
        "LAB", (16, 16), bytes([138, 81, 70]) * 256
    )  # sRGB's red is L*a*b* (54.3, 80.8, 69.9)
    assert np.abs(read_pixels(encoded(red, "TIFF"), 16)[:, 8, 8].astype(int) - [255, 0, 0]).max() <= 6
    grey = Image.frombytes("LAB", (16, 16), bytes([137, 0, 0]) * 256)  # L* of 53.7 is a level of 128
    assert np.abs(read_pixels(encoded(grey, "TIFF"), 16).astype(int) - 128).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :8], upright[:8, 8:] = 255, 128
    stored = {  # how a camera that is held in this way stores it
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    file = encoded(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), kind, exif=exif, **options)
    assert furthest(file, upright) <= 3


def test_an_orientation_that_cannot_be_read_turns_nothing() -> None:
    file = encoded(GREY.convert("RGB"), "JPEG", exif=b"Exif\0\0no metadata at all", quality=100)
    assert furthest(file) <= 3


@pytest.mark.parametrize(
    ("kind", "mode"), [("GIF", "P"), ("PNG", "RGB"), ("WEBP", "RGB"), ("TIFF", "L"), ("MPO", "RGB")]
)
def test_of_several_pictures_the_first_is_read(kind: str, mode: str) -> None:
    others = [Image.new("L", (16, 16), level).convert(mode) for level in (0, 255)]
    options = {"WEBP": {"lossless": True}, "MPO": {"quality": 100}}.get(kind, {})
    file = encoded(GREY.convert(mode), kind, save_all=True, append_images=others, **options)
    assert furthest(file) <= (3 if kind == "MPO" else 1)


KINDS = [
    "JPEG",
    "PNG",
    "GIF",
    "TIFF",
    "BMP",
    "WEBP",
    "PPM",
    "TGA",
    "JPEG2000",
    "ICO",
    "QOI",
    "PCX",
    "SGI",
    "DDS",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_is_never_half_a_picture(kind: str) -> None:
    content = image_bytes(3, kind, (64, 64))
    assert read_pixels(io.BytesIO(content), 16).std() > 5
    for share in (0.1, 0.5, 0.9):
        assert error_of(io.BytesIO(content[: int(len(content) * share)])).startswith("corrupt")


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "corrupt image"),
        (b"%PDF-1.7", "PDF, which is not read"),
        (b'<?xml version="1.0"?>\n<svg>', "SVG drawing, which is not read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC image, which is not read"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL, which is not read"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n",
            "EPS drawing, which is not read",
        ),
    ],
)
def test_kinds_that_are_not_read_are_named(start: bytes, reason: str) -> None:
    assert error_of(io.BytesIO(start)) == reason


def test_too_many_pixels_and_too_few(monkeypatch) -> None:
    assert read_pixels(encoded(Image.new("RGB", (3000, 1)), "PNG"), 16, "pad")[0, 8].max() == 0
    assert read_pixels(encoded(Image.new("RGB", (1, 3000)), "PNG"), 16).shape == (3, 16, 16)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert error_of(encoded(GREY, "PNG")) == "too many pixels"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.png").mkdir()
    assert error_of(tmp_path / "pipe.jpg") == "image is a pipe, not a regular file"
    assert error_of(tmp_path / "folder.png") == "image is a directory, not a regular file"
    assert error_of(Path("/dev/zero")) == "image is a device, not a regular file"
    (tmp_path / "loop.svg").symlink_to(tmp_path / "loop.svg")
    assert error_of(tmp_path / "loop.svg") == "image too many levels of symbolic links"

"""A contact sheet of retrievals: images, the captions found for each, and the true one."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from intrinsic_clip.reports.run_picture import BLUE, GREY, ORANGE

TICK, CROSS, CUT = "✓", "✗", "…"
BLACK, LINE = "#222222", "#dddddd"
COLUMNS = 2
IMAGE, TEXT, GAP = (
    208,
    760,
    24,
)  # widths in pixels: of an image, of the text beside it, and between everything
FONT, LEADING, SCORE = 20, 29, 72


@dataclass(frozen=True)
class Retrieved:
    """One image and what was found for it.

    Attributes:
        image: `(3, h, w)` in [0, 1].
        captions: those found, the best first, with the similarity of each in `scores` and whether it is in `right`.
        true_caption: its own, which is at place `rank` (from 1) among all `candidates`.
    """

    image: Tensor
    captions: Sequence[str]
    scores: Sequence[float]
    right: Sequence[bool]
    true_caption: str
    rank: int
    candidates: int


def mark(right: bool) -> str:
    """Told apart by shape as well as by colour."""
    return TICK if right else CROSS


def contact_sheet(retrieved: Sequence[Retrieved]) -> bytes:
    """A PNG of all of them in two columns."""
    listed = max(len(one.captions) for one in retrieved)
    height = max(IMAGE, (listed + 3) * LEADING) + GAP
    width = IMAGE + TEXT + 2 * GAP
    rows = -(-len(retrieved) // COLUMNS)
    top = GAP + 2 * LEADING
    sheet = Image.new("RGB", (COLUMNS * width + GAP, top + rows * (height + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    _title(draw, retrieved, listed)
    for place, one in enumerate(retrieved):
        _card(sheet, draw, one, GAP + place % COLUMNS * width, top + place // COLUMNS * (height + GAP))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _title(draw: ImageDraw.ImageDraw, retrieved: Sequence[Retrieved], listed: int) -> None:
    found = sum(one.rank <= listed for one in retrieved)
    best = f"the {listed} captions most like it" if listed > 1 else "the caption most like it"
    text = f"Held-out images, each with {best} of {retrieved[0].candidates:,} (and their cosine)"
    draw.text((GAP, GAP), text, BLACK, _font(bold=True))
    x = GAP + _font(bold=True).getlength(text) + 2 * GAP
    for right, word in ((True, "right"), (False, "wrong")):
        draw.text((x, GAP), f"{mark(right)} {word}", _colour(right), _font(bold=right))
        x += _font(bold=True).getlength(f"{mark(right)} {word}") + GAP
    draw.text((x + GAP, GAP), f"{found} of {len(retrieved)} true captions are among them", BLACK, _font())


def _card(sheet: Image.Image, draw: ImageDraw.ImageDraw, one: Retrieved, left: int, top: int) -> None:
    picture = _fitted(one.image)
    draw.line((left, top - GAP // 2, left + IMAGE + GAP + TEXT, top - GAP // 2), LINE, 2)
    sheet.paste(picture, (left + (IMAGE - picture.width) // 2, top + (IMAGE - picture.height) // 2))
    x, y = left + IMAGE + GAP, top
    for caption, score, right in zip(one.captions, one.scores, one.right, strict=True):
        font = _font(bold=right)
        draw.text((x, y), mark(right), _colour(right), font)
        text = _cut(caption, font, TEXT - LEADING - SCORE)
        draw.text((x + LEADING, y), text, _colour(True) if right else BLACK, font)
        draw.text((x + TEXT, y), f"{score:.2f}".replace("-", "−"), GREY, _font(), anchor="ra")
        y += LEADING
    y += LEADING // 3
    draw.text((x + LEADING, y), f"true caption, at rank {one.rank:,}:", GREY, _font())
    for line in _wrapped(one.true_caption, _font(), TEXT - LEADING, 2):
        y += LEADING
        draw.text((x + LEADING, y), line, BLACK, _font())


def _colour(right: bool) -> str:
    return BLUE if right else ORANGE


def _fitted(image: Tensor) -> Image.Image:
    """As large as there is room, in its own proportions."""
    pixels = (image * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(pixels)
    scale = IMAGE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)


@lru_cache
def _font(bold: bool = False) -> ImageFont.FreeTypeFont:
    """The one that comes with matplotlib, so that the sheet looks the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), FONT)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, lines: int) -> list[str]:
    """As many lines as are allowed, broken between words; what is left over is cut off the last."""
    words = _printable(text).split()
    wrapped: list[str] = []
    while words and len(wrapped) < lines - 1:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        wrapped.append(_cut(" ".join(words[:taken]), font, width))
        words = words[taken:]
    return [*wrapped, _cut(" ".join(words), font, width)] if words else wrapped


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """One line that is no wider, ending with … where something is cut off."""
    text = _printable(text)
    if font.getlength(text[: int(width)]) <= width and len(text) <= width:
        return text
    text = text[: int(width)]  # no letter is narrower than a pixel, and a caption may be a book
    while text and font.getlength(text + CUT) > width:
        text = text[:-1]
    return text.rstrip(" ,.;:") + CUT


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

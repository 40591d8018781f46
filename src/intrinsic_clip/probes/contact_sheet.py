"""Draw a contact sheet of retrievals: images, the captions found for each, and the true one."""

import io
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:  # importing a probe does not import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICK, CROSS, CUT = "✓", "✗", "…"
BLUE, ORANGE, GREY, BLACK = (
    "#0072b2",
    "#d55e00",
    "#666666",
    "#222222",
)  # Okabe–Ito: for colour-blind readers too
COLUMNS, CHARACTERS = 2, 66  # cards side by side; letters of a line
WIDTH, LINE, DPI = 17.0, 0.25, 120  # inches of the sheet and of a line; dots per inch
PLAIN: dict[str, Any] = {"family": "DejaVu Sans", "parse_math": False, "usetex": False, "va": "top"}


@dataclass(frozen=True)
class Retrieved:
    """One image and the captions found for it.

    Attributes:
        image: `(3, h, w)` in [0, 1].
        captions: the most similar captions, the best first.
        scores: the similarity of each with the image.
        right: for each, whether it belongs to the image.
        true_caption: the image's own caption.
        rank: place of the best caption that is right among all candidates, from 1.
        own_rank: that of the image's own caption.
        candidates: how many captions were ranked.
    """

    image: Tensor
    captions: Sequence[str]
    scores: Sequence[float]
    right: Sequence[bool]
    true_caption: str
    rank: int
    own_rank: int
    candidates: int


def mark(right: bool) -> str:
    """Return the sign for right or wrong, which differ in shape as well as in colour."""
    return TICK if right else CROSS


def contact_sheet(retrieved: Sequence[Retrieved]) -> bytes:
    """Return a PNG with a card for each image, in two columns."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # a letter that the font lacks is drawn as a box
        draw_contact_sheet(retrieved).savefig(file, format="png", dpi=DPI, facecolor="white")
    return file.getvalue()


def draw_contact_sheet(retrieved: Sequence[Retrieved]) -> "Figure":
    """Return the figure that `contact_sheet` writes."""
    from matplotlib.figure import Figure

    listed = max(len(retrieval.captions) for retrieval in retrieved)
    rows = -(-len(retrieved) // COLUMNS)
    lines = listed + 4  # with the true caption on two lines, below its rank, and a gap
    height = (rows * lines + 3) * LINE
    figure = Figure(figsize=(WIDTH, height))
    cards = figure.add_gridspec(
        rows, COLUMNS, left=0.01, right=0.99, bottom=0, top=1 - 2 * LINE / height, wspace=0.02, hspace=0
    )
    _draw_title(figure, retrieved, listed, 1 - 0.6 * LINE / height)
    for i, retrieval in enumerate(retrieved):
        card = cards[i // COLUMNS, i % COLUMNS].subgridspec(1, 2, width_ratios=[1.9, 6.4], wspace=0.03)
        _draw_image(figure.add_subplot(card[0]), retrieval.image)
        _draw_captions(figure.add_subplot(card[1]), retrieval, lines)
    return figure


def _draw_title(figure: "Figure", retrieved: Sequence[Retrieved], listed: int, y: float) -> None:
    best = f"the {listed} captions most like it" if listed > 1 else "the caption most like it"
    hits = sum(retrieval.rank <= listed for retrieval in retrieved)
    title = f"Held-out images, each with {best} of {retrieved[0].candidates:,} (and their cosine)"
    figure.text(0.01, y, title, color=BLACK, weight="bold", size=12, **PLAIN)
    for x, right, word in ((0.55, True, "right"), (0.61, False, "wrong")):
        figure.text(x, y, f"{mark(right)} {word}", color=_colour(right), size=12, **PLAIN)
    count = f"{hits} of {len(retrieved)} images have a right one"
    figure.text(0.99, y, count, color=BLACK, size=12, ha="right", **PLAIN)


def _draw_image(axes: "Axes", image: Tensor) -> None:
    axes.imshow(image.detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy(), interpolation="bicubic")
    axes.set_axis_off()


def _draw_captions(axes: "Axes", retrieval: Retrieved, lines: int) -> None:
    axes.set(xlim=(0, 1), ylim=(lines, 0))
    axes.set_axis_off()
    line = 0.4
    for caption, score, right in zip(retrieval.captions, retrieval.scores, retrieval.right, strict=True):
        colour, weight = _colour(right), "bold" if right else "normal"
        _write(axes, 0, line, mark(right), color=colour, weight="bold")
        _write(axes, 0.105, line, f"{score:.2f}".replace("-", "−"), color=GREY, ha="right")
        (text,) = _wrapped(caption, 1) or [""]
        _write(axes, 0.122, line, text, color=colour if right else BLACK, weight=weight)
        line += 1
    _write(axes, 0.122, line + 0.2, _place_of(retrieval), color=GREY)
    for place, text in enumerate(_wrapped(retrieval.true_caption, 2), start=1):
        _write(axes, 0.122, line + 0.2 + place, text, color=BLACK)


def _place_of(retrieval: Retrieved) -> str:
    """Return the heading of the image's own caption: its place, and that of a better one which is right too."""
    other = "" if retrieval.rank == retrieval.own_rank else f", another right one at rank {retrieval.rank:,}"
    return f"true caption, at rank {retrieval.own_rank:,}{other}:"


def _write(axes: "Axes", x: float, line: float, text: str, **style: Any) -> None:
    axes.text(x, line, text, size=11, clip_on=True, **PLAIN, **style)


def _colour(right: bool) -> str:
    return BLUE if right else ORANGE


def _wrapped(text: str, lines: int) -> list[str]:
    """Break a text into at most `lines` lines; the last one ends with … where text is left out."""
    start = text[: 4 * lines * CHARACTERS]  # a caption may be a book
    wrapped = textwrap.wrap("".join(c if c.isprintable() else " " for c in start), CHARACTERS)
    if len(wrapped) > lines:
        wrapped = wrapped[:lines]
        wrapped[-1] = wrapped[-1][: CHARACTERS - 1].rstrip(" ,.;:") + CUT
    return wrapped

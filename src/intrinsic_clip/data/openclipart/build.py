"""Build the shipped Open Clip Art set from Debian's packages openclipart-png and openclipart-svg (release 0.18).

    python -m intrinsic_clip.data.openclipart.build --source /usr/share/openclipart --output FOLDER

Writes images.tar (WebDataset: a WebP and a JSON per pair) and features.safetensors. Two builds from the same
packages give the same bytes.
"""

import argparse
import hashlib
import html
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

SIDE = 64
TITLE_REPEATS = 5  # a bulk series, such as 1,375 stars, shares one title
MOST_PIXELS = 16_000_000  # a few PNGs are far larger (up to 623 megapixels) and show nothing more
MOST_KEYWORDS = 12
# An object's address that some tool wrote where keywords were meant, what that tool was called, and filing notes.
JUNK = re.compile(
    r"(hash)?\(?0x[0-9a-f]+\)?|hash|magick|unsorted|special|clip ?art|svg|png|[\d\W_]*", re.IGNORECASE
)
ADDRESS = re.compile(r"\(?(e-?mail: *)?\S+@\S+|https?://\S+|hash\(0x[0-9a-f]+\)", re.IGNORECASE)
EROTIC = {"erotic", "erotik", "nude", "sexy", "stripper", "topless"}
NAMESPACES = {
    "cc": "http://web.resource.org/cc/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
RESOURCE = f"{{{NAMESPACES['rdf']}}}resource"


@dataclass
class Drawing:
    """One pair: what the SVG says of the picture, and where it lies (relative, without extension)."""

    path: str
    title: str
    description: str = ""
    keywords: list[str] = field(default_factory=list)
    licence: str = ""

    @property
    def category(self) -> str:
        """The top folder."""
        return self.path.split("/")[0]

    @property
    def subcategory(self) -> str:
        """The folder below it, or the top folder again where the picture lies in that."""
        folders = self.path.split("/")[:-1]
        return "/".join(folders[:2])

    @property
    def caption(self) -> str:
        """Title, description and keywords as one line of text; after a title that is not this picture's own, also
        the file's name (which otherwise adds little but the uploader's name).
        """
        name = readable(self.path.rpartition("/")[2])
        shared = set(words(self.title)) & set(words(name))
        parts = [self.title, "" if shared else name, self.description, ", ".join(self.keywords)]
        kept: list[str] = []
        for part in parts:
            if part and not any(part.lower() in earlier.lower() for earlier in kept):
                kept.append(part.rstrip("."))
        return ". ".join(kept)


def main() -> None:
    """Build the set and print what was kept and what was left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=Path("/usr/share/openclipart"))
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    if not (arguments.source / "svg").is_dir():
        parser.error(f"{arguments.source}/svg: no such folder; install openclipart-png and openclipart-svg")
    counts: Counter[str] = Counter()
    pictures = list(render(arguments.source / "png", choose(arguments.source, counts), counts))
    counts["kept"] = len(pictures)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_tar(arguments.output / "images.tar", pictures)
    for reason, count in counts.items():
        print(f"{count:6,}  {reason}")

    from intrinsic_clip.data.openclipart.towers import write_features

    write_features(arguments.output, arguments.source / "png", [drawing for drawing, _ in pictures])


def choose(source: Path, counts: Counter[str]) -> Iterator[Drawing]:
    """The drawings to keep, in order of their paths; `counts` learns why others are left out."""
    titles: Counter[str] = Counter()
    for svg in sorted((source / "svg").glob("**/*.svg")):
        path = svg.relative_to(source / "svg").with_suffix("")
        png = source / "png" / path.with_suffix(".png")
        drawing = read_svg(svg, path.as_posix())
        title = drawing.title.lower() if drawing else ""
        if svg.is_symlink() or not png.is_file():
            reason = "left out: no PNG of the same path, or a link to another drawing"
        elif drawing is None:
            reason = "left out: metadata cannot be read"
        elif "gpl" in drawing.licence.lower():
            reason = "left out: tagged GPL"
        elif not title:
            reason = "left out: no title"
        elif not EROTIC.isdisjoint(words(drawing.caption)):
            reason = "left out: erotic"
        elif too_large(png):
            reason = "left out: more than 16 megapixels"
        elif titles[title] >= TITLE_REPEATS:
            reason = f"left out: title used {TITLE_REPEATS} times already"
        else:
            titles[title] += 1
            yield drawing
            continue
        counts[reason] += 1


def read_svg(svg: Path, path: str) -> Drawing | None:
    """Title, description, keywords and licence of an SVG's cc:Work; None if it has none that can be parsed."""
    try:
        work = next(
            element
            for _, element in ElementTree.iterparse(svg)
            if element.tag == f"{{{NAMESPACES['cc']}}}Work"
        )
    except (ElementTree.ParseError, StopIteration):
        return None
    licence = work.find("cc:license", NAMESPACES)
    keywords = [keyword.text or "" for keyword in work.iterfind("dc:subject//rdf:li", NAMESPACES)]
    return Drawing(
        path,
        readable(work.findtext("dc:title", "", NAMESPACES)),
        clean_description(work.findtext("dc:description", "", NAMESPACES)),
        clean_keywords(keywords),
        "" if licence is None else licence.get(RESOURCE, ""),
    )


def readable(name: str) -> str:
    """A title or file name as words: no uploader's prefix, no underscores, no running number at the end."""
    text = re.sub(r"^clipart by [^-]*- *", "", one_line(name), flags=re.IGNORECASE)
    text = re.sub(r"hash[ _]0x[0-9a-f]+", "", text)
    text = one_line(text.replace("_", " ").replace("-", " "))
    return re.sub(r"( ?\d+)+$", "", text).strip()


def words(text: str) -> list[str]:
    """The words of three letters and more, in lower case."""
    return re.findall(r"[^\W\d_]{3,}", text.lower())


def clean_description(text: str) -> str:
    """The first 200 characters, cut between words."""
    text = one_line(text)
    return text if len(text) <= 200 else text[:200].rpartition(" ")[0]


def one_line(text: str) -> str:
    """Text with every run of white space as one space, without HTML's entities and anybody's address."""
    return " ".join(ADDRESS.sub("", html.unescape(text)).split())


def clean_keywords(keywords: list[str]) -> list[str]:
    """Distinct keywords as words, in order, without junk; the first dozen."""
    phrases = (one_line(keyword.replace("_", " ")).lower() for keyword in keywords)
    kept = dict.fromkeys(phrase for phrase in phrases if not JUNK.fullmatch(phrase))
    return list(kept)[:MOST_KEYWORDS]


def too_large(png: Path) -> bool:
    """Whether the header announces more pixels than are worth decoding."""
    Image.MAX_IMAGE_PIXELS = None  # Pillow would refuse to read even the header of the largest
    with Image.open(png) as image:
        return image.width * image.height > MOST_PIXELS


def on_white(png: Path, side: int) -> Image.Image:
    """The picture, scaled to fit and centred on a white square."""
    with Image.open(png) as image:
        picture = image.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def render(
    folder: Path, drawings: Iterator[Drawing], counts: Counter[str]
) -> Iterator[tuple[Drawing, bytes]]:
    """Each drawing with its WebP, without empty ones and repetitions of an earlier picture or caption."""
    seen: set[bytes] = set()
    captions: set[str] = set()
    for drawing in drawings:
        picture = on_white((folder / drawing.path).with_suffix(".png"), SIDE)
        digest = hashlib.sha256(picture.tobytes()).digest()
        if digest in seen:
            counts["left out: the same pixels as an earlier picture"] += 1
        elif picture.getextrema() == ((255, 255),) * 3:
            counts["left out: nothing but white"] += 1
        elif drawing.caption.lower() in captions:
            counts["left out: the same caption as an earlier picture"] += 1
        else:
            seen.add(digest)
            captions.add(drawing.caption.lower())
            encoded = io.BytesIO()
            picture.save(encoded, "WEBP", quality=90, method=6)
            yield drawing, encoded.getvalue()


def write_tar(path: Path, pictures: list[tuple[Drawing, bytes]]) -> None:
    """A WebDataset tar: 000000.webp, 000000.json, …"""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row, (drawing, webp) in enumerate(pictures):
            known = asdict(drawing) | {
                "caption": drawing.caption,
                "category": drawing.category,
                "subcategory": drawing.subcategory,
            }
            text = json.dumps(known, ensure_ascii=False, sort_keys=True).encode()
            for extension, content in (("webp", webp), ("json", text)):
                member = tarfile.TarInfo(f"{row:06d}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main()

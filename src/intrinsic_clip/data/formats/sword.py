"""Read the verses of a Bible in the format of the SWORD project: compressed texts (zText) with OSIS markup."""

import html
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.regular_files import require_regular

Verse = tuple[str, int]  # chapter by its OSIS name, as Gen.1, and number from 1
TESTAMENTS = ("ot", "nt")
BLOCK, PLACE = struct.Struct("<III"), struct.Struct("<IIH")
PREFIXES = {"BOOK": "b", "CHAPTER": "c", "VERSE": "v"}  # how much is compressed at once, in the files' names
READ = {"ModDrv": "zText", "SourceType": "OSIS", "CompressType": "ZIP", "Encoding": "UTF-8"}

CHAPTER = re.compile(r'<chapter\b[^>]*\bsID="([^"]+)"')
BOOK = re.compile(r'<div\b[^>]*\bsID="[^"]+"[^>]*\btype="book"')
# Text that is no part of a verse: footnotes, headings, and who speaks.
ASIDE = re.compile(r"<(note|title|speaker)\b[^>]*?(?<!/)>.*?</\1>", re.DOTALL)
BREAK = re.compile(r"</?(?:div|l|lg|lb|item|list|milestone|chapter)\b[^>]*>")
# Words that a translator added lack a space beside marked words, and only there: preguntando<…>le</…> is one word.
ADDED = re.compile(r"(?<=</w>)(?=<transChange\b)|(?<=</transChange>)(?=<w\b|\w)")
CHAPTER_END = re.compile(r"<chapter\b[^>]*\beID=")  # what follows, such as a glossary, is no verse
USFM = re.compile(r"\\\+?[a-z]+\d?(?:\*|\s)?")  # marks that the conversion of a source left over, as \nd
TAG = re.compile(r"<[^>]*>")
BEFORE_POINT = re.compile(r"\s+([,.;:!?)’”])")


def read_verses(folder: Path, name: str) -> dict[Verse, str]:
    """Return the texts of all verses of a Bible, without markup; verses that it leaves out are missing.

    Chapters are found by the marks in the text, so that no table of the numbers of verses is needed.

    Args:
        folder: a library of SWORD, which holds mods.d and modules.
        name: a module's name or abbreviation, such as KJV.

    Raises:
        ConfigError: there is no such module, it is damaged, or in another format.
    """
    path, prefix = _data_path(folder, name)
    verses: dict[Verse, str] = {}
    try:
        for testament in TESTAMENTS:
            if (path / f"{testament}.{prefix}zz").exists():
                verses |= _numbered(_entries(path / f"{testament}.{prefix}z"))
    except (OSError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise ConfigError(
            f"{path}: damaged, or no texts of SWORD ({type(error).__name__}: {error})"
        ) from error
    if not verses:
        raise ConfigError(
            f"{path}: holds no verses; expected ot.{prefix}zz or nt.{prefix}zz with marks of chapters"
        )
    return verses


def plain_text(markup: str) -> str:
    """Return the words of a verse with single spaces, without marks of paragraphs and the spaces lost to markup."""
    text = ASIDE.sub(" ", CHAPTER_END.split(markup)[0])
    text = BREAK.sub(" ", ADDED.sub(" ", text))
    text = html.unescape(TAG.sub("", USFM.sub("", text))).replace("¶", " ")
    return BEFORE_POINT.sub(r"\1", " ".join(text.split()))


def _data_path(folder: Path, name: str) -> tuple[Path, str]:
    """Return the folder of a module's texts and the first letter of their files' extensions."""
    offered = []
    for file in sorted((folder / "mods.d").glob("*.conf")):
        module, settings = _settings(file)
        offered.append(settings.get("Abbreviation", module))
        if name not in (module, settings.get("Abbreviation")):
            continue
        for key, value in READ.items():
            if settings.get(key, value) != value:
                raise ConfigError(f"{file}: {key}={settings[key]} is not read; must be {value}")
        path = (folder / settings.get("DataPath", "")).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_dir():
            raise ConfigError(f"{file}: DataPath={settings.get('DataPath')} is no folder of {folder}")
        return path, PREFIXES.get(settings.get("BlockType", "CHAPTER").upper(), "b")
    raise ConfigError(f"{folder}: has no module {name}; it has {', '.join(offered) or 'none in mods.d'}")


def _settings(file: Path) -> tuple[str, dict[str, str]]:
    """Return the name of a module and its settings."""
    module, settings = file.stem, dict[str, str]()
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("["):
            module = line.strip().strip("[]")
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            settings.setdefault(key.strip(), value.strip())
    return module, settings


def _entries(stem: Path) -> Iterator[str]:
    """Yield the markup of all entries of a testament: headings of books and chapters, and verses."""
    files = [stem.with_name(f"{stem.name}{letter}") for letter in "szv"]
    for file in files:
        require_regular(file)
    blocks, texts, places = (file.read_bytes() for file in files)
    unpacked = []
    for start, length, size in BLOCK.iter_unpack(blocks):
        inflating = zlib.decompressobj()
        block = inflating.decompress(texts[start : start + length], size + 1)  # never more than the file says
        if len(block) != size or not inflating.eof:
            raise ValueError(f"a block of {len(block)} bytes, not {size}")
        unpacked.append(block)
    for block, start, length in PLACE.iter_unpack(places):
        markup = unpacked[block][start : start + length] if length else b""
        if len(markup) != length:
            raise ValueError(f"an entry of {len(markup)} bytes, not {length}")
        yield markup.decode("utf-8")


def _numbered(entries: Iterator[str]) -> dict[Verse, str]:
    """Return the texts by chapter and number, which is the place after the heading of the chapter."""
    verses: dict[Verse, str] = {}
    chapter, number = "", 0
    for markup in entries:
        marks = CHAPTER.findall(markup)
        if marks or BOOK.search(markup):
            chapter, number = (marks or [""])[-1], 0
            continue
        number += 1
        text = plain_text(markup) if chapter else ""
        if text:
            verses[chapter, number] = text
    return verses

"""Write miniatures of SWORD's compressed texts."""

import struct
import zlib
from pathlib import Path

HEADER = '<milestone type="x-importer" subType="x-osis2mod" n="$Rev$"/>'


def write_module(library: Path, name: str, chapters: dict[str, list[str]], **settings: str) -> Path:
    """Write the verses of chapters, named as Gen.1, as the module of a library; returns the folder of its texts.

    The first half of the books is the Old Testament. A block is a book, as in Debian's modules.
    """
    path = library / "modules" / "texts" / name
    path.mkdir(parents=True)
    (library / "mods.d").mkdir(exist_ok=True)
    values = {"Abbreviation": name.upper(), "DataPath": f"./modules/texts/{name}/", "ModDrv": "zText"}
    values |= {
        "SourceType": "OSIS",
        "CompressType": "ZIP",
        "BlockType": "BOOK",
        "Encoding": "UTF-8",
    } | settings
    lines = [f"[{name}]", "# a comment = none", *(f"{key}={value}" for key, value in values.items())]
    (library / "mods.d" / f"{name}.conf").write_text("\n".join(lines))
    books = list(dict.fromkeys(chapter.rpartition(".")[0] for chapter in chapters))
    half = len(books) // 2
    for testament, part in (("ot", books[:half]), ("nt", books[half:])):
        _write_testament(path / testament, part, chapters)
    return path


def _write_testament(stem: Path, books: list[str], chapters: dict[str, list[str]]) -> None:
    blocks, places, texts = b"", struct.pack("<IIH", 0, 0, 0), b""
    for number, entries in enumerate([[HEADER], *(_entries(book, chapters) for book in books)]):
        content = b""
        for entry in entries:
            encoded = entry.encode()
            places += struct.pack("<IIH", number, len(content), len(encoded))
            content += encoded
        packed = zlib.compress(content)
        blocks += struct.pack("<III", len(texts), len(packed), len(content))
        texts += packed
    for letter, content in (("s", blocks), ("v", places), ("z", texts)):
        stem.with_name(f"{stem.name}.bz{letter}").write_bytes(content)


def _entries(book: str, chapters: dict[str, list[str]]) -> list[str]:
    entries = [f'<div canonical="true" osisID="{book}" sID="gen1" type="book"/> <title>{book}</title>']
    for chapter, verses in chapters.items():
        if chapter.rpartition(".")[0] == book:
            entries += [
                f'<div sID="g" type="x-p"/> <chapter n="1" osisID="{chapter}" sID="{chapter}"/> ',
                *verses,
            ]
            entries[-1] += f' <chapter eID="{chapter}"/>'
    return entries

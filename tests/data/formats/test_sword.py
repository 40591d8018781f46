"""Verses of SWORD's modules, from miniatures, and their texts without markup."""

from pathlib import Path

import pytest

from helpers.sword_modules import write_module
from intrinsic_clip.data.formats.sword import plain_text, read_verses
from intrinsic_clip.errors import ConfigError

CHAPTERS = {
    "Gen.1": ["In the beginning", "<w lemma='x'>And</w> the <w>earth</w>.<note>1.2 a note</note>"],
    "Gen.2": ["", "Thus"],
    "Matt.1": ["¶The book of the generation", "Abraham begat Isaac"],
    "Rev.22": ["Amen."],
}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("In <w>the</w> <w>beginning</w>, <w>God</w><note n='a'>the <b>Hebrew</b></note><w>created</w>.",
         "In the beginning, God created."),
        ("<w>God</w><note>x</note>, and<note>y</note>” she<note/> said", "God, and” she said"),
        ("<w>hay allí</w><transChange type='added'>también</transChange><w>bdelio</w>", "hay allí también bdelio"),
        ("preguntando<transChange type='added'>le</transChange>, ", "preguntandole,"),
        ("be <w>give</w>n", "be given"),
        ("<l level='1' sID='a'/>He makes<l level='1' eID='a'/><l level='2' sID='b'/>me lie", "He makes me lie"),
        ("¶ And <milestone type='x-p' marker='¶'/>he", "And he"),
        ("first¶second", "first second"),
        ("<title canonical='true'>A Psalm of David.</title>The LORD<divineName>'s</divineName>", "The LORD's"),
        ("Tom &amp; <q marker=''>Ann</q>", "Tom & Ann"),
        ("Because the \\nd LORD\\nd* hath", "Because the LORD hath"),
        ("Amen. <chapter eID='Rev.22'/> <div type='glossary'/> Abaddon is Hebrew", "Amen."),
        ("<speaker>Lover</speaker>Behold<lb/>you", "Behold you"),
    ],
)  # fmt: skip
def test_words_keep_their_spaces_and_lose_their_markup(markup: str, text: str) -> None:
    assert plain_text(markup) == text


def test_verses_are_numbered_from_the_marks_of_chapters(tmp_path: Path) -> None:
    write_module(tmp_path, "kjv", CHAPTERS)
    expected = {
        ("Gen.1", 1): "In the beginning",
        ("Gen.1", 2): "And the earth.",
        ("Gen.2", 2): "Thus",
        ("Matt.1", 1): "The book of the generation",
        ("Matt.1", 2): "Abraham begat Isaac",
        ("Rev.22", 1): "Amen.",
    }
    assert read_verses(tmp_path, "KJV") == read_verses(tmp_path, "kjv") == expected


def test_one_testament_is_enough(tmp_path: Path) -> None:
    path = write_module(tmp_path, "kjv", CHAPTERS)
    for file in path.glob("ot.*"):
        file.unlink()
    assert {chapter for chapter, _ in read_verses(tmp_path, "KJV")} == {"Matt.1", "Rev.22"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"ModDrv": "RawText"}, r"ModDrv=RawText is not read; must be zText"),
        ({"SourceType": "GBF"}, r"SourceType=GBF is not read"),
        ({"CompressType": "LZSS"}, r"CompressType=LZSS is not read"),
        ({"DataPath": "../elsewhere"}, r"DataPath=../elsewhere is no folder of"),
        ({"BlockType": "CHAPTER"}, r"holds no verses; expected ot.czz or nt.czz"),
    ],
)
def test_other_formats_are_refused(settings, reason, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    library = tmp_path / "sword"
    write_module(library, "kjv", CHAPTERS, **settings)
    with pytest.raises(ConfigError, match=reason):
        read_verses(library, "KJV")


@pytest.mark.parametrize("letter", "svz")
def test_damaged_files_are_named(letter, tmp_path: Path) -> None:
    path = write_module(tmp_path, "kjv", CHAPTERS) / f"nt.bz{letter}"
    content = path.read_bytes()
    for damaged in (content[:-5], b"\xff" * len(content)):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"kjv: damaged, or no texts of SWORD"):
            read_verses(tmp_path, "KJV")
    path.unlink()
    if letter != "z":
        with pytest.raises(ConfigError, match=rf"damaged.*nt.bz{letter}"):
            read_verses(tmp_path, "KJV")

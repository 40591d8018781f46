"""Turn docstrings written as plain text into reStructuredText: formulas become literal, stray markup is escaped."""

import re
from itertools import groupby

from sphinx.application import Sphinx

SECTION = re.compile(
    r"(Args|Attributes|Returns|Yields|Raises|Note|Notes|Example|Examples|References|See Also):$"
)
# Text between backquotes and the emphasis of titles, as in *Nature*, is left alone.
KEPT = re.compile(r"``.+?``|`[^`]*`|(?<![\w*(])\*(?=\S)[^*`]+?(?<=\S)\*(?![\w*])", re.DOTALL)
MARKUP = re.compile(r"(?<![\w\\])\*+(?=\S)|(?<=\w)_(?!\w)|\|")


def escape(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Rewrite a docstring in place, paragraph by paragraph."""
    rewritten: list[str] = []
    section = ""
    for is_blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if is_blank:
            rewritten += paragraph
            continue
        if SECTION.match(paragraph[0]):
            section = paragraph[0]
        elif not paragraph[0].startswith(" "):
            section = ""
        if any(line.lstrip().startswith(">>>") for line in paragraph):
            rewritten += paragraph
        elif paragraph[0].startswith("    ") and not section:
            rewritten += ["::", "", *paragraph]
        else:
            rewritten += _escaped("\n".join(paragraph)).split("\n")
    lines[:] = rewritten


def _escaped(text: str) -> str:
    pieces, end = [], 0
    for kept in KEPT.finditer(text):
        pieces += [MARKUP.sub(r"\\\g<0>", text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join([*pieces, MARKUP.sub(r"\\\g<0>", text[end:])])

"""Read which numbers are asked for: words for families, names, or names without their last parts."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from difflib import get_close_matches

from intrinsic_clip.dimension import registry
from intrinsic_clip.dimension.arrays import whole_number
from intrinsic_clip.dimension.percentages import percentage, share_of
from intrinsic_clip.measurement.embeddings import Side
from intrinsic_clip.measurement.families import (
    Alignment,
    Family,
    Information,
    IntrinsicDimension,
    Matching,
    Similarities,
    Spectrum,
)

BOTH: tuple[Side, Side] = ("x", "y")
ERROR = "_standard_error"
LABEL = "/label_"
WAYS = ("x_to_y", "y_to_x")
ESTIMATORS = ("mle", "twonn")
DEFAULT = ("id", "spectrum", "uniformity")
DEFAULT_OF_PAIRS = ("matching", "alignment", "modality_gap")
PATTERNS = {  # of what follows the word for a family
    "id": r"(?P<estimator>[^/]+)(/[xy])?",
    "spectrum": r"(participation_ratio|effective_rank|components_(?P<share>[\d.]+)pct)(/[xy])?",
    "matching": r"(median_rank|top_(?P<alpha>[\d.]+)pct|top_(?P<k>\d+)|label_.+?)(/(x_to_y|y_to_x))?",
    "alignment": r"cosine",
    "uniformity": r"[xy]",
    "modality_gap": r"",
    "distribution_gap": r"",
    "information": r"infonce_bound",
    "similarity": r"positive|random",
    "norm": r"[xy]",
    "relative_norm": r"[xy]",
}
PATTERNS["retrieval"] = PATTERNS["matching"]
WITH_ERRORS = ("id", "spectrum")
OF_PAIRS = (
    "matching",
    "retrieval",
    "alignment",
    "modality_gap",
    "distribution_gap",
    "information",
    "similarity",
)
MEANT = {
    "dimension": "id",
    "intrinsic_dimension": "id",
    "recall": "retrieval",
    "gap": "modality_gap",
    "rank": "spectrum",
}


@dataclass(frozen=True)
class Selection:
    """Families to measure, and the words that choose among their numbers.

    Attributes:
        words: as they were given, or the default ones.
        families: which have what the words ask for.
    """

    words: tuple[str, ...]
    families: tuple[Family, ...]

    def wants(self, name: str) -> bool:
        """Return whether a number is asked for."""
        return any(_covers(word, name) for word in self.words)

    def advising(self, more_rows: str) -> "Selection":
        """Return a selection whose doubts say how more rows can be had; "" where there are no more."""
        families = [
            replace(family, more_rows=more_rows) if isinstance(family, IntrinsicDimension) else family
            for family in self.families
        ]
        return replace(self, families=tuple(families))

    def expected(self, sides: Sequence[Side]) -> list[str]:
        """Return the names that a measurement must give, be it as NaN, in their order."""
        names: dict[str, None] = {}
        for family in self.families:
            listed = family.names(sides)
            for word in self.words:
                matching = [name for name in listed if _covers(word, name)]
                names |= dict.fromkeys(
                    matching or [name for name in family.names(BOTH) if _covers(word, name)]
                )
        whole = (
            word for word in self.words if word.startswith(tuple(f"{kind}{ERROR}/" for kind in WITH_ERRORS))
        )
        labels = (
            f"{word.removesuffix(f'/{way}')}/{way}"
            for word in self.words
            if LABEL in word
            for way in WAYS
            if not word.endswith(WAYS) or word.endswith(way)
        )
        return [*dict.fromkeys([*names, *(word for word in whole if word.endswith(("/x", "/y"))), *labels])]


def chosen(
    only: str | Sequence[str] | None, paired: bool, tau: bool, k: int, estimators: Sequence[str] | None
) -> Selection:
    """Return the families and names that `only` asks for.

    Args:
        only: words for families, names, or names without their last parts; None: a quick selection.
        paired: whether there is a y.
        tau: whether the temperature is known.
        k: neighbours of mle, mada and tle.
        estimators: those of the word `id`; None: mle and twonn.

    Raises:
        ValueError: a word that is none of these, or one about pairs where there is no y.
    """
    if estimators is not None:
        estimators = (estimators,) if isinstance(estimators, str) else tuple(estimators)
        _check_estimators(estimators)
    whole_number("k", k, 2)
    if only is None:
        words: tuple[str, ...] = DEFAULT + DEFAULT_OF_PAIRS * paired + ("information",) * (paired and tau)
    else:
        words = (only,) if isinstance(only, str) else tuple(only)
    if isinstance(only, Set):
        words = tuple(sorted(words, key=str))  # the order of a set differs between processes
    asked = [(_as_named(word), *_parsed(word)) for word in words]
    words = tuple(word for word, _, _ in asked)
    if not paired:
        for word, kind, _ in asked:
            _check_needs_no_y(word, kind)
    kinds = {kind for _, kind, _ in asked}

    def parts(kind: str, part: str, default: Sequence[str]) -> list[str]:
        """Return what the words ask for of a family: its defaults where one is the family's own."""
        values: dict[str, None] = {}
        for _, its_kind, match in asked:
            if its_kind == kind and match is None:
                values |= dict.fromkeys(default)
            elif its_kind == kind and match is not None and match.groupdict().get(part):
                values[match[part]] = None
        return list(values)

    families: list[Family] = []
    if "id" in kinds:
        names = parts("id", "estimator", ESTIMATORS if estimators is None else estimators)
        families.append(IntrinsicDimension(tuple(registry.check_names(names)), int(k)))
    if "spectrum" in kinds:
        families.append(Spectrum(_shares(parts("spectrum", "share", ("90", "95", "99")))))
    for kind, similarity in (("matching", "inner_product"), ("retrieval", "cosine")):
        if kind in kinds:
            ks = tuple(int(number) for number in parts(kind, "k", ("1",)))
            families.append(Matching(ks, _shares(parts(kind, "alpha", ("0.5",))), similarity))  # type: ignore[arg-type]
    families += [Alignment()] * bool(kinds & {"alignment", "uniformity", "modality_gap", "distribution_gap"})
    families += [Information()] * ("information" in kinds)
    families += [Similarities()] * bool(kinds & {"similarity", "norm", "relative_norm"})
    return Selection(words, tuple(families))


def error_of(name: str) -> str | None:
    """Return the name of a number's standard error; None where it has none."""
    kind, slash, parts = name.partition("/")
    return f"{kind}{ERROR}{slash}{parts}" if kind in WITH_ERRORS else None


def _check_needs_no_y(word: str, kind: str) -> None:
    """Refuse a word that asks for a number of pairs, or of y."""
    if kind in OF_PAIRS:
        raise ValueError(f"{word} compares x with y, and there is no y")
    if word.endswith("/y"):
        raise ValueError(f"{word} is a number of y, and there is no y")


def _check_estimators(names: Sequence[str]) -> None:
    """Check names of estimators; those of scikit-dimension that differ from ours in case alone are mistakes.

    Raises:
        ValueError: an unknown name.
    """
    ours = {name.replace("_", "").lower(): name for name in registry.registered()}
    for name in names:
        near = ours.get(name.replace("_", "").lower()) if isinstance(name, str) else None
        if near not in (None, name):
            raise ValueError(f"there is no estimator {name}: did you mean {near}?")
    registry.check_names(names)


def _shares(percent: Sequence[str]) -> tuple[float, ...]:
    return tuple(share_of(number) for number in percent)


def _parsed(word: str) -> tuple[str, re.Match[str] | None]:
    """Return the family of a word, and the match of what follows; None for the family's own word.

    Raises:
        ValueError: there is no such number.
    """
    head, _, tail = word.partition("/") if isinstance(word, str) else (repr(word), "", "")
    kind = head.removesuffix(ERROR)
    known = kind in PATTERNS and (head == kind or kind in WITH_ERRORS)
    if known and not tail and head == kind:
        return kind, None
    match = re.fullmatch(PATTERNS[kind], tail) if known else None
    if match is None or not _is_possible(kind, match):
        raise ValueError(_unknown(word))
    return kind, match


def _as_named(word: str) -> str:
    """Return a word with its numbers as names have them: `top_0.50pct` asks for `top_0.5pct`, and `top_05` for `top_5`.

    Raises:
        ValueError: there is no such number.
    """
    _, match = _parsed(word)
    parts = {} if match is None else match.groupdict()
    for part in ("k", "alpha", "share"):
        if match is not None and parts.get(part) is not None:
            written = str(int(match[part])) if part == "k" else percentage(share_of(match[part]))
            start, end = (place - len(match.string) for place in match.span(part))
            return word[:start] + written + (word[end:] if end else "")
    return word


def _is_possible(kind: str, match: re.Match[str]) -> bool:
    """Return whether the numbers within a name are in range and its estimator exists."""
    parts = match.groupdict()
    try:
        if kind == "id":
            _check_estimators([parts["estimator"]])
        if parts.get("k") is not None:
            return int(parts["k"]) >= 1
        if parts.get("share") is not None:
            return 0 < float(parts["share"]) < 100
        if parts.get("alpha") is not None:
            return 0 < float(parts["alpha"]) <= 100
    except ValueError:
        return False
    return True


def _unknown(word: object) -> str:
    """Return the message about a word that is no family and no name."""
    families: list[Family] = [
        IntrinsicDimension(tuple(registry.registered())),
        Spectrum(),
        Matching(),
        Matching(similarity="cosine"),
        Alignment(),
        Information(),
        Similarities(),
    ]
    whole = [name for family in families for name in family.names(BOTH)]
    names = dict.fromkeys(
        [*PATTERNS, *(name.rpartition("/")[0] for name in whole if name.count("/") > 1), *whole]
    )
    near = _nearest(str(word), list(names))
    meant = "" if near is None else f"; the nearest is {near!r}"
    return f"there is no number {word!r}{meant}. Families are {', '.join(PATTERNS)}; names are taken in whole parts"


def _nearest(word: str, names: Sequence[str]) -> str | None:
    """Return the name that a mistaken word is likely to mean, if there is one."""
    head, slash, tail = word.lower().partition("/")
    word = f"{MEANT.get(head, head)}{slash}{tail}"
    begun = [name for name in names if name.startswith(word)]
    return next(iter([*begun, *get_close_matches(word, names, 1, 0.5)]), None)


def _covers(word: str, name: str) -> bool:
    """Return whether a word asks for a number: by its family, its name, or its name without last parts."""
    if name == word or name.startswith(f"{word}/"):
        return True
    return "/" not in word and name.partition("/")[0] == f"{word}{ERROR}"

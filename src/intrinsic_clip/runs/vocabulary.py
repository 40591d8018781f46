"""Look metrics up by name: title, unit, axis and meaning. Everything that shows a number reads it from here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from intrinsic_clip.runs.declarations import (
    CLASSIFIERS,
    DECLARATIONS,
    DIRECTIONS,
    ESTIMATORS,
    FURTHER_DIRECTIONS,
    FURTHER_SIDES,
    MODALITIES,
    MODALITY_PAIRS,
    PAIRS,
    PARTS,
    PLACEHOLDERS,
    PLAIN,
    REGRESSIONS,
    SIDES,
    SPLITS,
    USUAL_ESTIMATORS,
    Declaration,
    Scale,
)

__all__ = [
    "DIRECTIONS",
    "ESTIMATORS",
    "FURTHER_DIRECTIONS",
    "FURTHER_SIDES",
    "MAIN_NUMBERS",
    "MODALITIES",
    "PAIRS",
    "SIDES",
    "USUAL_ESTIMATORS",
    "Metric",
    "describe",
    "estimator_title",
    "main_numbers",
    "markdown_table",
]

MATCHING = "matching/top_", "retrieval/top_"  # by inner product, or else by cosine
# column label → beginnings of a metric's name
MAIN_NUMBERS = {
    "ID f(X)": ("id/mle/x",),
    "ID g(Y)": ("id/mle/y",),
    "matching": MATCHING,
    "τ": ("temperature",),
}


@dataclass(frozen=True)
class Metric:
    """One metric, as pages, pictures, tables and W&B show it.

    Attributes:
        name: `in_sample/id/mle/x`.
        chart: `in_sample/id/mle`, the name without side or direction; metrics that share it belong into one chart.
        title: title of that chart, `Intrinsic dimension, MLE, training rows`.
        short: title for narrow columns, `ID, MLE, training rows`.
        part: which line of the chart it is, `f(X)`; "" where it is the only one.
        quantity: words for an axis, `intrinsic dimension`.
        scale: unit, axis and good direction.
        true_dimension: whether k* is its true value.
        main: whether summaries show it.
        meaning: one sentence; "" where it is not declared.
        declared: whether its name follows a declared pattern; if not, its words are derived from the name.
        order: sort key.
    """

    name: str
    chart: str
    title: str
    short: str
    part: str
    quantity: str
    scale: Scale
    true_dimension: bool
    main: bool
    meaning: str
    declared: bool
    order: tuple[bool, int, int, str]

    @property
    def full_title(self) -> str:
        """Title and part, unique for each name."""
        return f"{self.title}, {self.part}" if self.part else self.title

    @property
    def axis_label(self) -> str:
        """Quantity, with its unit where the words do not imply it."""
        return f"{self.quantity} (nats)" if self.scale.unit == "nats" else self.quantity


def estimator_title(name: str) -> str:
    """Return an estimator's name in words; names with capitals (`DANCo`, `lPCA`) are classes of scikit-dimension."""
    if name in ESTIMATORS:
        return ESTIMATORS[name]
    if name != name.lower():
        return f"{name} (scikit-dimension)"
    return " ".join(ESTIMATORS.get(word, word) for word in name.split("_"))


@cache
def describe(name: str) -> Metric:
    """Return title, scale and meaning of a metric; a name that is not declared is spelled out.

    Args:
        name: as in results.json, with or without `in_sample/` or `test/` in front.
    """
    prefix = next((prefix for prefix in SPLITS if name.startswith(prefix)), "")
    plain = name.removeprefix(prefix)
    declaration, words = _match(plain)
    chart, part = _split(name)
    title = _title(declaration.quantity, declaration.detail.format(**words))
    rows = f", {SPLITS[prefix]}" if prefix else ""
    declared = declaration in ALL_DECLARATIONS
    place = ALL_DECLARATIONS.index(declaration) if declared else len(ALL_DECLARATIONS)
    return Metric(
        name=name,
        chart=chart,
        title=title + rows,
        short=(_capitalised(declaration.short.format(**words)) or title) + rows,
        part=part,
        quantity=declaration.quantity,
        scale=declaration.scale,
        true_dimension=declaration.true_dimension,
        main=declaration.main and not prefix,
        meaning=declaration.meaning,
        declared=declared,
        order=(bool(prefix), place, _estimator_place(plain), name),
    )


def main_numbers(names: Iterable[str]) -> dict[str, str | None]:
    """Return the metric behind each label of MAIN_NUMBERS, None where it is not among these names."""
    names = list(names)
    return {
        label: next((name for start in starts for name in names if name.startswith(start)), None)
        for label, starts in MAIN_NUMBERS.items()
    }


def markdown_table() -> str:
    """Return all declared metrics as a Markdown table: name, title, unit, better, axis, meaning."""
    lines = ["| name | title | unit | better | axis | meaning |", "|---|---|---|---|---|---|"]
    for declaration in ALL_DECLARATIONS:
        scale, detail = declaration.scale, re.sub(r"\{(.+?)\}", r"*\1*", declaration.detail)
        title = _title(declaration.quantity, detail)
        cells = [title, scale.unit or "–", scale.better or "–", scale.axis, declaration.meaning]
        lines.append(f"| `{declaration.pattern}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _error_of(declaration: Declaration) -> Declaration:
    """Return the declaration of a metric's standard error."""
    kind, _, parts = declaration.pattern.partition("/")
    return Declaration(
        f"{kind}_standard_error/{parts}",
        f"standard error of {declaration.quantity}",
        Scale(declaration.scale.unit, "from zero", "lower"),
        f"Standard error of `{declaration.pattern}`.",
        declaration.detail,
    )


ALL_DECLARATIONS = (*DECLARATIONS, *(_error_of(each) for each in DECLARATIONS if each.standard_error))


@cache
def _patterns() -> list[tuple[Declaration, re.Pattern[str]]]:
    """Return each declaration with its pattern as a regular expression, placeholders as named groups."""
    compiled = []
    for declaration in ALL_DECLARATIONS:
        pieces = re.split(r"<(.+?)>", declaration.pattern)
        expression = "".join(
            f"(?P<{piece}>{PLACEHOLDERS[piece]})" if place % 2 else re.escape(piece)
            for place, piece in enumerate(pieces)
        )
        compiled.append((declaration, re.compile(expression)))
    return compiled


def pair_name(name: str, first: str, second: str) -> str:
    """Return the name that a number of x and y has for two other modalities.

    Example:
        >>> from intrinsic_clip.runs.vocabulary import pair_name
        >>> [pair_name(name, "x", "z") for name in ("retrieval/top_1/y_to_x", "norm/y", "modality_gap")]
        ['retrieval/top_1/z_to_x', 'norm/z', 'modality_gap/x_z']
    """
    if (first, second) == ("x", "y"):
        return name
    stem, _, last = name.rpartition("/")
    lasts = {"x": first, "y": second, "x_to_y": f"{first}_to_{second}", "y_to_x": f"{second}_to_{first}"}
    return f"{stem}/{lasts[last]}" if last in lasts else f"{name}/{first}_{second}"


def _match(plain: str) -> tuple[Declaration, dict[str, str]]:
    """Return the declaration that a name without prefix follows, or one made from the name, and its placeholders.

    Numbers of a pair of modalities other than x and y have the declaration of x and y: `modality_gap/x_z`.
    """
    stem, _, last = plain.rpartition("/")
    if last in MODALITY_PAIRS:
        declaration, words = _match(stem)
        if declaration in ALL_DECLARATIONS:
            return declaration, words
    for declaration, pattern in _patterns():
        match = pattern.fullmatch(plain)
        if match is not None:
            return declaration, {key: _in_words(key, value) for key, value in match.groupdict().items()}
    kind, _, parts = _split(plain)[0].replace("_", " ").partition("/")
    title = f"{kind}: {parts.replace('/', ', ')}" if parts else kind
    return Declaration(plain, title, PLAIN, ""), {}


def _in_words(placeholder: str, value: str) -> str:
    if placeholder == "estimator":
        return estimator_title(value)
    tables = {"regression": REGRESSIONS, "classifier": CLASSIFIERS}
    return tables.get(placeholder, {}).get(value, value.replace("_", " "))


def _split(name: str) -> tuple[str, str]:
    """Return a name without its last part, side, direction or pair, and that in words; the name and "" without one."""
    stem, _, last = name.rpartition("/")
    if stem and last in MODALITY_PAIRS:
        chart, part = _split(stem)
        return chart, ", ".join(filter(None, (part, PARTS[last])))
    return (stem, PARTS[last]) if stem and last in PARTS else (name, "")


def _estimator_place(plain: str) -> int:
    kind, _, parts = plain.partition("/")
    names = list(ESTIMATORS)
    estimator = parts.partition("/")[0] if kind == "id" else ""
    return names.index(estimator) if estimator in names else len(names)


def _title(quantity: str, detail: str) -> str:
    return _capitalised(f"{quantity}, {detail}" if detail else quantity)


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:] if words[:1].isascii() else words  # τ stays τ

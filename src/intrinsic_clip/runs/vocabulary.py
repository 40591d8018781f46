"""Declare every metric: name, title, unit, axis and meaning. Everything that shows a number reads it from here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Axis = Literal["linear", "from zero", "zero to one", "log"]
Direction = Literal["higher", "lower", ""]

USUAL_ESTIMATORS = {  # those of probes=full
    "mle": "MLE",
    "twonn": "TwoNN",
    "gride": "GRIDE",
    "correlation_integral": "correlation integral",
    "method_of_moments": "method of moments",
    "mada": "MADA",
    "tle": "TLE",
    "local_pca": "local PCA",
}
ESTIMATORS = USUAL_ESTIMATORS | {
    "corrected_participation_ratio": "corrected participation ratio",
    "mean_mle": "MLE, mean of points",
    "spanning_tree": "minimum spanning tree",
}
SIDES = {"x": "f(X)", "y": "g(Y)"}
DIRECTIONS = {"x_to_y": "x → y", "y_to_x": "y → x"}
PAIRS = {"positive": "positive pairs", "random": "random pairs"}
PARTS = SIDES | {"z": "Z"} | DIRECTIONS | PAIRS  # by the last part of a name: lines of one chart
SPLITS = {"in_sample/": "training rows", "test/": "test rows"}  # prefixes; without one: held-out rows
CLASSIFIERS = {"knn": "k nearest neighbours", "linear": "linear classifier", "zero_shot": "zero-shot"}
REGRESSIONS = {"linear": "ridge regression", "kernel": "kernel ridge regression"}
MATCHING = "matching/top_", "retrieval/top_"  # by inner product, or else by cosine
# column label → beginnings of a metric's name
MAIN_NUMBERS = {
    "ID f(X)": ("id/mle/x",),
    "ID g(Y)": ("id/mle/y",),
    "matching": MATCHING,
    "τ": ("temperature",),
}


@dataclass(frozen=True)
class Scale:
    """Unit, axis and good direction of a number.

    Attributes:
        unit: "" for a number without one.
        axis: scale and limits of an axis.
        better: whether higher or lower is better; "" where neither is.
    """

    unit: str = ""
    axis: Axis = "linear"
    better: Direction = ""


@dataclass(frozen=True)
class Declaration:
    """A metric, or several whose names follow one pattern.

    Attributes:
        pattern: the name, with a placeholder for each part that varies: `id/<estimator>/<side>`.
        quantity: words for the axis of a chart, without placeholders.
        scale: unit, axis and good direction.
        meaning: one sentence for the generated table.
        detail: words that follow the quantity in a title, with the pattern's placeholders in braces.
        short: title for narrow columns, with placeholders too; empty: as the title.
        true_dimension: whether k*, the shared dimension, is its true value.
        main: whether summaries show it.
        standard_error: whether its standard error is logged as `<kind>_standard_error/…`.
    """

    pattern: str
    quantity: str
    scale: Scale
    meaning: str
    detail: str = ""
    short: str = ""
    true_dimension: bool = False
    main: bool = False
    standard_error: bool = False


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


PLAIN = Scale()
HIGHER, FROM_ZERO = Scale(better="higher"), Scale(axis="from zero")
DIMENSIONS = Scale("dimensions", "from zero")
PAIRS_SHARE = Scale("share of pairs", "zero to one", "higher")
ROWS_SHARE = Scale("share of rows", "zero to one", "higher")
RANK = Scale("rank", "log", "lower")

# fmt: off
DECLARATIONS = (  # in the order in which pages and tables show them
    Declaration("id/<estimator>/<side>", "intrinsic dimension", DIMENSIONS,
        "Intrinsic dimension of the representations by one estimator; the paper's is the MLE with k = 20.",
        "{estimator}", "ID, {estimator}", true_dimension=True, main=True, standard_error=True),
    Declaration("matching/top_<k>/<direction>", "matching accuracy", PAIRS_SHARE,
        "Share of pairs whose partner is among the k largest inner products of the encoders' own outputs.",
        "top {k}", "top {k}", main=True),
    Declaration("matching/top_<α>pct/<direction>", "matching accuracy", PAIRS_SHARE,
        "Share of pairs whose partner is among the max(1, int(α n)) largest inner products; the paper's α is 0.5 %.",
        "top {α} %", "top {α} %", main=True),
    Declaration("matching/label_<set>/<direction>", "label matching accuracy", ROWS_SHARE,
        "Share of rows whose best match by inner product has their own label of this label set.",
        "{set}", "label {set}", main=True),
    Declaration("matching/median_rank/<direction>", "median rank of the partner", RANK,
        "Median rank of the partner by inner product among n rows: 1 is the nearest, (n + 1) / 2 is chance.",
        short="median rank"),
    Declaration("retrieval/top_<k>/<direction>", "recall by cosine", PAIRS_SHARE,
        "Share of pairs whose partner is among the k largest cosines (recall@k).",
        "top {k}", "recall@{k}", main=True, standard_error=True),
    Declaration("retrieval/top_<α>pct/<direction>", "recall by cosine", PAIRS_SHARE,
        "Share of pairs whose partner is among the max(1, int(α n)) largest cosines.",
        "top {α} %", "recall@{α} %", main=True, standard_error=True),
    Declaration("retrieval/prefix_<k>/<direction>", "recall by cosine", PAIRS_SHARE,
        "Recall@1 with the first k coordinates alone, as of truncated Matryoshka embeddings.",
        "first {k} coordinates", "recall@1, first {k}"),
    Declaration("retrieval/label_<set>/<direction>", "label accuracy by cosine", ROWS_SHARE,
        "Share of rows whose best match by cosine has their own label of this label set.",
        "{set}", main=True),
    Declaration("retrieval/median_rank/<direction>", "median rank of the partner by cosine", RANK,
        "Median rank of the partner by cosine among n rows: 1 is the nearest, (n + 1) / 2 is chance.",
        short="median rank by cosine"),
    Declaration("retrieval/candidates", "candidates of retrieval", Scale("rows"),
        "Number of rows among which each partner is searched."),
    Declaration("temperature", "temperature τ", Scale(axis="log"),
        "Temperature of the loss; in the paper's theory a learned τ falls to 0.",
        short="τ", main=True),
    Declaration("loss", "InfoNCE loss on training batches", Scale("nats", better="lower"),
        "Symmetric InfoNCE loss of a training step; the final number is the mean over the last epoch.",
        short="loss"),
    Declaration("validation/loss", "InfoNCE loss on append rows", Scale("nats", better="lower"),
        "Symmetric InfoNCE loss over the held-out append rows; the final number is the lowest, whose weights are kept.",
        short="validation loss"),
    Declaration("validation/epoch", "epoch of the kept weights", Scale("epochs"),
        "Epoch at which the loss over the held-out append rows was lowest."),
    Declaration("information/infonce_bound", "InfoNCE bound of I(X; Y)", Scale("nats", better="higher"),
        "log N − L over the N held-out rows, a lower bound of the mutual information; at most log N."),
    Declaration("alignment/cosine", "mean cosine of pairs", HIGHER,
        "Mean cosine of positive pairs, at most 1; the paper's alignment is its negative."),
    Declaration("similarity/<pairs>", "mean similarity", PLAIN,
        "Mean similarity as the loss sees it, of positive pairs or of random ones."),
    Declaration("similarity/histogram_<pairs>", "similarity", PLAIN,
        "Histogram of the similarities behind the mean; only in W&B.", "histogram, {pairs} pairs"),
    Declaration("modality_gap", "modality gap", FROM_ZERO,
        "Distance between the mean directions of the two modalities, between 0 and 2."),
    Declaration("spectrum/participation_ratio/<side>", "participation ratio", DIMENSIONS,
        "(Σ λ)² / Σ λ² of the covariance's eigenvalues λ: d if all are equal, 1 if one has all the variance.",
        standard_error=True),
    Declaration("spectrum/effective_rank/<side>", "effective rank", DIMENSIONS,
        "Exponential of the entropy of the singular values, each divided by their sum (RankMe).",
        standard_error=True),
    Declaration("spectrum/components_<share>pct/<side>", "principal components needed", DIMENSIONS,
        "Fewest principal components that hold this share of the variance.",
        "{share} % of the variance", "components for {share} %", standard_error=True),
    Declaration("spectrum/histogram_log10_share/<side>", "log₁₀ share of the variance", PLAIN,
        "Histogram of the principal components' shares of the variance; only in W&B.", "histogram"),
    Declaration("jacobian/rank/<side>", "rank of the Jacobian", DIMENSIONS,
        "Numerical rank of the encoder's Jacobian, read at the largest gap of its mean singular values.",
        true_dimension=True),
    Declaration("jacobian/gap/<side>", "gap of the Jacobian", HIGHER,
        "Largest ratio of one mean singular value of the Jacobian to the next; near 1 the rank is uncertain."),
    Declaration("jacobian/participation/<side>", "participation ratio of the Jacobian", DIMENSIONS,
        "Participation ratio of the squared singular values of the encoder's Jacobian."),
    Declaration("jacobian/overlap/<side>", "overlap of the Jacobian with the latent",
        Scale(axis="zero to one", better="higher"),
        "Share of the Jacobian's leading right-singular space in the input directions that carry the latent."),
    Declaration("shared/dimension", "shared dimension", DIMENSIONS,
        "Estimate of k*, the number of dimensions that x and y share; NaN where the spectrum has no clear gap.",
        true_dimension=True),
    Declaration("shared/side/<side>", "shared dimension read off one side", DIMENSIONS,
        "Estimate of k* from the spectrum of one encoder alone.", true_dimension=True),
    Declaration("shared/effective", "effective number of shared dimensions", DIMENSIONS,
        "Fewest values of the consensus spectrum that hold 90 % of its weight; for spectra that decay without a gap."),
    Declaration("shared/interval/<end>", "shared dimension", DIMENSIONS,
        "End of the 95 % interval of the shared dimension, or of the effective number where no gap is clear.",
        "{end} end of the interval"),
    Declaration("shared/gap", "gap of the consensus spectrum", HIGHER,
        "Ratio of the value before the gap to the next, both sides together; the largest ratio where no gap is clear."),
    Declaration("shared/later_gap", "largest ratio behind the gap", PLAIN,
        "Largest ratio of consecutive values behind the gap; near 1 where its place is certain."),
    Declaration("shared/null_gap", "largest ratio on shuffled pairs", PLAIN,
        "Largest ratio of consecutive values where the pairs are shuffled and nothing is shared."),
    Declaration("shared/top_1", "held-out matching of the estimate", PAIRS_SHARE,
        "Share of held-out pairs that the estimate's own encoders match best, mean of both ways."),
    Declaration("shared/p_value", "p-value of the held-out matching", Scale(axis="zero to one", better="lower"),
        "Probability of such a held-out similarity of partners if nothing is shared, by permutation."),
    Declaration("consensus/rank", "consensus rank", DIMENSIONS,
        "Dimensions that all replicates' encoders agree on: the last clear gap in the spectrum of their mean metric.",
        true_dimension=True),
    Declaration("consensus/gap", "gap of the consensus", HIGHER,
        "Ratio of one root eigenvalue of the replicates' mean metric to the next at the consensus rank."),
    Declaration("recovery/<regression>/<side>", "R² of the latent", Scale("R²", better="higher"),
        "Cross-validated R² of predicting the true latent: 1 is perfect, 0 no better than the mean.",
        "{regression}"),
    Declaration("classification/<classifier>/<set>/<side>", "classification accuracy",
        Scale("accuracy", "zero to one", "higher"),
        "Accuracy of a classifier of this label set on the representations.", "{classifier}, {set}"),
    Declaration("sufficient_dimension/<basis>", "dimensions that keep 99 % of recall", DIMENSIONS,
        "Fewest directions of a basis, principal or canonical, or first coordinates (prefix) that keep 99 % of recall.",
        "{basis} directions"),
    Declaration("norm/<side>", "mean norm of encoder outputs", FROM_ZERO,
        "Mean Euclidean norm of the encoders' own outputs."),
    Declaration("relative_norm/<side>", "mean norm in the loss", FROM_ZERO,
        "Mean norm as the loss sees it; 1 under the population norm if the append rows represent the held-out ones."),
    Declaration("uniformity/<side>", "uniformity", Scale(better="lower"),
        "log E exp(−2 ‖u − v‖²) over pairs of directions u, v: 0 if all are the same, lower if they spread."),
)

_PLACEHOLDERS = {
    **dict.fromkeys(("estimator", "basis"), "[^/]+"), **dict.fromkeys(("α", "share"), r"[\d.e+-]+"),
    "k": r"\d+", "set": ".+", "side": "[xyz]",
    "end": "low|high", "direction": "|".join(DIRECTIONS), "pairs": "|".join(PAIRS),
    "regression": "|".join(REGRESSIONS), "classifier": "|".join(CLASSIFIERS),
}
# fmt: on


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
            f"(?P<{piece}>{_PLACEHOLDERS[piece]})" if place % 2 else re.escape(piece)
            for place, piece in enumerate(pieces)
        )
        compiled.append((declaration, re.compile(expression)))
    return compiled


def _match(plain: str) -> tuple[Declaration, dict[str, str]]:
    """Return the declaration that a name without prefix follows, or one made from the name, and its placeholders."""
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
    """Return a name without its last part, side or direction, and that in words; the name and "" where it has none."""
    stem, _, last = name.rpartition("/")
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

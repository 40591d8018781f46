"""An evaluator for sentence-transformers: dimension, spectrum, and retrieval by the length of a prefix."""

import csv
import logging
import math
import re
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations import measure
from intrinsic_clip.integrations.doubts_once import DoubtsOnce, told_later
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.query_and_document import checked, ways_of
from intrinsic_clip.integrations.wanted import chosen
from intrinsic_clip.measurement.embeddings import Side
from intrinsic_clip.metrics.prefix import retrieval_by_prefix
from intrinsic_clip.metrics.sufficient_dimension import smallest_sufficient

try:
    from sentence_transformers import SentenceTransformer

    if TYPE_CHECKING:
        from sentence_transformers.evaluation import SentenceEvaluator
    else:
        try:
            from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
        except ImportError:  # before version 6
            from sentence_transformers.evaluation import SentenceEvaluator
except ImportError as missing:
    raise ImportError(
        "intrinsic_clip.integrations.sentence_transformers needs its library: pip install sentence-transformers"
    ) from missing

log = logging.getLogger(__name__)
SHORTEST = 8  # of the prefixes that are tried by default
KEPT = 0.99  # share of the full recall that counts as enough
DEFAULT = ("id", "spectrum")
TOP, PREFIX, SUFFICIENT = "retrieval/top_1", "retrieval/prefix", "sufficient_dimension/prefix"
BY_PREFIX = (PREFIX, "sufficient_dimension")  # words for what `measure` does not give
OWN = r"sufficient_dimension(/prefix)?|retrieval/prefix(_(?P<length>\d+)(/(x_to_y|y_to_x))?)?"
LEADING_ZEROS = re.compile("_0+(?=[1-9])")  # of the length of a prefix
BEST = (f"{TOP}/x_to_y", "spectrum/effective_rank/x")  # the first that is asked for is the primary metric


class DimensionEvaluator(SentenceEvaluator):
    """Measure the embeddings of sentences, and how short a prefix of them still retrieves their partners.

    It is an `evaluator=` of `SentenceTransformerTrainer`, alone or in a list. The numbers are those of
    `intrinsic_clip.measure`, and with partners recall@1 by cosine, `retrieval/top_1/x_to_y`, with only the first d
    coordinates, `retrieval/prefix_<d>/x_to_y`, and the fewest that keep 99 % of it, `sufficient_dimension/prefix`.
    Sentences that are equal count as one, any partner of which is right.

    Args:
        sentences1: the sentences that are x.
        sentences2: their partners, y, as questions and their answers; None: there are none.
        dims: prefixes to try, such as the `matryoshka_dims` of a `MatryoshkaLoss`; None: the half, the quarter, … of
            the width, down to 8.
        only: numbers to return, words as in `intrinsic_clip.measure`, also "retrieval/prefix" and
            "sufficient_dimension"; "retrieval" includes prefixes. None: `id` and `spectrum`, and with partners
            recall@1, the prefixes and what suffices. With `dims` those of pairs are returned too.
        max_points: rows, at most, that each number is measured on.
        query_and_document: whether to embed sentences1 by `model.encode_query` and sentences2 by its `encode_document`;
            None: where the model has prompts for them or a Router between them, as the library's own evaluators do.
        name: stands before the numbers' names and in that of the CSV file.
        batch_size, show_progress_bar, truncate_dim: passed to `model.encode` and its like.
        write_csv: whether to append the numbers to a CSV file in the output path.

    Attributes:
        primary_metric: `retrieval/top_1/x_to_y`, or the effective rank (RankMe) of x, or the first number, whichever of
            them is returned; larger counts as better.
        reasons: after a call, why numbers are NaN, by name.
        notes: after a call, what is doubtful or NaN, which a warning tells once, and how the sides were told apart.

    Example:
        >>> evaluator = DimensionEvaluator(questions, answers, dims=[32, 64, 128])  # doctest: +SKIP
        >>> trainer = SentenceTransformerTrainer(model, args, evaluator=evaluator, ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        sentences1: Sequence[str],
        sentences2: Sequence[str] | None = None,
        *,
        dims: Sequence[int] | None = None,
        only: str | Sequence[str] | None = None,
        max_points: int = 10_000,
        query_and_document: bool | None = None,
        name: str = "",
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.sentences1 = _sentences("sentences1", sentences1)
        self.sentences2 = None if sentences2 is None else _sentences("sentences2", sentences2)
        if self.sentences2 is not None and len(self.sentences1) != len(self.sentences2):
            raise ConfigError(
                f"sentences1 and sentences2 must be pairs, got {len(self.sentences1):,} and {len(self.sentences2):,}"
            )
        if sentences2 is None and dims is not None:
            raise ConfigError("dims are for retrieval, which needs partners: sentences2")
        self.query_and_document = checked(query_and_document, sentences2 is not None)
        self.dims = None if dims is None else _dims(dims)
        self.only = self._words(only)
        self.max_points, self.name = max_points, name
        self.batch_size, self.show_progress_bar, self.truncate_dim = (
            batch_size,
            show_progress_bar,
            truncate_dim,
        )
        self.write_csv = write_csv
        self.csv_file = f"dimension_evaluation{'_' * bool(name)}{name}_results.csv"
        self.primary_metric = self._primary()
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self._warn_once = DoubtsOnce()

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the sentences and return the numbers, with the evaluator's name before theirs."""
        ways, told = ways_of(model, self.query_and_document, self.sentences2 is not None)
        x = self._embed(getattr(model, ways[0]), self.sentences1)
        y = None if self.sentences2 is None else self._embed(getattr(model, ways[1]), self.sentences2)
        numbers = Numbers()
        if self._measured():
            with told_later():
                numbers = measure(x, y, only=self._measured(), max_points=self.max_points)
        if y is not None and any(word.split("/")[0] in ("retrieval", BY_PREFIX[1]) for word in self.only):
            self._add_retrieval(numbers, x, y)
        self.reasons, self.notes = numbers.reasons, numbers.notes
        self.primary_metric = self.primary_metric or next(iter(numbers))
        self._warn_once(numbers.notes)
        if told is not None:
            self.notes = [*self.notes, told]
            log.info(told)
        for name, number in numbers.items():
            log.info("%s: %.4g", name, number)
        if output_path is not None and self.write_csv:
            _append(Path(output_path) / self.csv_file, {"epoch": epoch, "steps": steps, **numbers})
        prefixed: dict[str, float] = self.prefix_name_to_metrics(dict(numbers), self.name)
        self.store_metrics_in_model_card_data(model, prefixed, epoch, steps)
        return prefixed

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that the model card shows."""
        settings = {
            "truncate_dim": self.truncate_dim,
            "dims": self.dims,
            "query_and_document": self.query_and_document,
        }
        return {key: value for key, value in settings.items() if value is not None}

    def _words(self, only: str | Sequence[str] | None) -> tuple[str, ...]:
        """Return the words for the numbers to return.

        Raises:
            ConfigError: there are none, or one is no number, or needs partners that are not there.
        """
        paired = self.sentences2 is not None
        words = DEFAULT if only is None else (only,) if isinstance(only, str) else tuple(only)
        words = tuple(word if _by_prefix(word) is None else LEADING_ZEROS.sub("_", word) for word in words)
        if not words:
            raise ConfigError("only names no number; None gives the usual ones")
        own = [word for word in words if _by_prefix(word)]
        if own and not paired:
            raise ConfigError(f"only: {own[0]} needs partners: sentences2")
        try:
            chosen([word for word in words if not _by_prefix(word)], paired, False, 20, None)
        except ValueError as error:
            raise ConfigError(f"only: {error}; here there are {' and '.join(BY_PREFIX)} too") from error
        if paired and (only is None or self.dims is not None):
            words = (*words, TOP, *BY_PREFIX)
        return tuple(dict.fromkeys(words))

    def _measured(self) -> list[str]:
        """Return the words for numbers that `measure` gives."""
        return [word for word in self.only if not (_by_prefix(word) or _asked(word, [TOP]))]

    def _primary(self) -> str:
        """Return the name of the number that says how good a model is; empty if only a call shows the first."""
        sides: tuple[Side, ...] = ("x",) if self.sentences2 is None else ("x", "y")
        names = chosen(self._measured(), len(sides) > 1, False, 20, None).expected(sides)
        names += [name for name in (f"{TOP}/x_to_y", f"{TOP}/y_to_x", SUFFICIENT) if _asked(name, self.only)]
        return next((name for name in BEST if name in names), names[0] if names else "")

    def _embed(self, encode: Callable[..., Tensor], sentences: list[str]) -> Tensor:
        rows = encode(
            sentences,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
            convert_to_tensor=True,
            truncate_dim=self.truncate_dim,
        )
        return rows.float()

    def _add_retrieval(self, numbers: Numbers, x: Tensor, y: Tensor) -> None:
        """Add what is asked for of retrieval to the numbers, of the pairs without NaN and infinity."""
        usable = (x.isfinite() & y.isfinite()).all(1)
        n, odd = len(x), len(x) - int(usable.sum())
        rows = usable if odd < n else ~usable
        values = self._retrieval(
            x[rows].nan_to_num(), y[rows].nan_to_num(), rows.nonzero().flatten().tolist()
        )
        asked = {name: value for name, value in values.items() if _asked(name, self.only)}
        if SUFFICIENT in asked and odd < n:
            numbers.reasons |= values.reasons
            numbers.notes += values.missing()
        if odd == n:
            reason = f"{n:,} of {n:,} pairs hold NaN or infinity"
            asked = dict.fromkeys(asked, math.nan)
            numbers.reasons |= dict.fromkeys(asked, reason)
            numbers.notes.append(f"{', '.join(list(asked)[:2])} … are NaN: {reason}")
        elif odd and not any("hold NaN or infinity" in note for note in numbers.notes):
            numbers.notes.append(
                f"{odd:,} of {n:,} pairs hold NaN or infinity and were left out of all numbers"
            )
        numbers |= asked

    def _retrieval(self, x: Tensor, y: Tensor, rows: Sequence[int]) -> Numbers:
        """Return recall@1 by cosine with all coordinates and with the first ones alone, and how many are enough.

        Args:
            x, y: embeddings, finite.
            rows: the places of their sentences.
        """
        width = x.shape[1]
        lengths = {int(match["length"]) for match in map(_by_prefix, self.only) if match and match["length"]}
        dims = sorted({*(_halves(width) if self.dims is None else self.dims), *lengths})
        if not 1 <= dims[0] <= dims[-1] <= width:
            raise ConfigError(f"dims must lie between 1 and {width}, the width of the embeddings, got {dims}")
        things = (_numbered(self.sentences1), _numbered(self.sentences2 or []))
        curve = retrieval_by_prefix(
            x.nan_to_num(), y.nan_to_num(), dims, max_rows=self.max_points, things=things
        )
        enough = int(smallest_sufficient(curve, KEPT).dims)
        numbers = Numbers({SUFFICIENT: float(enough if enough > 0 else width)})
        if curve.is_by_chance:
            numbers[SUFFICIENT] = math.nan
            numbers.reasons[SUFFICIENT] = f"partners are found by chance alone among {curve.n:,} pairs"
        for way in ("x_to_y", "y_to_x"):
            numbers[f"{TOP}/{way}"] = float(getattr(curve.full, way)[0])
            for place, m in enumerate(dims):
                numbers[f"{PREFIX}_{m}/{way}"] = float(getattr(curve.recall, way)[place, 0])
        return numbers


def _by_prefix(word: object) -> re.Match[str] | None:
    """Return the match of a word for numbers that `measure` does not give."""
    return re.fullmatch(OWN, word) if isinstance(word, str) else None


def _asked(name: str, words: Sequence[str]) -> bool:
    """Return whether a number of retrieval or sufficiency is among those that words stand for."""
    return any(
        name == word or name.startswith(f"{word}/") or (word == PREFIX and name.startswith(f"{word}_"))
        for word in words
    )


def _sentences(argument: str, sentences: Any) -> list[str]:
    """Return sentences as a list.

    Raises:
        ConfigError: they are none.
    """
    if isinstance(sentences, str) or not isinstance(sentences, Iterable):
        raise ConfigError(f"{argument} must be a list of sentences, got {sentences!r:.60}")
    listed = list(sentences)
    if not listed:
        raise ConfigError(f"{argument} is empty: there is nothing to embed")
    if None in listed:
        raise ConfigError(f"{argument}[{listed.index(None)}] is None")
    return listed


def _dims(dims: Any) -> list[int]:
    """Return the lengths of prefixes, ascending.

    Raises:
        ConfigError: they are no whole numbers from 1.
    """
    listed = list(dims) if isinstance(dims, Iterable) and not isinstance(dims, str) else None
    if not listed or not all(isinstance(m, Integral) and int(m) >= 1 for m in listed):
        example = f", such as [{dims}]" if isinstance(dims, Integral) else ""
        raise ConfigError(f"dims must be a list of whole numbers from 1{example}, got {dims!r}")
    return sorted({int(m) for m in listed})


def _halves(width: int) -> list[int]:
    """Return the width, its half, its quarter, … down to `SHORTEST`, ascending."""
    dims = [width]
    while dims[0] // 2 >= SHORTEST:
        dims.insert(0, dims[0] // 2)
    return dims


def _numbered(sentences: Sequence[str]) -> Tensor:
    """Return a number for each sentence, the same for equal ones."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(sentence, len(numbers)) for sentence in sentences])


def _header(path: Path) -> list[str] | None:
    """Return the first row of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), None)


def _append(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a CSV file, or to the next of its name that has these columns or does not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, place, number = list(row), path, 1
    while place.exists() and _header(place) != header:
        number += 1
        place = path.with_stem(f"{path.stem}_{number}")
    is_new = not place.exists()
    with place.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(header)
        writer.writerow(row.values())

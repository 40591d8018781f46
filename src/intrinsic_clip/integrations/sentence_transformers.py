"""An evaluator for sentence-transformers: dimension, spectrum, and retrieval by the length of a prefix."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations import measure
from intrinsic_clip.metrics.prefix import retrieval_by_prefix
from intrinsic_clip.metrics.reduction import smallest_sufficient

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
        only: families of numbers, as in `intrinsic_clip.measure`.
        max_points: rows, at most, that each number is measured on.
        name: stands before the numbers' names and in that of the CSV file.
        batch_size, show_progress_bar, truncate_dim: passed to `model.encode`.
        write_csv: whether to append the numbers to a CSV file in the output path.

    Attributes:
        primary_metric: `retrieval/top_1/x_to_y` with partners, else the effective rank (RankMe) of x; larger is better.

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
        only: str | Sequence[str] = ("id", "spectrum"),
        max_points: int = 10_000,
        name: str = "",
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        if sentences2 is not None and len(sentences1) != len(sentences2):
            raise ConfigError(
                f"sentences1 and sentences2 must be pairs, got {len(sentences1):,} and {len(sentences2):,}"
            )
        if sentences2 is None and dims is not None:
            raise ConfigError("dims are for retrieval, which needs partners: sentences2")
        self.sentences1, self.sentences2 = list(sentences1), None if sentences2 is None else list(sentences2)
        self.dims = None if dims is None else sorted(set(dims))
        self.only = (only,) if isinstance(only, str) else tuple(only)
        self.max_points, self.name = max_points, name
        self.batch_size, self.show_progress_bar, self.truncate_dim = (
            batch_size,
            show_progress_bar,
            truncate_dim,
        )
        self.write_csv = write_csv
        self.csv_file = f"dimension_evaluation{'_' * bool(name)}{name}_results.csv"
        self.primary_metric = "spectrum/effective_rank/x" if sentences2 is None else "retrieval/top_1/x_to_y"

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Embed the sentences and return the numbers, with the evaluator's name before theirs."""
        x = self._embed(model, self.sentences1)
        y = None if self.sentences2 is None else self._embed(model, self.sentences2)
        numbers: dict[str, float] = dict(measure(x, y, only=self._families(), max_points=self.max_points))
        if y is not None:
            numbers |= self._retrieval(x, y)
        for name, number in numbers.items():
            log.info("%s: %.4g", name, number)
        if output_path is not None and self.write_csv:
            _append(Path(output_path) / self.csv_file, {"epoch": epoch, "steps": steps, **numbers})
        prefixed: dict[str, float] = self.prefix_name_to_metrics(numbers, self.name)
        self.store_metrics_in_model_card_data(model, prefixed, epoch, steps)
        return prefixed

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings that the model card shows."""
        settings = {"truncate_dim": self.truncate_dim, "dims": self.dims}
        return {key: value for key, value in settings.items() if value is not None}

    def _families(self) -> list[str]:
        """Return the families to measure; the spectrum is among them where it is the primary metric."""
        needed = ("spectrum",) if self.sentences2 is None else ()
        return list(dict.fromkeys((*self.only, *needed)))

    def _embed(self, model: SentenceTransformer, sentences: list[str]) -> Tensor:
        rows = model.encode(
            sentences,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
            convert_to_tensor=True,
            truncate_dim=self.truncate_dim,
        )
        return rows.float()

    def _retrieval(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Return recall@1 by cosine with all coordinates and with the first ones alone."""
        width = x.shape[1]
        dims = _halves(width) if self.dims is None else self.dims
        if not dims or dims[-1] > width:
            raise ConfigError(f"dims must lie between 1 and {width}, the width of the embeddings, got {dims}")
        things = (_numbered(self.sentences1), _numbered(self.sentences2 or []))
        curve = retrieval_by_prefix(x, y, dims, max_rows=self.max_points, things=things)
        enough = int(smallest_sufficient(curve, KEPT).dims)
        numbers = {"sufficient_dimension/prefix": float(enough if enough > 0 else width)}
        for way in ("x_to_y", "y_to_x"):
            numbers[f"retrieval/top_1/{way}"] = float(getattr(curve.full, way)[0])
            for place, m in enumerate(dims):
                numbers[f"retrieval/prefix_{m}/{way}"] = float(getattr(curve.recall, way)[place, 0])
        return numbers


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


def _append(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a CSV file, or to the next of its name that has these columns or does not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header, place, number = list(row), path, 1
    while place.exists() and next(csv.reader(place.open(encoding="utf-8", newline="")), None) != header:
        number += 1
        place = path.with_stem(f"{path.stem}_{number}")
    is_new = not place.exists()
    with place.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(header)
        writer.writerow(row.values())

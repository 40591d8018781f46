"""Hold what `measure_embeddings` has measured, with its table, picture, page and projection."""

from collections.abc import Iterator, Mapping
from copy import copy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from intrinsic_clip.measurement.model import Model
    from intrinsic_clip.measurement.projections.reduce import Reduce
    from intrinsic_clip.measurement.two_models.beside import Options

SOURCES = (
    "x",
    "y",
    "against",
    "run",
    "data",
    "encoder",
)  # settings of the command that say where rows come from


class EmbeddingMeasurement(Mapping[str, Any]):
    """Numbers about embeddings: a mapping, as measure.json holds them, whose keys are attributes too.

    Args:
        numbers: by key, as `Record` describes them, and the advice.
        sides: the rows that were measured.
        settings: of the measurement, by name.

    Attributes:
        n: rows of each side.
        dims: width by side.
        metrics: a number by name, such as `id/mle/x`; None where it does not exist.
        estimates: a row for each estimator and side.
        curves: columns by name of the curve, such as `spectrum/x`.
        advice: how many dimensions are enough (`text`, `dims`, `of`, `basis`).
        notes: what was decided, and what may be wrong, a sentence each.
        against: these of a second model, and under `compared` what both have in common; only where there is one.

    Example:
        >>> import torch
        >>> import intrinsic_clip as ic
        >>> z = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
        >>> measured = ic.measure_embeddings(z @ torch.eye(3, 16), z @ torch.eye(3, 16).flip(1), estimators=["mle"])
        >>> measured.n, measured.dims, round(measured.metrics["id/mle/x"], 1)
        (400, {'x': 16, 'y': 16}, 3.1)
        >>> measured.to_frame().query("name == 'id/mle'")[["side", "value", "n", "k"]].round(1)
          side  value    n   k
        0    x    3.1  400  20
        6    y    3.1  400  20
        >>> measured.reduce(d=3)  # x and y lie in other coordinates, so that cosines match no pair
        Reduce(x 16, y 16 → 3 canonical dimensions)
        >>> figure, page = measured.plot(), measured.html()
    """

    n: int
    dims: dict[str, int]
    metrics: dict[str, float | None]
    estimates: list[dict[str, Any]]
    curves: dict[str, dict[str, Any]]
    advice: dict[str, Any]
    notes: list[str]

    def __init__(
        self, numbers: Mapping[str, Any], sides: Mapping[str, Tensor], settings: Mapping[str, Any]
    ) -> None:
        self._numbers, self._sides = dict(numbers), dict(sides)
        self._grouping = settings.get("grouping")
        left_out = ("nan", "grouping", "columns")  # rows are finite; tensors are no settings to print
        self.settings = {name: value for name, value in settings.items() if name not in left_out}

    def __getitem__(self, key: str) -> Any:
        return self._numbers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getattr__(self, name: str) -> Any:
        numbers = vars(self).get("_numbers", {})  # empty while a copy is made
        if name not in numbers:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return numbers[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._numbers})

    def __repr__(self) -> str:
        from intrinsic_clip.reports.measurement_printout import headline

        second = self._numbers.get("against")
        verdict = "" if second is None else f"\nverdict: {second['compared']['verdict']}"
        return f"{headline(self._content())}{verdict}\nadvice: {self.advice['text']}"

    def __str__(self) -> str:
        from intrinsic_clip.reports.measurement_printout import parts

        return "\n\n".join(parts(self._content()))

    def to_frame(self) -> "pd.DataFrame":
        """Return every number as a row: name, side, value, standard error, n, k, reason of a missing one.

        Names of a second model's numbers, and of what both have in common, begin with `against/`.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ConfigError("to_frame needs pandas: pip install pandas") from error
        columns = ["name", "side", "value", "standard_error", "n", "k", "reason"]
        second = self._numbers.get("against")
        rows = list(_rows_of(self))
        if second is not None:
            of_second = [*_rows_of(second), *_rows_of_compared(second["compared"])]
            rows += [{**row, "name": f"against/{row['name']}"} for row in of_second]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype({"value": float, "standard_error": float, "n": "Int64", "k": "Int64"})

    def plot(self, *, both: bool = False) -> "Figure":
        """Return the picture of spectrum, scale, sample size and recall as a figure of matplotlib.

        Args:
            both: that of the two models beside each other instead.

        Raises:
            ConfigError: there is no second model.
        """
        from intrinsic_clip.reports.measurement_picture import figure, figure_of_two_models

        if both and "against" not in self._numbers:
            raise ConfigError("both: needs a second model, which measure_embeddings takes as against=…")
        return figure_of_two_models(self._content()) if both else figure(self._content())

    def html(self, path: str | PathLike[str] | None = None) -> str:
        """Return the page, which needs no other file, and write it where a path is named.

        Raises:
            OSError: the file cannot be written.
        """
        from intrinsic_clip.reports.measurement_page import page
        from intrinsic_clip.runs.atomic import write_atomically

        text = page(self._content())
        if path is not None:
            write_atomically(Path(path), text)
        return text

    def reduce(
        self,
        d: int | None = None,
        *,
        basis: Literal["principal", "canonical"] | None = None,
        whiten: bool = False,
    ) -> "Reduce":
        """Return the projection to d dimensions, fitted to one half of the rows and tried on the other.

        Args:
            d: dimensions to keep; None: those that the advice says are enough.
            basis: directions; None: those of the advice.
            whiten: give each dimension the same spread.

        Raises:
            ConfigError: no smaller number of dimensions is enough and none was chosen, or the choice is not possible.
        """
        from intrinsic_clip.measurement.projections.fitting import Choice, Names, fit_to_rows

        names = Names("reduce", "d", "basis", "whiten", "made")
        return fit_to_rows(self._model(), Choice(d, basis, whiten, names), self.settings, self._numbers)

    def beside(self, second: "EmbeddingMeasurement", options: "Options") -> "EmbeddingMeasurement":
        """Return these numbers with those of a second model of the same rows, and of their comparison.

        Args:
            second: measured by the same settings.
            options: of the comparison.

        Raises:
            ConfigError: hardly any row is finite in both models.
        """
        from intrinsic_clip.measurement.two_models.beside import beside, with_second

        both = copy(self)
        both._numbers = with_second(self, beside(self._model(), second._model(), second, options))
        return both

    def _model(self) -> "Model":
        from intrinsic_clip.dimension.row_source import TensorRows
        from intrinsic_clip.measurement.model import Model

        sources = {side: TensorRows(rows) for side, rows in self._sides.items() if side in ("x", "y")}
        return Model.of_rows(sources, self._grouping)

    def _content(self) -> dict[str, Any]:
        """Return the numbers with the settings and versions, as measure.json has them."""
        from intrinsic_clip.runs.versions import versions

        config = {**dict.fromkeys(SOURCES), **self.settings}
        return {"status": "completed", "config": config, "versions": versions(), **self._numbers}


def _rows_of(model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the estimates of a model, and its numbers that are no estimates, such as recalls, with their errors."""
    yield from model["estimates"]
    metrics = model["metrics"]
    estimated = {f"{row['name']}/{row['side']}" for row in model["estimates"]}
    for name, value in metrics.items():
        kind, _, last = name.partition("/")
        if name in estimated or kind.endswith("_standard_error"):
            continue
        error = metrics.get(f"{kind}_standard_error/{last}")
        stem, _, side = name.rpartition("/")
        has_side = side in model["dims"] or "_to_" in side
        about = {"name": stem, "side": side} if has_side else {"name": name, "side": ""}
        n = metrics.get("retrieval/candidates") if name.startswith("retrieval/top_") else None
        yield about | {"value": value, "standard_error": error, "n": n}


def _rows_of_compared(compared: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what two models have in common."""
    kinds = {"cosine": "retrieval", "canonical": "canonical"}
    pairs = {f"{kinds[each['by']]}_difference/top_{each['k']}": each["n"] for each in compared["recalls"]}
    metrics = compared["metrics"]
    for name, value in metrics.items():
        kind, _, last = name.partition("/")
        if not kind.endswith("_standard_error"):
            yield {
                "name": name,
                "side": "",
                "value": value,
                "standard_error": metrics.get(f"{kind}_standard_error/{last}"),
                "n": pairs.get(name, compared["distinct"]),
                "reason": compared["reasons"].get(name),
            }

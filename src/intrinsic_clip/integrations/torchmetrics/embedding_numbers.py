"""Several numbers about embeddings as one metric, which keeps a bounded sample of the rows of all batches."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn

from intrinsic_clip.dimension.arrays import Rows, as_matrix, whole_number
from intrinsic_clip.integrations.doubts_once import DoubtsOnce
from intrinsic_clip.integrations.measuring import measured, without_rows
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.torchmetrics.arguments import refuse_options
from intrinsic_clip.integrations.torchmetrics.row_order import order_of
from intrinsic_clip.integrations.wanted import chosen
from intrinsic_clip.measurement.parts import as_parts

NO_ROWS = "no rows came since the metric was made or reset: call update before compute"


class EmbeddingNumbers(Metric):
    """Numbers as `intrinsic_clip.measure(x, y, only=…)` gives them: a dict of tensors from one calculation.

    A dict suits `self.log_dict(metric.compute())`; for `self.log("id", metric)` take a metric of one number.

    Args:
        only: as of `measure`.
        sides: which arguments of `update` are kept and measured: "xy", "x", or "y" for a name that ends with /y.
        max_rows: rows that are kept and measured, at most; a sample of all that came.
        k, estimators, tau: as of `measure`.
        seed: of the sample.
        options: of `torchmetrics.Metric`, such as `sync_on_compute`.

    Attributes:
        reasons: after `compute`, why numbers are NaN.
        notes: after `compute`, what is doubtful or NaN; a warning tells of each once.

    Example:
        >>> import torch
        >>> from intrinsic_clip.integrations.torchmetrics import EmbeddingNumbers
        >>> metric = EmbeddingNumbers(["alignment", "modality_gap"])
        >>> for _ in range(3):
        ...     metric.update(torch.eye(4), 2 * torch.eye(4))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'alignment/cosine': 1.0, 'modality_gap': 0.0}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better: bool | None = None
    order: list[Tensor]
    plot_lower_bound: float | None = None
    plot_upper_bound: float | None = None

    def __init__(
        self,
        only: str | Sequence[str] | None = None,
        *,
        sides: Literal["x", "y", "xy"] = "xy",
        max_rows: int = 5000,
        k: int = 20,
        estimators: Sequence[str] | None = None,
        tau: Tensor | float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        refuse_options(type(self).__name__, options)
        super().__init__(**options)
        whole_number("max_rows", max_rows, 1)
        chosen(only, "y" in sides, True, k, estimators)  # refuses at once what it does not know
        self.only, self.sides, self.max_rows = only, sides, max_rows
        self.k, self.estimators, self.tau, self.seed = k, estimators, tau, seed
        self.reasons: dict[str, str] = {}
        self.notes: list[str] = []
        self._warn_once = DoubtsOnce()
        # Rows lie flat: a process without rows then synchronises an empty vector, as torchmetrics makes it.
        for side in sides:
            self.add_state(f"rows_{side}", [], dist_reduce_fx="cat")
        self.add_state("order", [], dist_reduce_fx="cat")
        # Metrics with equal states share them in a MetricCollection; this keeps those of other sizes apart.
        self.add_state("limit", torch.tensor(float(max_rows)), dist_reduce_fx="max")

    def update(self, x: Rows, y: Rows | None = None) -> None:
        """Take a batch of rows `(n, d)`, and their partners.

        Raises:
            ValueError: not rows, or different numbers of them.
        """
        if "y" in self.sides and y is None:
            alone = self.sides == "xy" and any(name.endswith("/x") for name in self._names())
            remedy = '; sides="x" measures x alone' if alone else ": update(x, y)"
            raise ValueError(f"{type(self).__name__} needs y in every update{remedy}")
        if self.sides == "y" and y is not None:
            parts = {"y": as_matrix(y, "y")}
        else:
            parts = as_parts({"x": x, "y": y if self.sides == "xy" else None}, None, as_matrix)
        rows = {side: part.to(self.device, self.dtype) for side, part in parts.items()}
        for side, part in rows.items():
            getattr(self, f"rows_{side}").append(part.flatten().clone())
        self.order.append(order_of(torch.cat([*rows.values()], 1), self.seed).to(self.dtype))
        self._shorten(2 * self.max_rows)

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the number of this batch alone, and keep its rows."""
        value = super().forward(*args, **kwargs)
        self._shorten(2 * self.max_rows)
        return value

    def compute(self) -> Any:
        """Return the numbers of the rows that are kept, of all processes."""
        return {name: self._tensor(value) for name, value in self._numbers().items()}

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one value or several, as `torchmetrics.Metric` does; return figure and axes."""
        return self._plot(val, ax)

    def _names(self) -> list[str]:
        """Return the names that rows of both sides give."""
        return chosen(self.only, True, self.tau is not None, self.k, self.estimators).expected(("x", "y"))

    def _numbers(self) -> Numbers:
        rows, _ = self._kept(self.max_rows)
        selection = chosen(self.only, "y" in self.sides, self.tau is not None, self.k, self.estimators)
        if rows:
            parts = rows if "x" in rows else {"x": rows["y"], **rows}  # of which the name asks for y only
            n = len(parts["x"])
            total = n if n < self.max_rows else None
            numbers = measured(parts, total, selection, self.tau, None, self.seed, "max_rows")
        else:
            numbers = without_rows(selection, ("x", "y") if "y" in self.sides else ("x",), NO_ROWS)
        self.reasons, self.notes = numbers.reasons, numbers.notes
        self._warn_once(numbers.notes, rank_zero_warn)
        return numbers

    def _tensor(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.promote_types(self.dtype, torch.float32), device=self.device)

    def _shorten(self, most: int) -> None:
        """Keep `max_rows` rows once there are more than `most`."""
        if sum(len(part) for part in self.order) <= most:
            return
        rows, order = self._kept(self.max_rows)
        self.order = [order]
        for side, part in rows.items():
            setattr(self, f"rows_{side}", [part.flatten()])

    def _kept(self, most: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return the rows that come first in random order, by side, and their places in it."""
        order = _joined(self.order)
        flat = {side: _joined(getattr(self, f"rows_{side}")) for side in self.sides}
        rows = {side: part.reshape(len(order), -1) for side, part in flat.items() if len(part) and len(order)}
        if len(order) <= most:
            return rows, order
        first = order.argsort(stable=True)[:most].sort().values
        return {side: part[first] for side, part in rows.items()}, order[first]


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """Return a state as one vector: a list, or after synchronisation a tensor."""
    if isinstance(parts, Tensor):
        return parts
    return torch.cat(parts) if parts else torch.zeros(0)

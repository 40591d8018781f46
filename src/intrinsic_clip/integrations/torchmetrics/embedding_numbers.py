"""Several numbers about embeddings as one metric, which keeps a bounded sample of the rows of all batches."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn

from intrinsic_clip.dimension.arrays import Rows, as_matrix, whole_number
from intrinsic_clip.dimension.table_columns import Columns, with_columns
from intrinsic_clip.integrations.doubts_once import DoubtsOnce
from intrinsic_clip.integrations.measuring import described, kind_of, measured, without_rows
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.torchmetrics.arguments import refuse_options
from intrinsic_clip.integrations.torchmetrics.row_order import order_of
from intrinsic_clip.integrations.wanted import chosen
from intrinsic_clip.measurement.parts import as_parts

NO_ROWS = "no rows came since the metric was made or reset: call update before compute"


class EmbeddingNumbers(Metric):
    """Numbers as `intrinsic_clip.measure(x, y, only=…)` gives them: a dict of tensors from one calculation.

    A dict suits `self.log_dict(metric.compute()); metric.reset()` at the end of an epoch; for `self.log("id", metric)`,
    after which Lightning resets it, take a metric of one number.

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
    widths: Tensor
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
        self._columns: Columns = {}  # of the first tables
        self._warn_once = DoubtsOnce()
        # The first of the states, so that metrics of other rows are refused before any state is changed.
        self.add_state("widths", torch.zeros(len(sides)), dist_reduce_fx=partial(_common_widths, sides))
        # Rows lie flat: a process without rows then synchronises an empty vector, as torchmetrics makes it.
        for side in sides:
            self.add_state(f"rows_{side}", [], dist_reduce_fx="cat")
        self.add_state("order", [], dist_reduce_fx="cat")
        # Metrics with equal states share them in a MetricCollection; this keeps those of other sizes apart.
        self.add_state("limit", torch.tensor(float(max_rows)), dist_reduce_fx="max")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; with another temperature the number is not the one that was computed."""
        if name != "tau":
            super().__setattr__(name, value)
            return
        # A parameter is not registered as one of the metric's own, which checkpoints would hold and no number could
        # replace; a tensor with a graph, as of `logit_scale.exp()`, cannot be copied.
        has_graph = isinstance(value, Tensor) and not value.is_leaf
        self.__dict__["tau"] = value.detach() if has_graph else value
        self._computed = None

    def update(self, x: Rows, y: Rows | None = None) -> None:
        """Take a batch of rows `(n, d)`, and their partners.

        Raises:
            ValueError: not rows, different numbers of them, or other widths or columns of a table than in the batches
                before.
        """
        rows = self._checked(x, y)
        order = order_of(torch.cat([*rows.values()], 1), self.seed).to(self.dtype)
        for side, part in rows.items():
            getattr(self, f"rows_{side}").append(part.flatten().clone())
        self.order.append(order)
        if len(order):
            self.widths = self.widths.new_tensor([part.shape[1] for part in rows.values()])
        self._shorten(2 * self.max_rows)

    @torch.jit.unused
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the number of this batch alone, and keep its rows."""
        # Before torchmetrics sets the rows aside, which would be lost where `update` refuses some.
        self._checked(*args, **kwargs)
        columns = self._columns
        value = super().forward(*args, **kwargs)
        self._columns = columns
        self._shorten(2 * self.max_rows)
        return value

    def compute(self) -> Any:
        """Return the numbers of the rows that are kept, of all processes."""
        return {name: self._tensor(value) for name, value in self._numbers().items()}

    def reset(self) -> None:
        """Forget all rows."""
        # New lists, as torchmetrics would empty the ones that a wrapper such as `Running` keeps.
        for state in ("order", *(f"rows_{side}" for side in self.sides)):
            setattr(self, state, [])
        super().reset()
        self._columns = {}

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one value or several, as `torchmetrics.Metric` does; return figure and axes."""
        return self._plot(val, ax)

    def _checked(self, x: Rows, y: Rows | None = None) -> dict[str, Tensor]:
        """Return the rows of a batch by side, as they are kept.

        Raises:
            ValueError: as of `update`.
        """
        if "y" in self.sides and y is None:
            alone = self.sides == "xy" and any(name.endswith("/x") for name in self._names())
            remedy = '; sides="x" measures x alone' if alone else ": update(x, y)"
            raise ValueError(f"{type(self).__name__} needs y in every update{remedy}")
        if self.sides == "y" and y is not None:
            parts = {"y": as_matrix(y, "y")}
        else:
            parts = as_parts({"x": x, "y": y if self.sides == "xy" else None}, None, as_matrix)
        first, now = self._kind(), kind_of(parts)
        if first and first != now:
            raise ValueError(f"batches differ: first {described(first)}, now {described(now)}")
        given = {side: value for side, value in (("x", x), ("y", y)) if side in self.sides}
        self._columns = with_columns(self._columns, given)
        return {side: part.to(self.device, self.dtype) for side, part in parts.items()}

    def _kind(self) -> dict[str, tuple[int, ...]]:
        """Return the widths of the rows that are kept, by side; an empty dict where there are none."""
        # From the shapes, which need no copy from a GPU and are there after any checkpoint too.
        n = sum(len(part) for part in self.order)
        lengths = {side: sum(len(part) for part in getattr(self, f"rows_{side}")) for side in self.sides}
        return {side: (length // n,) for side, length in lengths.items()} if n else {}

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


def _common_widths(sides: str, widths: Tensor) -> Tensor:
    """Return the widths `(sides,)` that several metrics `(metrics, sides)` have in common; zeros are of no rows.

    Raises:
        ValueError: they differ.
    """
    kinds = widths[(widths != 0).any(1)].unique(dim=0)
    if len(kinds) > 1:
        one, other = (
            described({side: (int(n),) for side, n in zip(sides, kind, strict=True)}) for kind in kinds[:2]
        )
        raise ValueError(
            f"metrics of different rows cannot be put together: of one {one}, of another {other}"
        )
    return widths.amax(0)


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """Return a state as one vector: a list, or after synchronisation a tensor."""
    if isinstance(parts, Tensor):
        return parts
    return torch.cat(parts) if parts else torch.zeros(0)

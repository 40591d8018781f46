"""Numbers about embeddings as torchmetrics: for `self.log("id", metric)`, MetricCollection and several processes.

Each metric keeps a bounded sample of the rows of all batches and measures it as `intrinsic_clip.measure` does. The rows
themselves decide which of them are kept, so that neither batches nor processes change the sample.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Rows, as_matrix
from intrinsic_clip.integrations.doubts_once import DoubtsOnce
from intrinsic_clip.integrations.measuring import as_parts, measured
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.wanted import LABEL, check_count, chosen

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import rank_zero_warn
except ImportError as missing:
    raise ImportError("this needs torchmetrics: pip install torchmetrics") from missing

Side: TypeAlias = Literal["x", "y"]
Direction: TypeAlias = Literal["x_to_y", "y_to_x", "both"]
WAYS = ("x_to_y", "y_to_x")
ODD = (-49064778989728563, -4265267296055464877)  # of MurmurHash3's finaliser, as signed integers


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
        super().__init__(**options)
        check_count("max_rows", max_rows, 1)
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
            parts = as_parts(x, y if self.sides == "xy" else None, None)
        rows = {side: part.to(self.device, self.dtype) for side, part in parts.items()}
        for side, part in rows.items():
            getattr(self, f"rows_{side}").append(part.flatten().clone())
        self.order.append(_order(torch.cat([*rows.values()], 1), self.seed).to(self.dtype))
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
        if "x" not in rows and "y" not in rows:
            rows = {side: torch.zeros(0, 1, device=self.device) for side in self.sides}
        parts = rows if "x" in rows else {"x": rows["y"], **rows}  # of which the name asks for y only
        selection = chosen(self.only, "y" in parts, self.tau is not None, self.k, self.estimators)
        n = len(parts["x"])
        total = n if n < self.max_rows else None
        numbers = measured(parts, total, selection, self.tau, None, self.seed, "max_rows")
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


class EmbeddingNumber(EmbeddingNumbers):
    """One number that `intrinsic_clip.measure` has a name for, as a scalar.

    Args:
        name: such as "id/gride/x" or "matching/top_5/x_to_y".
        options: of `EmbeddingNumbers`.

    Attributes:
        reason: after `compute`, why the number is NaN; None where it is not.

    Example:
        >>> import torch
        >>> from intrinsic_clip.integrations.torchmetrics import EmbeddingNumber
        >>> metric = EmbeddingNumber("spectrum/components_50pct/x")
        >>> metric.update(torch.eye(9))
        >>> float(metric.compute())
        4.0
    """

    def __init__(self, name: str, **options: Any) -> None:
        if not isinstance(name, str):
            raise ValueError(f"name must be one number, such as id/mle/x, got {name!r}")
        if "sides" not in options and name.endswith(("/x", "/y")):
            options["sides"] = name[-1]
        names = chosen(name, True, True, 2, None).expected(("x", "y"))
        if LABEL in name:
            raise ValueError(f"this metric takes no labels, which {name} needs")
        if len(names) != 1 and {each.rpartition("/")[2] for each in names} != {*WAYS}:
            raise ValueError(
                f"name must be one number, such as {names[0] if names else 'id/mle/x'}, got {name!r}"
            )
        sides = options.get("sides", "xy")
        if sides != "xy" and not names[0].endswith(f"/{sides}"):
            raise ValueError(f"sides must be 'xy' for {name}, which needs x and y, got {sides!r}")
        super().__init__(name, **options)
        self.reason: str | None = None

    def compute(self) -> Tensor:
        """Return the number of the rows that are kept, of all processes; of both directions the mean."""
        numbers = self._numbers()
        self.reason = next(iter(numbers.reasons.values()), None)
        return self._tensor(sum(numbers.values()) / len(numbers) if numbers else math.nan)


class IntrinsicDimension(EmbeddingNumber):
    """Intrinsic dimension of x, or of y.

    Args:
        estimator: a name in `intrinsic_clip.dimension`.
        k: neighbours of mle, mada and tle.
        side: which argument of `update` is measured.
        options: of `EmbeddingNumbers`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.integrations.torchmetrics import IntrinsicDimension
        >>> metric, generator = IntrinsicDimension(), torch.Generator().manual_seed(0)
        >>> for _ in range(10):
        ...     metric.update(torch.rand(100, 2, generator=generator) @ torch.eye(2, 16))
        >>> round(float(metric.compute()), 1)
        1.9
    """

    plot_lower_bound = 0.0

    def __init__(self, estimator: str = "mle", k: int = 20, side: Side = "x", **options: Any) -> None:
        super().__init__(f"id/{estimator}/{side}", k=k, **options)


class Spectrum(EmbeddingNumber):
    """Linear dimension of x, or of y.

    Args:
        kind: "effective_rank", "participation_ratio", or "components_95pct" and its like.
        side: which argument of `update` is measured.
        options: of `EmbeddingNumbers`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.integrations.torchmetrics import Spectrum
        >>> metric = Spectrum("participation_ratio")
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))
        >>> round(float(metric.compute()), 3)
        2.0
    """

    plot_lower_bound = 0.0

    def __init__(self, kind: str = "effective_rank", side: Side = "x", **options: Any) -> None:
        super().__init__(f"spectrum/{kind}/{side}", **options)


class Uniformity(EmbeddingNumber):
    """Uniformity of x, or of y: 0 where all directions are the same, lower where they spread.

    Args:
        side: which argument of `update` is measured.
        options: of `EmbeddingNumbers`.
    """

    higher_is_better = False

    def __init__(self, side: Side = "x", **options: Any) -> None:
        super().__init__(f"uniformity/{side}", **options)


class PairMatching(EmbeddingNumber):
    """Share of pairs whose partner is among the k most similar rows.

    Args:
        k: how many of the most similar rows count; None: 1, or `share`.
        share: in place of k, that share of all rows; the paper's is 0.005.
        direction: "x_to_y", "y_to_x", or "both" for their mean.
        similarity: "inner_product" of the rows as they are (`matching/…`), or "cosine" (`retrieval/…`).
        options: of `EmbeddingNumbers`.

    Example:
        >>> import torch
        >>> from intrinsic_clip.integrations.torchmetrics import PairMatching
        >>> metric = PairMatching()
        >>> metric.update(torch.eye(4), torch.eye(4))
        >>> float(metric.compute())
        1.0
    """

    higher_is_better = True
    plot_lower_bound, plot_upper_bound = 0.0, 1.0

    def __init__(
        self,
        k: int | None = None,
        share: float | None = None,
        direction: Direction = "both",
        similarity: Literal["inner_product", "cosine"] = "inner_product",
        **options: Any,
    ) -> None:
        kind = {"inner_product": "matching", "cosine": "retrieval"}.get(similarity)
        if kind is None:
            raise ValueError(f"similarity must be inner_product or cosine, got {similarity!r}")
        if k is not None and share is not None:
            raise ValueError(f"either k or share says how many rows count, got k={k} and share={share:g}")
        top = f"{1 if k is None else k}" if share is None else f"{100 * share:g}pct"
        super().__init__(f"{kind}/top_{top}" + ("" if direction == "both" else f"/{direction}"), **options)


class Alignment(EmbeddingNumber):
    """Mean cosine of pairs, at most 1.

    Args:
        options: of `EmbeddingNumbers`.
    """

    higher_is_better = True
    plot_lower_bound, plot_upper_bound = -1.0, 1.0

    def __init__(self, **options: Any) -> None:
        super().__init__("alignment/cosine", **options)


class ModalityGap(EmbeddingNumber):
    """Distance of the mean directions of x and y, between 0 and 2.

    Args:
        options: of `EmbeddingNumbers`.
    """

    plot_lower_bound, plot_upper_bound = 0.0, 2.0

    def __init__(self, **options: Any) -> None:
        super().__init__("modality_gap", **options)


class InfoNCEBound(EmbeddingNumber):
    """InfoNCE's lower bound on the mutual information of x and y in nats, at most log n.

    Args:
        tau: the temperature; set `metric.tau` before `compute` where it is learned.
        options: of `EmbeddingNumbers`.
    """

    higher_is_better = True

    def __init__(self, tau: Tensor | float | None = None, **options: Any) -> None:
        super().__init__("information/infonce_bound", tau=tau, **options)


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    """Return a state as one vector: a list, or after synchronisation a tensor."""
    if isinstance(parts, Tensor):
        return parts
    return torch.cat(parts) if parts else torch.zeros(0)


def _order(rows: Tensor, seed: int) -> Tensor:
    """Return a number in [0, 1) for each row that looks random and depends on its content and the seed alone."""
    bits = rows.float().contiguous().view(torch.int32).long()
    generator = torch.Generator("cpu").manual_seed(seed)
    factors = (
        torch.randint(2**62, (bits.shape[1],), generator=generator, device="cpu").to(bits.device) * 2 + 1
    )
    mixed = (bits * factors).sum(1)
    for factor in ODD:
        mixed = (mixed ^ ((mixed >> 33) & (2**31 - 1))) * factor
    mixed = mixed ^ ((mixed >> 33) & (2**31 - 1))
    return ((mixed >> 11) & (2**53 - 1)).double() / 2**53

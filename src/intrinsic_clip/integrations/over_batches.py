"""Measure rows that come in batches, with bounded memory."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, Rows, as_matrix, whole_number
from intrinsic_clip.dimension.table_columns import Columns, with_columns
from intrinsic_clip.integrations import processes
from intrinsic_clip.integrations.measuring import described, kind_of, measured, temperature, warn_of_doubts
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.wanted import chosen
from intrinsic_clip.measurement.parts import as_parts
from intrinsic_clip.seeding import seeded

ORDER = "order"
NO_ROWS = "no rows came: call update(x) or update(x, y) before compute()"


class Measure:
    """Keep rows over batches, and measure them with `intrinsic_clip.measure` when asked.

    Of more rows than `max_rows` a random sample is kept, in which each row that came has the same chance. It does not
    depend on how the rows are cut into batches. x, y and labels of a row stay together.

    Args:
        only: as of `measure`.
        max_rows: rows to keep, at most.
        k, estimators, budget: as of `measure`.
        seed: of the sample; each process draws with its own.
        device: where rows are kept and measured.

    Example:
        >>> import torch
        >>> from intrinsic_clip import Measure
        >>> generator = torch.Generator().manual_seed(0)
        >>> measure = Measure(only="id/mle", max_rows=800)
        >>> for _ in range(10):
        ...     measure.update(torch.rand(100, 3, generator=generator))
        >>> len(measure), measure.seen, {name: round(value, 1) for name, value in measure.compute().items()}
        (800, 1000, {'id/mle/x': 2.7})
    """

    def __init__(
        self,
        only: str | Sequence[str] | None = None,
        *,
        max_rows: int = 5000,
        k: int = 20,
        estimators: Sequence[str] | None = None,
        budget: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        whole_number("max_rows", max_rows, 1)
        if budget is not None and not budget > 0:
            raise ValueError(f"budget must be seconds above 0, got {budget}")
        chosen(only, True, True, k, estimators)  # refuses at once what it does not know
        self.only, self.max_rows, self.k, self.estimators = only, max_rows, k, estimators
        self.budget, self.seed, self.device = budget, seed, torch.device(device)
        self.reset()

    def reset(self) -> None:
        """Forget all rows; the next ones are sampled as after construction."""
        self.seen = 0
        self._parts: list[dict[str, Tensor]] = []
        self._generator: torch.Generator | None = None
        self._columns: Columns = {}  # of the first tables

    def __len__(self) -> int:
        """Return the number of rows that are kept."""
        return min(self.max_rows, self.seen)

    def check_only(self, paired: bool) -> None:
        """Check that the numbers that are asked for need no y, or that there will be one.

        Raises:
            ValueError: one of them does, and there will be none.
        """
        chosen(self.only, paired, True, self.k, self.estimators)

    def update(
        self, x: Rows, y: Rows | None = None, labels: Labels | Mapping[str, Labels] | None = None
    ) -> None:
        """Take a batch.

        Raises:
            ValueError: not rows, different numbers of them, other parts, widths or columns of a table than in batches
                before, or no y where numbers of pairs are asked for.
        """
        if not self._parts:
            self.check_only(y is not None)
        parts = as_parts({"x": x, "y": y}, labels, as_matrix)
        if self._parts and kind_of(parts) != self._kind():
            raise ValueError(
                f"batches differ: first {described(self._kind())}, now {described(kind_of(parts))}"
            )
        self._columns = with_columns(self._columns, {"x": x, "y": y})
        n = len(parts["x"])
        order = torch.rand(n, generator=self._random(), dtype=torch.float64, device="cpu")
        kept = {name: tensor.to(self.device, copy=True) for name, tensor in parts.items()}
        self._parts.append(kept | {ORDER: order})
        self.seen += n
        if sum(len(part[ORDER]) for part in self._parts) > 2 * self.max_rows:
            self._parts = [self._kept()]

    def compute(self, tau: Tensor | float | None = None, gather: bool = False) -> Numbers:
        """Measure the rows that are kept, and warn of doubts.

        Args:
            tau: the temperature, for `information/infonce_bound`.
            gather: measure a fair sample of the rows of all processes of `torch.distributed` together; all of them must
                call it, and all get the same numbers. A process to which no rows came takes part.
                Rows that a sampler repeats to make shares equal are not to be given to `update`: by rounding they are
                near-duplicates, which make a dimension too low.

        Raises:
            ValueError: no rows came, with `gather` to no process, or tau is no positive number.
        """

        def given() -> dict[str, Tensor]:
            if tau is not None:
                temperature(tau)
            return self._own()

        if gather and processes.several():
            own = processes.checked_together(given, kind_of)  # before one process waits for another
            shares = processes.shared_by_all((self.seen, {name: rows.cpu() for name, rows in own.items()}))
            total = sum(seen for seen, _ in shares)
            if not total:
                raise ValueError(NO_ROWS)
            parts = [part for _, part in shares]
            numbers = processes.by_the_first(lambda: self._measured(self._together(parts), total, tau))
        else:
            own = given()
            if not own:
                raise ValueError(NO_ROWS)
            numbers = self._measured(own, self.seen, tau)
        warn_of_doubts(numbers, stacklevel=3)
        return numbers

    def _measured(self, rows: dict[str, Tensor], total: int, tau: Tensor | float | None) -> Numbers:
        parts = {name: part.to(self.device) for name, part in rows.items() if name != ORDER}
        selection = chosen(self.only, "y" in parts, tau is not None, self.k, self.estimators)
        return measured(parts, total, selection, tau, self.budget, self.seed, "max_rows")

    def _together(self, parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the rows of all processes that are measured."""
        return self._smallest(processes.concatenated(parts, torch.device("cpu")))

    def _own(self) -> dict[str, Tensor]:
        """Return the rows of this process; an empty dict where none came."""
        return self._kept() if self._parts else {}

    def _kept(self) -> dict[str, Tensor]:
        """Return the rows that are kept, in the order in which they came."""
        parts = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
        return self._smallest(parts)

    def _smallest(self, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the rows whose random numbers are the smallest: a sample in which each row has the same chance."""
        if len(parts[ORDER]) <= self.max_rows:
            return parts
        first = parts[ORDER].argsort(stable=True)[: self.max_rows].sort().values
        return {name: tensor[first.to(tensor.device)] for name, tensor in parts.items()}

    def _kind(self) -> dict[str, tuple[int, ...]]:
        first = self._parts[0]
        return kind_of({name: tensor for name, tensor in first.items() if name != ORDER})

    def _random(self) -> torch.Generator:
        if self._generator is None:
            rank = torch.distributed.get_rank() if processes.several() else 0
            self._generator = seeded(self.seed * 100_003 + rank)
        return self._generator

"""Measure embeddings in one call, as plain floats: for any training loop, notebook or logger."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from intrinsic_clip.dimension.arrays import Labels, Rows, as_matrix, whole_number
from intrinsic_clip.errors import reason_of
from intrinsic_clip.integrations import processes
from intrinsic_clip.integrations.budget import within
from intrinsic_clip.integrations.doubted_pairs import ONE_SIDED, doubt_of_matching, one_space
from intrinsic_clip.integrations.doubts_once import DECIDED
from intrinsic_clip.integrations.numbers import Numbers
from intrinsic_clip.integrations.wanted import Selection, chosen, error_of
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.parts import LABEL, as_parts, without_odd_rows
from intrinsic_clip.seeding import seeded

MAX_POINTS = 5000
NO_Y = "needs x and y, and there is no y"


def measure(
    x: Rows,
    y: Rows | None = None,
    *,
    only: str | Sequence[str] | None = None,
    labels: Labels | Mapping[str, Labels] | None = None,
    tau: Tensor | float | None = None,
    k: int = 20,
    estimators: Sequence[str] | None = None,
    budget: float | None = None,
    max_points: int | None = None,
    seed: int = 0,
    gather: bool = False,
) -> Numbers:
    """Measure embeddings, and pairs of them, as plain floats under the names that the probes log.

    Rows may be tensors of any device and type, NumPy arrays, data frames or lists; gradient and autocast do not matter.
    A number that does not exist is NaN, and `.reasons` says why; `.notes` says what was decided and what is doubtful.
    Doubts are warned of too.

    `matching/…` ranks partners by inner product, as the loss of the paper does, and so depends on the rows' norms;
    `retrieval/…` ranks them by cosine. Rows that hold NaN or infinity are left out of all numbers, with their partners.

    Args:
        x: rows `(n, d)`.
        y: their partners `(n, d_y)`; row i of x and row i of y are a pair.
        only: which numbers to calculate; no others are. Words for families (`"id"`, `"spectrum"`, `"matching"`,
            `"retrieval"`, `"alignment"`, `"uniformity"`, `"modality_gap"`, `"distribution_gap"`, `"information"`,
            `"similarity"`, `"norm"`), names (`"id/gride/x"`, `"matching/top_5/x_to_y"`) or names without their last
            parts (`"id/tle"`). None:
            dimensions by mle and twonn, spectrum, uniformity; of pairs matching, alignment and modality gap too, and
            information with `tau`.
        labels: class numbers or names `(n,)`, or several sets of them by name, for `matching/label_<set>/…`.
        tau: the temperature, above 0, for `information/infonce_bound`.
        k: neighbours of mle, mada and tle.
        estimators: those of the word `"id"`.
        budget: seconds that the call may take, about; a few rows are measured first to see how many fit. Two calls can
            measure different numbers of rows, as `.rows` says.
        max_points: measure a sample of that many rows where there are more. None: 5,000, or with a budget all rows.
        seed: of the sample.
        gather: measure the rows of all processes of `torch.distributed` together; all of them must call it, and all
            get the same numbers.

    Returns:
        A dict of floats with `.reasons`, `.notes`, `.rows` and `.to_json()`.

    Raises:
        ValueError: arguments that cannot be meant, such as x and y of different lengths, tables of another index, an
            unknown name, or one about pairs without y.

    Example:
        >>> import torch
        >>> from intrinsic_clip import measure
        >>> x = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)) @ torch.eye(3, 16)
        >>> measure(x, only=["id/mle", "spectrum/participation_ratio"])
        id/mle/x                        2.769
        spectrum/participation_ratio/x  2.997
    """

    def given() -> tuple[Selection, dict[str, Tensor]]:
        selection = chosen(only, y is not None, tau is not None, k, estimators)
        _check_bounds(max_points, budget, tau)
        return selection, as_parts({"x": x, "y": y}, labels, as_matrix)

    most = MAX_POINTS if max_points is None and budget is None else max_points
    if gather and processes.several():
        selection, parts = processes.checked_together(given, lambda own: kind_of(own[1]))
        shares, total = _sampled_together(parts, most, seed)
        device = parts["x"].device
        numbers = processes.by_the_first(
            lambda: measured(processes.concatenated(shares, device), total, selection, tau, budget, seed)
        )
    else:
        selection, parts = given()
        total = len(parts["x"])
        parts = _chosen_rows(parts, _sample(total, most, seed))
        numbers = measured(parts, total, selection, tau, budget, seed)
    warn_of_doubts(numbers, stacklevel=3)
    return numbers


def _check_bounds(max_points: int | None, budget: float | None, tau: Tensor | float | None) -> None:
    """Check numbers that bound a measurement, and the temperature.

    Raises:
        ValueError: one of them cannot be meant.
    """
    if max_points is not None:
        whole_number("max_points", max_points, 1)
    if budget is not None and not budget > 0:
        raise ValueError(f"budget must be seconds above 0, got {budget}")
    if tau is not None:
        temperature(tau)


def temperature(tau: Tensor | float) -> Tensor:
    """Return a temperature as a float64 scalar.

    Raises:
        ValueError: it is not one number above 0.
    """
    try:
        number = torch.as_tensor(tau, dtype=torch.float64).detach().reshape(())
    except (TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"tau must be one number, got {tau!r}") from error
    if not 0 < float(number) < math.inf:
        raise ValueError(f"tau must be a positive number, got {float(number):g}")
    return number


def kind_of(parts: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return what the rows of all processes must have in common: their names and widths."""
    return {name: tuple(rows.shape[1:]) for name, rows in parts.items()}


def described(kind: Mapping[str, tuple[int, ...]]) -> str:
    """Return a kind of rows in words, for messages."""
    return ", ".join(f"{name} of {widths[0]} columns" if widths else name for name, widths in kind.items())


def measured(
    parts: Mapping[str, Tensor],
    total: int | None,
    selection: Selection,
    tau: Tensor | float | None,
    budget: float | None,
    seed: int,
    argument: str = "max_points",
) -> Numbers:
    """Measure rows, as many as fit into the budget.

    Args:
        parts: rows by name.
        total: rows that they were drawn from; None: unknown, and more than there are.
        selection: which numbers to calculate.
        tau: the temperature, if it is known.
        budget: seconds; None: all rows.
        seed: of the sample that a budget allows.
        argument: the caller's name for the largest number of rows.
    """
    given = len(parts["x"])
    parts, left_out = without_odd_rows(parts)
    n = len(parts["x"])
    more = "" if given == total else f"{argument}=…"

    def run(rows: int) -> Numbers:
        advised = selection.advising(more if rows == n else "budget=…")
        return _calculated(_chosen_rows(parts, _sample(n, rows, seed)), advised, tau)

    if budget is None:
        numbers = run(n)
    else:
        best = within(budget, n, run)
        numbers = best.result
        if best.predicted is not None:
            needed = f"all would take about {best.predicted:.2g} s"
            if best.predicted < budget:
                needed += f", and trials with fewer had left {best.left:.2g} s"
            numbers.notes.append(f"budget = {budget:g} s: {best.rows:,} of {n:,} rows; {needed}")
    if left_out is not None:
        numbers.notes.insert(0, left_out)
    if total is not None and given < total:
        numbers.notes.append(
            f"a sample of {given:,} of {total:,} rows, drawn at random; {argument}=… measures more"
        )
    return numbers


def without_rows(selection: Selection, sides: Sequence[Side], reason: str) -> Numbers:
    """Return NaN, with the reason, under each name that rows would give a number."""
    names = [name for value in selection.expected(sides) for name in (value, error_of(value))]
    numbers = Numbers({name: math.nan for name in names if name is not None and selection.wants(name)})
    numbers.reasons = dict.fromkeys(numbers, reason)
    numbers.notes = numbers.missing()
    return numbers


class _Notes:
    """Doubts, each once, and errors as reasons: what a family tells a probe otherwise."""

    def __init__(self) -> None:
        self.doubts: dict[str, None] = {}

    def warn_once(self, message: str) -> None:
        """Keep a doubt."""
        self.doubts[message] = None

    def warn_of_failure(self, error: Exception, label: str = "") -> str:
        """Return an error as the reason why numbers are NaN."""
        return reason_of(error)


def _calculated(parts: Mapping[str, Tensor], selection: Selection, tau: Tensor | float | None) -> Numbers:
    x, y = parts["x"], parts.get("y")
    sets = {name.removeprefix(LABEL): rows for name, rows in parts.items() if name.startswith(LABEL)}
    embeddings = Embeddings(x, y, tau=None if tau is None else temperature(tau).to(x.device), labels=sets)
    notes = _Notes()
    if sets and y is None:
        notes.warn_once("labels are for matching/label_…, which needs y, and there is no y")
    expected = selection.expected(tuple(embeddings.sides()))
    if not len(x):
        return without_rows(selection, tuple(embeddings.sides()), "there are no rows")
    with _undisturbed(x.device), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        by_name = _by_families(embeddings, selection, expected, notes)
        doubt = doubt_of_matching(embeddings, by_name)
        if doubt is not None:
            notes.warn_once(doubt)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            notes.warn_once(str(warning.message))
    wanted = [name for name in by_name if selection.wants(name)]
    numbers = Numbers(rows=len(x))
    for name in dict.fromkeys([*wanted, *expected]):
        number = by_name.get(name, Measured(None))
        numbers[name] = math.nan if number.value is None else float(number.value)
        if math.isnan(numbers[name]):
            numbers.reasons[name] = number.reason or _why_missing(name, embeddings)
    numbers.notes = [doubt for doubt in notes.doubts if doubt not in numbers.reasons.values()]
    numbers.notes += numbers.missing()
    return numbers


def _by_families(
    embeddings: Embeddings, selection: Selection, expected: Sequence[str], notes: _Notes
) -> dict[str, Measured]:
    """Return what the families measure, where they can; a family that fails gives its expected names a reason."""
    in_one_space = one_space(embeddings)
    wants = (
        selection.wants if in_one_space else lambda name: name.endswith(ONE_SIDED) and selection.wants(name)
    )
    values: dict[str, Measured] = {}
    for family in selection.families:
        if not in_one_space and not any(map(wants, family.names(("x", "y")))):
            continue
        try:
            by_name = family.measure(embeddings, notes, wants)
        except Exception as error:  # a number must not cost a training
            reason = notes.warn_of_failure(error)
            names = [name for name in family.names(("x", "y")) if name in expected]
            by_name = {name: Measured(None, reason) for name in names}
        for name, number in by_name.items():
            values[name] = number if isinstance(number, Measured) else Measured(number)
    return values


def _why_missing(name: str, embeddings: Embeddings) -> str:
    """Return why a number is NaN that came without a reason."""
    if embeddings.y is None and not name.endswith("/x"):
        return NO_Y
    label = name.partition("/label_")[2].rpartition("/")[0]
    if label and label not in embeddings.labels:
        return f"there are no labels {label!r}" + f", only {', '.join(embeddings.labels)}" * bool(
            embeddings.labels
        )
    if embeddings.y is not None and not one_space(embeddings) and not name.endswith(ONE_SIDED):
        return f"x has {embeddings.x.shape[1]} columns and y {embeddings.y.shape[1]}, and this compares rows of x and y"
    own = [name[-1]] if name.endswith(ONE_SIDED) else [*embeddings.sides()]
    return embeddings.odd_rows(own) or f"not defined for these {len(embeddings.x):,} rows"


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Calculate without gradient and autocast, with the CPU as default device, whatever the caller's state."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False), torch.autocast("cpu", enabled=False):
        if torch.get_default_device().type == "cpu":
            yield
        else:
            with torch.device("cpu"):
                yield


def _sample(n: int, rows: int | None, seed: int) -> Tensor | None:
    """Return which of n rows to take, in their order; None: all."""
    if rows is None or n <= rows:
        return None
    return torch.randperm(n, generator=seeded(seed), device="cpu")[:rows].sort().values


def _chosen_rows(parts: Mapping[str, Tensor], rows: Tensor | None) -> dict[str, Tensor]:
    if rows is None:
        return dict(parts)
    return {name: tensor[rows.to(tensor.device)] for name, tensor in parts.items()}


def _sampled_together(
    parts: Mapping[str, Tensor], max_points: int | None, seed: int
) -> tuple[list[dict[str, Tensor]], int]:
    """Return a sample of the rows of all processes by process, as if of one table, and the number of all rows."""
    n = len(parts["x"])
    counts = processes.shared_by_all(n)
    total, first = sum(counts), sum(counts[: torch.distributed.get_rank()])
    rows = _sample(total, max_points, seed)
    if rows is not None:
        rows = rows[(rows >= first) & (rows < first + n)] - first
    own = {name: tensor.cpu() for name, tensor in _chosen_rows(parts, rows).items()}
    return processes.shared_by_all(own), total


def warn_of_doubts(numbers: Numbers, stacklevel: int) -> None:
    """Warn of the notes that are doubts, and not of what the caller decided."""
    for note in numbers.notes:
        if not note.startswith(DECIDED):
            warnings.warn(note, stacklevel=stacklevel)

"""Compare two embeddings of the same rows: neighbours, alignment, shared dimension, rows that moved."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.record import number
from intrinsic_clip.measurement.two_models.moved import Block, farthest
from intrinsic_clip.measurement.two_models.recalls import Recalls, compare_recalls
from intrinsic_clip.metrics import canonical_rank, linear_cka, neighbourhood_overlap, procrustes
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import distinct_rows, with_copies
from intrinsic_clip.metrics.form_comparison import nearest_others
from intrinsic_clip.metrics.paired_error import FEWEST, Clusters, Found, mean_error
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.procrustes import best_turn

K = 10  # neighbours
PERMUTATIONS = 19  # the fewest whose largest correlation is exceeded by chance in one of twenty
MOVED = 10  # rows that are named
SHARES = (
    0.0,
    0.01,
    0.02,
    *(step / 20 for step in range(1, 20)),
    0.98,
    0.99,
    1.0,
)  # of rows, whose distances are kept
Stage = tuple[str, Callable[[], object]]


class Rows(NamedTuple):
    """Rows of two models, by side, with their groups and classes."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    grouping: Grouping


@dataclass
class Compared:
    """Numbers about two embeddings of the same rows, filled in by one stage after the other.

    All are of directions, rows scaled to length 1, as retrieval by cosine is. Where rows repeat in both embeddings,
    one of each counts.

    Attributes:
        first, second: rows of x, and of y if there is one, by side, `(n, d)` each.
        numbers: the numbers of the rows of x in their source, `(n,)`.
        blocks: gives all rows of x that both have, each once, block by block, as their numbers in the source and the
            directions in both embeddings.
        ids: what names the rows of the source, if anything does.
        grouping: groups and classes of the rows compared.
        seed: of permutations and held-out pairs.
        drawn: gives the pairs of which some are held out, in the order in which a measurement draws them; None: those
            compared.
        group_of: gives the group of a row of x by its number in the source; None: rows come in no groups.
        metrics: a number by name; None where it does not exist.
        reasons: why a number does not exist, by its name.
        recalls: recall of both models and their difference.
        moved: the rows that moved most, first of all the farthest.
        distributions: over rows: `overlap`, how many rows keep 0, 1, …, 10 of their neighbours, and the share of rows
            that would by chance; `distance`, quantiles of the squared distance after the best rotation.
        notes: what was decided, a sentence each.
    """

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    numbers: Tensor
    blocks: Callable[[], Iterable[Block]]
    ids: Any = None
    grouping: Grouping = UNGROUPED
    seed: int = 0
    drawn: Callable[[], Rows] | None = None
    group_of: Callable[[int], int] | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    recalls: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    distributions: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.things = _things_of(self.first, self.second)
        self.kept = first_of_each(self.things["x"])
        self.one, self.other = (directions(rows["x"][self.kept]) for rows in (self.first, self.second))

    def stages(self) -> list[Stage]:
        """Return the stages, in the order in which they must run."""
        stages: list[Stage] = [
            ("both: neighbourhoods", self.measure_overlap),
            ("both: CKA", self.measure_cka),
            ("both: shared dimension", self.measure_shared_dimension),
            ("both: rows that moved", self.measure_moved),
        ]
        if "y" in self.first:
            stages.append(("both: recall", partial(self.measure_recall)))
        return stages

    def measure_overlap(self) -> None:
        """Record the share of neighbours that both agree on; rows of a group are no neighbours of each other."""
        name, n = f"overlap/top_{K}", len(self.one)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of repeated rows, which are told of below
            overlap = neighbourhood_overlap(self.one, self.other, K)
        finite = overlap.isfinite()
        others = torch.full((int(finite.sum()),), n - 1)
        if self._grouped and len(others):
            groups = torch.unique(self._groups[finite.cpu()], return_inverse=True)[1]
            others = len(groups) - groups.bincount()[groups]
            overlap[finite] = self._overlap_of_groups(finite, groups).to(overlap)
        usable = overlap[finite]
        if len(usable) < 2 or int(others.min()) < K:
            rows = f"{n:,} distinct rows" + (" in groups" if self._grouped else "")
            self._missing(name, f"{rows} are too few for {K} neighbours")
            return
        self.metrics[name] = float(usable.mean())
        self.metrics[f"overlap_standard_error/top_{K}"] = float(self._error_of(usable, finite))
        self.metrics[f"overlap_chance/top_{K}"] = float((K / others.double()).mean())
        counts = torch.bincount((K * usable).round().long(), minlength=K + 1)
        self.distributions["overlap"] = {
            "kept": list(range(K + 1)),
            "rows": counts.tolist(),
            "by_chance": _agreeing_by_chance(others),
        }
        if len(usable) < n:
            self.notes.append(
                f"{n - len(usable):,} rows repeat others in one of the two models alone, and have no overlap"
            )

    @cached_property
    def _groups(self) -> Tensor:
        """Numbers of the groups of the rows of x, each counted once; of rows without groups, each row's own."""
        groups = self.grouping.groups
        return torch.arange(len(self.kept)) if groups is None else groups[self.kept.cpu()]

    @property
    def _grouped(self) -> bool:
        """Return whether several rows of x are of one group."""
        return len(self._groups.unique()) < len(self._groups)

    def _overlap_of_groups(self, of: Tensor, groups: Tensor) -> Tensor:
        """Return the share of the neighbours in other groups that both agree on.

        Args:
            of: which rows of x, each counted once, are compared.
            groups: of these, numbers from 0.
        """
        if int(groups.max()) == 0:
            return torch.full((len(groups),), math.nan)
        first, second = (
            nearest_others(rows, rows, K, groups) for rows in (self.one[of].double(), self.other[of].double())
        )
        agreed = torch.stack([(first == column[:, None]).any(1) for column in second.T])
        return agreed.double().mean(0)

    def _error_of(self, values: Tensor, of: Tensor) -> Tensor:
        """Return the standard error of the mean of values: over groups, or over rows where groups are few or none.

        Args:
            values: of some of the rows, `(m,)`.
            of: which rows of x, each counted once, these are.
        """
        of_rows = torch.arange(len(values))
        own = self._groups[of.cpu()].unique(return_inverse=True)[1]
        of_rows = own if int(own.max()) + 1 >= FEWEST else of_rows
        found = values.cpu()[:, None]
        return mean_error(Found(found, found), Clusters(of_rows, of_rows)).standard_error

    def measure_cka(self) -> None:
        """Record the debiased linear CKA."""
        value = number(linear_cka(self.one, self.other)) if len(self.one) >= 4 else None
        if value is None:
            self._missing("linear_cka", "all rows of a model point the same way, or they are fewer than 4")
        self.metrics["linear_cka"] = value

    def measure_shared_dimension(self) -> None:
        """Record how many canonical correlations exceed those of permuted rows."""
        shared = canonical_rank(self.one, self.other, permutations=PERMUTATIONS, seed=self.seed)
        self.metrics["shared_dimension"] = number(shared.rank)
        self.metrics["shared_dimension_threshold"] = number(shared.threshold)
        if shared.reason is not None:
            self.reasons["shared_dimension"] = shared.reason

    def measure_moved(self) -> None:
        """Record the residual of the best rotation, and among all rows those that it leaves farthest apart."""
        fit = procrustes(self.one, self.other)
        self.metrics["procrustes"] = number(fit.residual)
        if self.metrics["procrustes"] is None:
            self._missing("procrustes", "all rows of a model point the same way")
            return
        quantiles = fit.rows.quantile(torch.tensor(SHARES, dtype=fit.rows.dtype))
        self.distributions["distance"] = {"share": list(SHARES), "value": quantiles.tolist()}
        for row, distance, one, other in farthest(best_turn(self.one, self.other), self.blocks(), MOVED):
            name = None if self.ids is None else str(self.ids[row])
            kept = self._kept_of(row, one, other)
            self.moved.append({"row": row, "id": name, "distance": distance, "overlap": kept})

    def _kept_of(self, row: int, one: Tensor, other: Tensor) -> float | None:
        """Return the share of a row's nearest neighbours among the compared rows that both agree on."""
        elsewhere = self.numbers[self.kept] != row
        if self.group_of is not None:
            elsewhere &= self._groups.to(elsewhere.device) != self.group_of(row)
        if int(elsewhere.sum()) < K:
            return None
        sets = [
            set((rows[elsewhere] @ row_of).topk(K).indices.tolist())
            for rows, row_of in ((self.one, one), (self.other, other))
        ]
        return len(sets[0] & sets[1]) / K

    def measure_recall(self) -> None:
        """Record recall of both models by cosine and along canonical directions, and their differences."""
        pairs = _recalls_of(Rows(self.first, self.second, self.grouping), self.things, self.seed)
        drawn = pairs if self.drawn is None else self._drawn_pairs(self.drawn())
        for each in compare_recalls(pairs, drawn):
            self.recalls.append(each)
            kind = "retrieval" if each["by"] == "cosine" else "canonical"
            self.metrics[f"{kind}_difference/top_{each['k']}"] = each["difference"]
            self.metrics[f"{kind}_difference_standard_error/top_{each['k']}"] = each["standard_error"]

    def _drawn_pairs(self, rows: Rows) -> Recalls:
        return _recalls_of(rows, _things_of(rows.first, rows.second), self.seed)

    def _missing(self, name: str, reason: str) -> None:
        self.metrics[name], self.reasons[name] = None, reason


def _agreeing_by_chance(others: Tensor) -> list[float]:
    """Return the probability that 0, 1, …, K of K neighbours are among K drawn from all others.

    Args:
        others: rows that may be neighbours, of each row, `(m,)`.
    """
    found = torch.zeros(K + 1, dtype=torch.float64)
    for count, rows in zip(*(part.tolist() for part in others.unique(return_counts=True)), strict=True):
        ways = [math.comb(K, agreed) * math.comb(count - K, K - agreed) for agreed in range(K + 1)]
        shares = [each / math.comb(count, K) for each in ways]
        found += rows / len(others) * torch.tensor(shares, dtype=torch.float64)
    return found.tolist()


def _recalls_of(rows: Rows, things: Mapping[str, Tensor], seed: int) -> Recalls:
    pairing = Pairing(things["x"], things["y"], rows.grouping.groups, rows.grouping.classes)
    return Recalls(rows.first, rows.second, pairing, seed)


def _things_of(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {side: _joint_things(first[side], second[side]) for side in first}


def _joint_things(first: Tensor, second: Tensor) -> Tensor:
    """Return a number for the thing that each row shows: rows show one thing if they repeat in both embeddings."""
    both = torch.stack([with_copies(rows, distinct_rows(rows)) for rows in (first, second)])
    return torch.unique(both, dim=1, return_inverse=True)[1]


def first_of_each(things: Tensor) -> Tensor:
    """Return the place of the first row of each thing, ascending."""
    places = torch.full((int(things.max()) + 1,), len(things))
    return places.scatter_reduce(0, things, torch.arange(len(things)), "amin").sort().values

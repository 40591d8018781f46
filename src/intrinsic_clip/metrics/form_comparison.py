"""Compare forms of stored rows on held-out rows: recall of partners, class accuracy, neighbours kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import Counterparts
from intrinsic_clip.metrics.matching import expected_shares, partner_ranks
from intrinsic_clip.metrics.paired_error import Clusters, Found, clusters, mean_error, recall_error
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.reduction import halves
from intrinsic_clip.metrics.row_blocks import row_blocks
from intrinsic_clip.metrics.stored_forms import (
    FLOAT_BYTES,
    Sides,
    StoredForm,
    canonical_forms,
    stored_forms,
)

VOTERS = 20  # neighbours that vote for a class
OVERLAP = 10  # neighbours that should be kept


@dataclass(frozen=True)
class Compared:
    """A number of one form, and its paired difference from that of the full rows.

    Attributes:
        value, standard_error: the number, a mean over held-out rows.
        difference, difference_error: value less that of the full rows, and the standard error of this difference over
            the same held-out rows.
    """

    value: float
    standard_error: float
    difference: float
    difference_error: float

    @property
    def within_error(self) -> bool:
        """Return whether the number is within one standard error of that of the full rows."""
        return self.difference >= -self.difference_error


@dataclass(frozen=True)
class FormNumbers:
    """Numbers of one form.

    Attributes:
        name, dims, bytes: of the form; see `StoredForm`.
        numbers: by name: `recall_<k>` of partners, mean of both directions; `class_accuracy`; `overlap_10`, the share
            of a row's ten nearest neighbours that are kept, where there are no partners.
    """

    name: str
    dims: int
    bytes: int
    numbers: dict[str, Compared]


@dataclass(frozen=True)
class FormComparison:
    """Numbers of all forms.

    Attributes:
        full: of directions in single precision, all coordinates; of x and y of unequal widths, all canonical ones.
        forms: of the others.
        n: held-out rows; of x and y the larger number of distinct ones.
        n_x: distinct ones of x, each of which counts once in class accuracy and among neighbours.
        fitted: rows, or pairs, that forms were fitted on.
        chance: numbers by guessing, by name: of recall, with k answers drawn at random; of class accuracy, the share of
            the largest class, the most that one gets who looks at labels alone.
    """

    full: FormNumbers
    forms: tuple[FormNumbers, ...]
    n: int
    n_x: int
    fitted: int
    chance: dict[str, float]


@torch.no_grad()
def compare_forms(
    x: Tensor,
    y: Tensor | None = None,
    *,
    pairing: Pairing | None = None,
    labels: Tensor | None = None,
    dims: Sequence[int] = (),
    ks: Sequence[int] = (1, 10),
    max_rows: int = 5000,
    seed: int = 0,
) -> FormComparison:
    """Fit forms on one half of the rows, and compare them on the other, which is that of `retrieval_by_dimension`.

    Args:
        x: `(n, d)`, at least eight rows.
        y: their partners; of another width, both sides are compared along canonical directions alone, since cosines of
            the whole rows do not exist; None: neighbours among x are compared.
        pairing: which rows belong together; None: row i of x and row i of y.
        labels: classes of the rows, int64 `(n,)`; with prompts of classes as y it is partners that are counted.
        dims: numbers of dimensions to add to d, d/2, d/4, ….
        ks: values of k of recall.
        max_rows, seed: as for `retrieval_by_dimension`.

    Raises:
        ValueError: x and y are not as many rows.
    """
    if y is not None and x.shape[:-1] != y.shape[:-1]:
        raise ValueError(f"x and y must have as many rows, got shapes {tuple(x.shape)} and {tuple(y.shape)}")
    if y is None and pairing is None:
        pairing = Pairing.of_rows(x, x)  # copies of a row are no neighbours to keep
    fitted, measured, both = halves(x, max_rows, seed, pairing)
    sides = (x,) if y is None else (x, y)
    whole = tuple(directions(side[measured]) for side in sides)
    classes = pairing is not None and pairing.classes
    of = None if labels is None or classes else labels[measured.to(labels.device)]
    queries = len(measured) if both is None else max(len(both.x), len(both.y))
    wanted = tuple(dict.fromkeys(min(k, queries) for k in ks))
    trial = _Trial(
        whole, both, clusters(len(measured), both, classes), of, classes, wanted, apart(pairing, measured)
    )
    rows = tuple(directions(side[fitted]) for side in sides)
    width = min(side.shape[1] for side in sides)
    alike = all(side.shape[1] == width for side in sides)
    canonical = () if alike else tuple(canonical_forms(rows, tuple(dims)))
    kinds = stored_forms(rows, tuple(dims), seed) if alike else canonical
    first = trial.credits(None if alike else canonical[0])
    full = FormNumbers("full", width, FLOAT_BYTES * width, trial.compared(first, first))
    forms = tuple(
        FormNumbers(form.name, form.dims, form.bytes, trial.compared(trial.credits(form), first))
        for form in kinds
    )
    n_x = len(measured) if both is None else len(both.x)
    return FormComparison(full, forms, queries, n_x, len(fitted), trial.chance())


Credits = dict[str, Found]  # per query; where x alone is asked, both directions hold the same


@dataclass(frozen=True)
class _Trial:
    """Held-out rows that every form is tried on.

    Attributes:
        whole: their directions.
        both: right answers; None: row i of row i.
        clusters: which queries hang together.
        labels: of the rows; None: there are none, or they are those of y.
        classes: y are prompts of classes.
        ks: of recall.
        groups: of the rows, int64 `(n,)`; rows of one are no neighbours of each other. None: each is a group.
    """

    whole: Sides
    both: Counterparts | None
    clusters: Clusters
    labels: Tensor | None
    classes: bool
    ks: tuple[int, ...]
    groups: Tensor | None = None

    def credits(self, form: StoredForm | None) -> Credits:
        """Return what each query finds by a form; by the full directions if it is None."""
        stored = self.whole if form is None else tuple(map(directions, form.stored(self.whole)))
        own = form is not None and form.queries is form.stored
        queries = stored if own or form is None else self._queries(form)
        credits: Credits = {}
        if len(stored) > 1:
            found = self._found(queries, stored)
            credits |= {f"recall_{k}": Found(*(way[:, [i]] for way in found)) for i, k in enumerate(self.ks)}
            if self.classes:
                hit = found.x_to_y[:, :1]
                credits["class_accuracy"] = Found(hit, hit)
        if len(stored) == 1 or self.labels is not None:
            credits |= self._among_x(queries[0], stored[0])
        return credits

    def _queries(self, form: StoredForm) -> Sides:
        return self.whole if form.queries is None else tuple(map(directions, form.queries(self.whole)))

    def _found(self, queries: Sides, stored: Sides) -> Found:
        """Return which queries find a partner among the stored rows of the other side."""
        if queries is stored:
            ranks = partner_ranks(stored[0], stored[1], self.both)
            ways = (ranks.x_to_y, ranks.y_to_x)
        else:
            ways = (
                partner_ranks(queries[0], stored[1], self.both).x_to_y,
                partner_ranks(stored[0], queries[1], self.both).y_to_x,
            )
        return Found(*(torch.stack([expected_shares(way, k) for k in self.ks], -1) for way in ways))

    def _among_x(self, queries: Tensor, stored: Tensor) -> Credits:
        """Return the neighbours of x that are kept and the classes that neighbours vote for, whichever are wanted.

        Each distinct row counts once: a copy of a row, as an image has beside several captions, would tell its class.
        Nor do rows of a group, such as those captions, vote for one another.
        """
        is_whole, once = stored is self.whole[0], self._once
        nearest = nearest_others(queries[once], stored[once], max(VOTERS, OVERLAP), self._groups)
        credits: Credits = {}
        if self.labels is not None:
            right = vote_shares(nearest[:, :VOTERS], self.labels[once.to(self.labels.device)])[:, None]
            credits["class_accuracy"] = Found(right, right)
        if len(self.whole) == 1:
            kept = nearest[:, :OVERLAP]
            reference = kept if is_whole else self._neighbours
            share = (kept[:, :, None] == reference[:, None, :]).any(-1).double().mean(1, keepdim=True)
            credits[f"overlap_{OVERLAP}"] = Found(share, share)
        return credits

    @cached_property
    def _once(self) -> Tensor:
        """Places of the distinct rows of x."""
        x = self.whole[0]
        return torch.arange(len(x), device=x.device) if self.both is None else self.both.x.to(x.device)

    @cached_property
    def _neighbours(self) -> Tensor:
        """Nearest neighbours of the full directions of x, which forms should keep."""
        x = self.whole[0][self._once]
        return nearest_others(x, x, OVERLAP, self._groups)

    @cached_property
    def _groups(self) -> Tensor:
        """Numbers of the groups of the distinct rows of x; of groups that are the classes themselves, each row's own.

        A row of such a class has no voter of its class outside its group.
        """
        once, own = self._once.cpu(), torch.arange(len(self._once))
        if self.groups is None:
            return own
        groups = torch.unique(self.groups[once], return_inverse=True)[1]
        if self.labels is not None:
            labels = torch.unique(self.labels.cpu()[once], return_inverse=True)[1]
            if len(torch.unique(torch.stack([labels, groups]), dim=1).T) == int(labels.max()) + 1:
                return own
        return groups if int(groups.max()) > 0 else own

    def chance(self) -> dict[str, float]:
        """Return what guessing gives, by number; neighbours that are kept are compared with none."""
        n, both = len(self.whole[0]), self.both
        shares = {}
        if len(self.whole) > 1:
            shares = {f"recall_{k}": _found_by_guessing(both, n, k) for k in self.ks}
        if self.classes:  # a prompt is a class, and a distinct row of x asks once
            shares["class_accuracy"] = 1 / n if both is None else _largest_share(both.of_y, len(both.x))
        elif self.labels is not None:
            labels = self.labels[self._once.to(self.labels.device)]
            shares["class_accuracy"] = _largest_share(labels, len(labels))
        return shares

    def compared(self, credits: Credits, full: Credits) -> dict[str, Compared]:
        """Return means over queries, with their differences from those of the full rows."""
        numbers = {}
        of_x = Clusters(self.clusters.x, self.clusters.x)
        for name, found in credits.items():
            of = of_x if name.startswith(("class", "overlap")) else self.clusters
            # Each row shows ten of its neighbours, but only one partner.
            error = mean_error if name.startswith("overlap") else recall_error
            value, difference = error(found, of), mean_error(found.minus(full[name]), of)
            numbers[name] = Compared(*(float(each) for each in (*value, *difference)))
        return numbers


def _found_by_guessing(both: Counterparts | None, n: int, k: int) -> float:
    """Return the share of queries with a right answer among k drawn at random, mean of both directions."""
    if both is None:
        return min(k, n) / n
    shares = []
    for of, own, others in ((both.of_x, both.x, len(both.y)), (both.of_y, both.y, len(both.x))):
        wrong = others - torch.bincount(of, minlength=len(own)).double()
        drawn = torch.arange(min(k, others))
        missed = ((wrong[:, None] - drawn).clamp(min=0) / (others - drawn)).prod(1)
        shares.append(float(1 - missed.mean()))
    return sum(shares) / 2


def _largest_share(classes: Tensor, n: int) -> float:
    """Return the share of n rows that the most frequent class has."""
    return int(torch.unique(classes, return_counts=True)[1].max()) / n


def apart(pairing: Pairing | None, rows: Tensor) -> Tensor | None:
    """Return the groups of some rows, `(m,)`; None where it is not said that rows come in groups."""
    return None if pairing is None or pairing.groups is None else pairing.groups[rows.cpu()]


def nearest_others(queries: Tensor, stored: Tensor, k: int, groups: Tensor) -> Tensor:
    """Return the places of the k stored rows of other groups most similar to each query by inner product, `(n, k)`.

    They are fewer than k where a group leaves fewer others. Among equal ones the order is arbitrary.

    Args:
        queries, stored: `(n, d)`, of the same rows.
        k: neighbours, at most.
        groups: numbers of groups from 0, `(n,)`, two at least; a row's own group is left out.
    """
    k = min(k, len(stored) - int(groups.bincount().max()))
    groups = groups.to(stored.device)
    nearest = []
    for block in row_blocks(len(queries), len(stored), queries.device):
        scores = queries[block] @ stored.T
        scores[groups[block][:, None] == groups] = -torch.inf
        nearest.append(scores.topk(k).indices)
    return torch.cat(nearest)


def vote_shares(nearest: Tensor, labels: Tensor) -> Tensor:
    """Return for each row whether most of its neighbours have its label, `(n,)`; labels with equal votes share it."""
    classes = torch.unique(labels, return_inverse=True)[1].to(nearest.device)
    votes = torch.zeros(len(nearest), int(classes.max()) + 1, dtype=torch.int64, device=nearest.device)
    votes.scatter_add_(1, classes[nearest], torch.ones_like(nearest))
    best = votes == votes.amax(1, keepdim=True)
    return best.gather(1, classes[:, None])[:, 0] / best.sum(1).double()

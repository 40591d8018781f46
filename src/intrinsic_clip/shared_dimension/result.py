"""The result of an estimate: the number of shared dimensions, and all that it rests on."""

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from intrinsic_clip.dimension.display import html_table, line_of, new_axes
from intrinsic_clip.shared_dimension.matching import HeldOut
from intrinsic_clip.shared_dimension.verdict import advice
from intrinsic_clip.shared_dimension.wording import verdict_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class SharedDimension:
    """Number of dimensions that two views share, and all that it rests on.

    Attributes:
        dimension: the number; None where the spectrum has no clear gap; 0 where nothing is found to be shared.
        sides: read off each view's spectrum alone.
        interval: of the dimension, or of the effective number where there is no gap; 95 % of bootstrap draws, which are
            over held-out points and halves of the trainings, not over other pairs; up to `canonical` where that is set,
            and from 1 to a bound where the number is a bound alone.
        agreement: share of the bootstrap draws that name the same dimension.
        text: the verdict in one sentence.
        effective: how many values hold 90 % of what the spectrum exceeds its flat end by, the larger of both views;
            where there is no gap, no more than either view has.
        gap: ratio at the gap, geometric mean of both views; the largest ratio where there is none.
        later_gap: the largest ratio behind it.
        null_gap: the largest ratio on shuffled pairs; None where nothing was trained on them.
        threshold: least ratio that counts as a gap.
        spectrum: mean lengths of the consensus directions by view; a view without derivatives has none.
        null_spectrum: likewise on shuffled pairs, where there was a training on them.
        ratios: of consecutive values by view, and `both`, their geometric mean.
        matching: numbers about held-out pairs.
        n: pairs.
        trainings: replicates that the consensus is taken over.
        notes: what was decided or cut short, a sentence each.
        seconds: duration by stage.
        doubt: what is needed before a number can be trusted, where neither dimension nor effective number can.
        representations: normalised outputs for held-out pairs of x and of y, `(S, n, d)` each.
        draws: the bootstrap's dimensions, sorted.
        bound: dimensions of the smaller view, where there is no gap and the spectrum alone says more.
        canonical: canonical correlations that permuted pairs do not reach, where these widen the interval.
        canonical_rank: the same number whether or not it widens the interval; None where it was not counted, as pairs
            are no independent draws, are too few, or encoders were given.
    """

    dimension: int | None
    sides: dict[str, int | None]
    interval: tuple[int, int]
    agreement: float
    text: str
    effective: int
    gap: float
    later_gap: float
    null_gap: float | None
    threshold: float
    spectrum: dict[str, list[float]]
    null_spectrum: dict[str, list[float]]
    ratios: dict[str, list[float]]
    matching: HeldOut
    representations: tuple[Tensor, Tensor]
    n: int
    trainings: int
    doubt: str | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    draws: tuple[int, ...] = field(default=(), repr=False)
    bound: int | None = None
    canonical: int | None = None
    canonical_rank: int | None = None

    @property
    def number(self) -> int:
        """Return the dimension, or the effective number where there is no clear gap; 0 where neither is known."""
        if self.dimension is not None:
            return self.dimension
        return self.effective if self.doubt is None else 0

    def without_number(self, doubt: str | None) -> "SharedDimension":
        """Return an estimate that names no number; this one if there is no doubt, or nothing was found."""
        if doubt is None or self.dimension == 0:
            return self
        text = f"no number can be trusted: {doubt}, see the notes; the spectrum says {self.text}"
        return replace(self, dimension=None, sides=dict.fromkeys(self.sides), doubt=doubt, text=text)

    def __str__(self) -> str:
        return verdict_line(vars(self))

    def __repr__(self) -> str:
        """Return the verdict in one line."""
        return f"shared dimensions: {self}"

    def _repr_html_(self) -> str:
        """Return a small table for a notebook, with the spectrum of each view as a line."""
        rows = []
        for side, values in self.spectrum.items():
            number = self.sides.get(side)
            title = f"{len(values)} lengths of directions, from {values[0]:.2g} to {values[-1]:.2g}"
            rows.append([side, "no clear gap" if number is None else str(number), line_of(values, title)])
        return html_table(["view", "shared dimensions", "spectrum"], rows, [repr(self), *self.notes])

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the spectra of both views beside those of shuffled pairs.

        Args:
            ax: Matplotlib axes to draw on; None: new ones.

        Returns:
            The axes.
        """
        from intrinsic_clip.reports.chart_panels import draw_chart  # Matplotlib takes a second to import
        from intrinsic_clip.reports.shared_charts import shared_charts

        ax = new_axes() if ax is None else ax
        draw_chart(ax, shared_charts(self.as_dict())[0])
        return ax

    @property
    def advice(self) -> str:
        """Which d to give a contrastive model on such pairs, and the pairs and seconds that the advice rests on."""
        return advice(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name as plain values, without representations and draws."""
        numbers = {key: value for key, value in vars(self).items() if key not in ("representations", "draws")}
        return {**numbers, "interval": list(self.interval), "matching": asdict(self.matching)}

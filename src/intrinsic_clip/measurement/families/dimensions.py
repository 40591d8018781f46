"""Intrinsic dimensions by several estimators, from one search for neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from intrinsic_clip.dimension import DimensionEstimate, Neighbours, registry
from intrinsic_clip.dimension.doubts import grouped, near_duplicates, rounded, too_few_rows
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.measurement.families.family import ByName, Reporter, Wanted, everything


@dataclass(frozen=True)
class IntrinsicDimension:
    """`id/<estimator>/x` and `…/y`, with their standard errors as `id_standard_error/<estimator>/x`.

    Attributes:
        estimators: names in `intrinsic_clip.dimension`, or of classes in `skdim.id`.
        k: neighbours of mle, mada and tle.
        k_local: neighbours of method_of_moments and local_pca.
        more_rows: how more rows can be had, for the doubt that there are too few; "" where there are no more.
    """

    estimators: Sequence[str] = ("mle", "twonn")
    k: int = 20
    k_local: int = registry.WIDE
    more_rows: str = "max_points=…"

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each estimate for each side."""
        return [f"id/{name}/{side}" for side in sides for name in self.in_order()]

    def in_order(self) -> list[str]:
        """Return the estimators, those of most neighbours first, so that one search serves all."""
        return sorted(self.estimators, key=self.needed, reverse=True)

    def needed(self, name: str) -> int:
        """Return the neighbours of each point that an estimator uses."""
        return registry.neighbours_needed(name, self.k, self.k_local)

    def measure(self, embeddings: Embeddings, reporter: Reporter, wanted: Wanted = everything) -> ByName:
        """Estimate the dimension of each side by each estimator, with standard errors."""
        numbers: ByName = {}
        for side in embeddings.sides():
            local: list[tuple[str, float, int]] = []
            for name in self.in_order():
                value, error = f"id/{name}/{side}", f"id_standard_error/{name}/{side}"
                if not (wanted(value) or wanted(error)):
                    continue
                try:
                    estimate = self._estimate(embeddings, side, name)
                except Exception as failure:  # the other estimators are still worth having
                    numbers[value] = numbers[error] = Measured(None, reporter.warn_of_failure(failure, value))
                    continue
                numbers[value] = Measured(estimate.value, estimate.reason)
                numbers[error] = estimate.standard_error
                if estimate.k is not None and estimate.k <= self.k and bool(estimate.value.isfinite().any()):
                    local.append((name, float(estimate.value.nanmean()), estimate.k))
            self._doubt(embeddings, side, local, reporter)
        return numbers

    def _estimate(self, embeddings: Embeddings, side: Side, name: str) -> DimensionEstimate:
        k = self.needed(name)
        return registry.prepare(name, self.k, k, self.k_local)(embeddings.neighbours(side, k))

    def _doubt(
        self, embeddings: Embeddings, side: Side, local: list[tuple[str, float, int]], reporter: Reporter
    ) -> None:
        """Tell of numbers of a side that look right and are not: of estimators by name, value and neighbours."""
        more = f"; measure more rows ({self.more_rows})" if self.more_rows else ""
        for name, value, k in local:
            rows = int(embeddings.neighbours(side, k).valid.sum(-1).double().mean())
            if too_few_rows({name: (value, rows, k)}) is not None:
                reporter.warn_once(
                    f"id/…/{side}: {rows:,} rows are too few for such a dimension, so that estimates are lower bounds "
                    f"and ± is sampling noise only{more}"
                )
        if local:
            most = max(k for _, _, k in local)
            self._doubt_distances(embeddings.sides()[side], side, embeddings.neighbours(side, most), reporter)

    @staticmethod
    def _doubt_distances(points: Tensor, side: Side, neighbours: Neighbours, reporter: Reporter) -> None:
        doubt = rounded(points, neighbours) if points.ndim == 2 else None
        if doubt is not None:
            reporter.warn_once(f"id/…/{side}: {doubt}")
        if (near_duplicates(neighbours) or grouped(neighbours)) is not None:
            reporter.warn_once(
                f"id/…/{side}: rows are near-duplicates or come in small groups, as copies or captions of one image "
                "do, so that estimates are far too low; keep one of each"
            )

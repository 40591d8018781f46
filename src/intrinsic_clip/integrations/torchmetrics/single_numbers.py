"""One number about embeddings as a scalar metric: any by its name, and the usual ones by classes of their own."""

import math
from numbers import Real
from typing import Any, Literal, TypeAlias

from torch import Tensor

from intrinsic_clip.dimension.percentages import percentage
from intrinsic_clip.integrations.torchmetrics.arguments import SEVERAL, check_choice, refuse_options
from intrinsic_clip.integrations.torchmetrics.embedding_numbers import EmbeddingNumbers
from intrinsic_clip.integrations.wanted import LABEL, chosen

Side: TypeAlias = Literal["x", "y"]
Direction: TypeAlias = Literal["x_to_y", "y_to_x", "both"]
SIDES, WAYS = ("x", "y"), ("x_to_y", "y_to_x")
KINDS = {"inner_product": "matching", "cosine": "retrieval"}


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

    def __init__(self, name: str | None = None, **options: Any) -> None:
        refuse_options(type(self).__name__, options)
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
        if "k" in options and not name.startswith("id"):
            raise ValueError(f"k is the number of neighbours of an intrinsic dimension, and {name} is none")
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
        refuse_options(type(self).__name__, options)
        check_choice("side", side, SIDES)
        if not isinstance(estimator, str) or "/" in estimator:
            raise ValueError(f"estimator must be one name, such as 'mle', got {estimator!r}; {SEVERAL}")
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
        refuse_options(type(self).__name__, options)
        check_choice("side", side, SIDES)
        super().__init__(f"spectrum/{kind}/{side}", **options)


class Uniformity(EmbeddingNumber):
    """Uniformity of x, or of y: 0 where all directions are the same, lower where they spread.

    Args:
        side: which argument of `update` is measured.
        options: of `EmbeddingNumbers`.
    """

    higher_is_better = False

    def __init__(self, side: Side = "x", **options: Any) -> None:
        check_choice("side", side, SIDES)
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
        refuse_options(type(self).__name__, options)
        check_choice("similarity", similarity, KINDS)
        check_choice("direction", direction, (*WAYS, "both"))
        if k is not None and share is not None:
            raise ValueError(f"either k or share says how many rows count, got k={k} and share={share:g}")
        if share is not None and not (isinstance(share, Real) and 0 < share <= 1):
            raise ValueError(f"share must be above 0 and at most 1, a share of all rows, got {share!r}")
        top = f"{1 if k is None else k}" if share is None else f"{percentage(share)}pct"
        super().__init__(
            f"{KINDS[similarity]}/top_{top}" + ("" if direction == "both" else f"/{direction}"), **options
        )


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

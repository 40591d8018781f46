"""Log estimates of mutual information that do not depend on the learned temperature."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from annotated_types import Gt
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.embeddings import Embeddings, Measured, Side
from intrinsic_clip.metrics import (
    InformationEstimate,
    copula_information,
    held_out_infonce_bound,
    ksg_information,
    nwj_bound,
    smile_estimate,
)
from intrinsic_clip.probes.probe import Probe
from intrinsic_clip.typed_values import checked

Estimator = Callable[[Tensor, Tensor], InformationEstimate]


class InformationEstimatesProbe(Probe):
    """Log estimates of I(f(X); g(Y)) in nats: `information/held_out`, `nwj`, `smile`, `copula` and `ksg`.

    What they need to know, such as a temperature, is fitted on one half of the measured rows, and the estimate taken on
    the other half. `information/held_out` and `nwj` are lower bounds, the others may be too large. Where there is more
    information than the rows can show, a number is NaN, `reasons` says why, and the InfoNCE bound is kept.

    They take a few seconds for each replicate of 2,000 rows.

    Args:
        args, kwargs: `source` first, and the other arguments of `Probe`; rows are normalised.
        clip: largest log density ratio in SMILE's partition function; infinity: none.
        k: neighbours of KSG.
        directions: shared directions for the copula and for KSG. None: as many as `canonical_rank` finds, but
            no more than the intrinsic dimension.
    """

    @checked(besides=["clip"])  # which may be infinite
    def __init__(
        self,
        *args: Any,
        clip: Annotated[float, Gt(0)] = 5.0,
        k: PositiveInt = 3,
        directions: PositiveInt | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not clip > 0:
            raise ConfigError(f"InformationEstimatesProbe.clip={clip}: must be above 0")
        self.estimators: dict[str, Estimator] = {
            "information/held_out": held_out_infonce_bound,
            "information/nwj": nwj_bound,
            "information/smile": lambda x, y: smile_estimate(x, y, clip),
            "information/copula": lambda x, y: copula_information(x, y, directions),
            "information/ksg": lambda x, y: ksg_information(x, y, k, directions),
        }

    def names(self, sides: Sequence[Side]) -> list[str]:
        """Return the name of each estimate."""
        return list(self.estimators)

    def measure(self, embeddings: Embeddings) -> dict[str, Tensor | Measured]:
        """Return the estimates; one that fails does not cost the others.

        Raises:
            ValueError: more than two modalities.
        """
        x, y = embeddings.normalised_pair()
        numbers: dict[str, Tensor | Measured] = {}
        for name, estimator in self.estimators.items():
            try:
                estimate = estimator(x, y)
                numbers[name] = Measured(estimate.value, estimate.reason)
            except Exception as error:
                numbers |= self.failed([name], error, name)
        return numbers

"""Train encoders of x, y and further modalities with an objective over all of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer

from intrinsic_clip.loss.distributed import gather
from intrinsic_clip.loss.precision import widened
from intrinsic_clip.training.kernel_step import LossesAndTau
from intrinsic_clip.training.module import ContrastiveModule

Encoders = Mapping[str, nn.Module]


class MultimodalModule(ContrastiveModule):
    """Encoders f of x, g of y and one of each further modality, trained together by their names.

    Steps are those of `ContrastiveModule`, in PyTorch. The similarity is the cosine or the population norm over the
    append rows; what else there is for pairs is refused where a run is built.

    Args:
        f, g: encoders of x and of y.
        further: encoders of further modalities by name, in the order in which batches hold them.
        similarity, temperature, optimizer: as of `ContrastiveModule`.
        objective: computes the losses of normalised representations by name, as `loss.SumOverPairs` does.
        settings: `replicates` and `schedule`, as of `ContrastiveModule`.

    Attributes:
        further: the further encoders.
    """

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module,
        further: Encoders,
        similarity: nn.Module,
        temperature: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        objective: nn.Module,
        **settings: Any,
    ) -> None:
        super().__init__(f, g, similarity, temperature, optimizer, objective=objective, **settings)
        self.further = nn.ModuleDict(further)
        self.modalities = 2 + len(self.further)
        self._further_append: tuple[Tensor, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the modalities, in order."""
        return ["x", "y", *self.further]

    @property
    def encoders(self) -> list[nn.Module]:
        """The encoders of the modalities, in order."""
        return [self.f, self.g, *self.further.values()]

    def setup(self, stage: str | None = None) -> None:
        """Take the append rows of all modalities from the data module.

        Raises:
            MisconfigurationException: the population norm has no append rows, or the data other modalities.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            return
        held = list(data.pairs("train").modalities())
        if held != self.names:
            raise MisconfigurationException(
                f"the data have the modalities {', '.join(held)}, and the module {', '.join(self.names)}"
            )
        if self.similarity.needs_population:
            self._further_append = tuple(data.pairs("append").further.values())

    def forward(self, *rows: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Return normalised representations of rows that belong together, `(*R, n, d)` each."""
        return self._represented(rows, self._appended())

    def encode(self, *rows: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Return the encoders' own outputs, `(*R, n, d)` each."""
        return tuple(encoder(inputs) for encoder, inputs in zip(self.encoders, rows, strict=True))

    def normalise(self, *raw: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Normalise encoder outputs as for the loss, `(*R, n, d)` each."""
        if not self.similarity.needs_population:
            return tuple(self.similarity(outputs) for outputs in raw)
        appended = self.encode(*self._appended())
        return tuple(self.similarity(*both) for both in zip(raw, appended, strict=True))

    def _appended(self) -> tuple[Tensor, ...]:
        return (self.x_append, self.y_append, *self._further_append)

    def _represented(self, rows: tuple[Tensor, ...], append: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not self.takes_population:
            return tuple(self.similarity(outputs) for outputs in self.encode(*rows))
        every = zip(self.encoders, rows, append, strict=True)
        return tuple(self._with_population(*each) for each in every)

    def _population(self) -> tuple[Tensor, ...]:  # type: ignore[override]
        return self._appended() if self.takes_population else ()

    def _losses(self, *rows: Tensor) -> LossesAndTau:
        """Return losses `(*R,)` and τ `(*R,)` of a batch and the append rows, if any."""
        assert self.temperature is not None
        tau = self.tau_of_objective()
        represented = self._represented(rows[: self.modalities], rows[self.modalities :])
        if self._shares_batches:
            represented = tuple(gather(widened(outputs)) for outputs in represented)
        return self.objective(dict(zip(self.names, represented, strict=True)), tau), tau

    def losses_of(self, raw: tuple[Tensor, ...], normalised: tuple[Tensor, ...]) -> Tensor:
        """Return the losses of rows that belong together, `(*R,)`."""
        assert self.temperature is not None
        tau = self.tau_of_objective()
        losses: Tensor = self.objective(dict(zip(self.names, normalised, strict=True)), tau)
        return losses

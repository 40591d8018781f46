"""Paired rows in memory, whose batches are slices of tensors, so that a step costs nothing per sample."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, final

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from intrinsic_clip.data.formats.tokens import captions_of
from intrinsic_clip.encoders.preprocessing import are_images_and_tokens, in_unit_range
from intrinsic_clip.seeding import generator

Split = Literal["train", "append", "test"]


@dataclass(frozen=True)
class Pairs:
    """Paired rows on one device: row i of x belongs to row i of y.

    Attributes:
        x, y: the two modalities, `(*R, n, …)`.
        z: the true shared latent where it is known, `(*R, n, k*)`.
        labels: label sets by name, each `(n,)` int64.
        row_axis: the axis n, counted from the front or from the back.
        further: modalities beyond x and y by name, each `(*R, n, …)`; row i belongs to row i of x.
        latents: blocks of the true latent by the modalities that share them, as `xy`, each `(*R, n, k)`, where they
            are known and not one block that all share.
    """

    x: Tensor
    y: Tensor
    z: Tensor | None = None
    labels: dict[str, Tensor] = field(default_factory=dict)
    row_axis: int = -2
    further: dict[str, Tensor] = field(default_factory=dict)
    latents: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.x.shape[self.row_axis]

    def modalities(self) -> dict[str, Tensor]:
        """Return x, y and the further modalities by name, in that order."""
        return {"x": self.x, "y": self.y, **self.further}


class Examples(NamedTuple):
    """Images `(n, 3, h, w)` in [0, 1] on the CPU and their captions, for people to look at."""

    images: Tensor
    captions: list[str]


class Batches:
    """An iterable of `(x, y)` batches, with further modalities behind, without an incomplete last one.

    With several processes each takes a contiguous share of every batch: the shares of all ranks, gathered in rank
    order, are the batch that a single process would see.

    Args:
        pairs: the rows.
        batch_size: pairs per step of all processes together.
        rank, world_size: number of this process, and of processes.
        order: returns the order of the rows whenever an epoch begins, `(n,)`; None: as they lie.
    """

    def __init__(
        self,
        pairs: Pairs,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        order: Callable[[], Tensor] | None = None,
    ) -> None:
        if batch_size % world_size:
            raise MisconfigurationException(
                f"data.batch_size={batch_size}: must be a multiple of the {world_size} processes"
            )
        self.pairs, self.batch_size, self.order = pairs, batch_size, order
        self.share = batch_size // world_size
        self.offset = rank * self.share

    def __len__(self) -> int:
        return len(self.pairs) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        axis, rows = self.pairs.row_axis, tuple(self.pairs.modalities().values())
        order = None if self.order is None else self.order().to(self.pairs.x.device)
        for start in range(self.offset, len(self) * self.batch_size, self.batch_size):
            if order is None:
                yield tuple(side.narrow(axis, start, self.share) for side in rows)
            else:
                yield tuple(side.index_select(axis, order[start : start + self.share]) for side in rows)


class EpochAtOnce:
    """An iterable with one item: all batches of an epoch."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batches]:
        yield self.batches


class PairedData(LightningDataModule):
    """A source of paired rows that fits in memory.

    Subclasses keep their arguments in `__init__`, override `_read` if they need files or models, and `load` the rows.

    Args:
        batch_size: pairs per step.

    Attributes:
        d_x, d_y: input sizes of the two encoders: features of a vector, or the shape of any other row. None until
            `read` where the arguments do not determine them.
        further_dims: input sizes of the encoders of further modalities, by name; empty for pairs.
        sizes: rows of each split; empty until `read` where the arguments do not determine them.
        shared_dim: k*, the intrinsic dimension that the modalities share, or None if unknown.
        shuffle_seed: of the order of the training rows, a new one in each epoch; None: always as they lie. Streams
            have an order of their own.
    """

    sizes: dict[Split, int]
    d_x: int | tuple[int, ...] | None = None
    d_y: int | tuple[int, ...] | None = None
    further_dims: Mapping[str, int | tuple[int, ...]] = MappingProxyType({})
    shared_dim: int | None = None
    shuffle_seed: int | None = None

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.sizes = {}
        self._is_read = False
        self._pairs: dict[Split, Pairs] = {}

    @final
    def read(self) -> None:
        """Read what the source needs, once; afterwards `sizes`, `d_x`, `d_y` are known.

        Raises:
            ConfigError: a file or model that is missing, damaged or does not fit the settings.
        """
        if not self._is_read:
            self._read()
            self._is_read = True

    def _read(self) -> None:
        """Read files and run models, and set `sizes`, `d_x` and `d_y`; generated data need nothing."""

    @abstractmethod
    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the splits train, append (rows for the population norm) and test, on `device`."""

    def setup(self, stage: str | None = None) -> None:
        """Read the source, and load its rows once on the device that will train."""
        self.read()
        if not self._pairs:
            device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            self._pairs = self.load(device)

    def pairs(self, split: Split) -> Pairs:
        """Return all rows of one split; without a trainer they are loaded on the CPU."""
        self.setup()
        return self._pairs[split]

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """Return the captions of a split's rows, decoded from their token ids.

        A source that has its captions as they were written overrides this.

        Args:
            split: train, append or test.
            rows: row numbers in that split, `(n,)` int64; None: all rows.
        """
        tokens = self.pairs(split).y
        return captions_of(tokens if rows is None else tokens[rows.to(tokens.device)])

    def examples(self, rows: Tensor) -> Examples | None:
        """Return pictures and captions of test rows, for people to look at; None where the data have none.

        The pictures are x where x and y are images and token ids. A source of features with pictures overrides this.

        Args:
            rows: row numbers in the test split, `(n,)` int64.
        """
        test = self.pairs("test")
        if not are_images_and_tokens(test.x, test.y):
            return None
        chosen = rows.to(test.x.device)
        return Examples(in_unit_range(test.x[chosen].cpu()), self.read_captions("test", rows))

    def train_dataloader(self) -> Batches | EpochAtOnce:
        """Return the training rows in batches (paper: in fixed order, last incomplete batch dropped).

        A single process gets the batches of an epoch at once, see `ContrastiveModule.training_step`. Several processes,
        which exchange gradients at each step, get them one by one, and so does a trainer that counts batches or steps,
        or has a probe that does.
        """
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order = None if self.shuffle_seed is None else self._shuffled
        batches = Batches(self.pairs("train"), self.batch_size, rank, world_size, order)
        at_once = self.draws_by_epoch and not self._is_measured_within_epoch()
        return EpochAtOnce(batches) if at_once else batches

    @property
    def draws_by_epoch(self) -> bool:
        """Return whether what a training draws begins anew with each epoch of data in memory, and not with each batch.

        Measuring within an epoch changes nothing about it.
        """
        return (self.trainer is None or self.trainer.world_size == 1) and not self._ends_within_epoch()

    def _shuffled(self) -> Tensor:
        """Return the order of this epoch, which depends on the seed and the epoch alone."""
        assert self.shuffle_seed is not None
        epoch = self.trainer.current_epoch if self.trainer else 0
        return torch.randperm(len(self.pairs("train")), generator=generator(self.shuffle_seed, epoch))

    def _ends_within_epoch(self) -> bool:
        """Return whether the trainer may stop before an epoch's last batch (`max_steps`, `limit_train_batches`)."""
        if self.trainer is None:
            return False
        limit = (
            self.trainer.limit_train_batches
        )  # as a float it is a share, as an integer a number of batches
        return self.trainer.max_steps != -1 or not (isinstance(limit, float) and limit == 1)

    def _is_measured_within_epoch(self) -> bool:
        """Return whether a probe measures before an epoch's last batch (`every_n_steps`)."""
        callbacks = self.trainer.callbacks if self.trainer is not None else []  # type: ignore[attr-defined]
        return any(getattr(callback, "measures_within_epochs", False) for callback in callbacks)

    def test_dataloader(self) -> Batches:
        """Return the test rows as one batch."""
        return Batches(self.pairs("test"), len(self.pairs("test")))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Return the batch as it is, since the pairs were loaded on the device."""
        return batch

"""Batches of streamed epochs: the same number of them in each process, every pair once, and a place to go on from."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import torch
from pytorch_lightning import Trainer
from torch import Tensor, distributed
from torch.utils.data import DataLoader

from intrinsic_clip.data.skipped_samples import JUDGED_FROM, SkippedSamples
from intrinsic_clip.data.streams.shard_stream import Chunk, ShardStream, StreamPosition
from intrinsic_clip.errors import ConfigError

T = TypeVar("T")
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class EpochPosition:
    """Where an epoch stands, and thus from where a killed run goes on.

    Attributes:
        whole: batches given that were a whole chunk of each process.
        pooled: batches given after those, from what was left.
        taken: how far each process had come with the last whole one; none: it has not begun.
        counts: what all of them had skipped by then, see `SkippedSamples.counts`.
    """

    epoch: int
    whole: int = 0
    pooled: int = 0
    taken: list[StreamPosition] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def batches(self) -> int:
        """All that were given."""
        return self.whole + self.pooled


class Epochs:
    """An iterable of the `(x, y)` batches of one epoch after another, x uint8; an incomplete last one is dropped.

    Each process reads its own part of the shards. As long as all have a whole share of a batch, they train on those;
    then they pool what is left, a share of each at a time, and split that. Parts of any size so come to the same
    number of steps, and what was skipped anywhere is known everywhere.

    Lightning keeps `state_dict` in its checkpoints, and gives it back to a run that was killed within an epoch.

    Args:
        stream: what this process reads.
        workers: of the stream; 0: this process reads itself.
        max_bad: see `SkippedSamples`.
        trainer: whose epoch it is; None: epochs are counted here.

    Raises:
        ConfigError: while iterating, on all processes: too many samples that cannot be used, or none that can.
    """

    batches: int | None = None

    def __init__(
        self, stream: ShardStream, workers: int, max_bad: float, trainer: Trainer | None = None
    ) -> None:
        self.stream, self.workers, self.max_bad, self.trainer = stream, workers, max_bad, trainer
        self._finished = 0
        self._resume: EpochPosition | None = None
        self._places: list[EpochPosition] = []

    def __iter__(self) -> Iterator[Batch]:
        begin, self._resume = self._resume or EpochPosition(self._epoch()), None
        self._places = [begin]
        skipped = SkippedSamples(self.stream.source, self.max_bad, **begin.counts)
        given = begin.batches
        for batch, place in self._steps(begin, skipped):
            given = place.batches
            self._places = [*self._places[-1:], place]  # Lightning fetches one ahead of the one it trains on
            if given == self.batches:  # it asks for no more
                self._end(skipped)
            yield batch
            if given == self.batches:
                return
        if given < (self.batches or 1):
            skipped.check()
            raise ConfigError(f"{self.stream.source}: no pairs to train on make a whole batch")
        self._end(skipped)

    def _end(self, skipped: SkippedSamples) -> None:
        """Judge what the epoch has seen, and say it once."""
        skipped.check(so_far=self.stream.endless)
        if not self._finished:
            skipped.report()
        self._finished += 1

    def state_dict(self) -> dict[str, Any]:
        """Where the trainer stands, which is behind what it has fetched."""
        assert self.trainer is not None
        epoch, trained = self._epoch(), self.trainer.fit_loop.epoch_loop.batch_idx + 1
        here = (place for place in self._places if (place.epoch, place.batches) == (epoch, trained))
        return asdict(next(here, EpochPosition(epoch)))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; of another number of processes, from the beginning of the epoch."""
        place = EpochPosition(**{**state, "taken": [StreamPosition(**taken) for taken in state["taken"]]})
        same = len(place.taken) in (0, self.stream.world_size)
        self._resume = place if same else EpochPosition(place.epoch)

    def _epoch(self) -> int:
        """The epoch to be trained or being trained: Lightning's own number is one less when a checkpoint was loaded."""
        if self.trainer is None:
            return self._finished
        progress: Any = self.trainer.fit_loop.epoch_progress.current  # of which mypy knows half
        return int(progress.processed)

    def _steps(self, place: EpochPosition, skipped: SkippedSamples) -> Iterator[tuple[Batch, EpochPosition]]:
        """This process's share of each batch, and where the epoch stands after it."""
        taken = place.taken[self.stream.rank] if place.taken else StreamPosition([0] * max(1, self.workers))
        self.stream.epoch, self.stream.begin = place.epoch, taken
        rest: list[Chunk] = []
        chunks = iter(DataLoader(self.stream, batch_size=None, num_workers=self.workers))
        while True:
            chunk = self._whole(chunks, rest)
            if chunk is not None:
                taken = _after(taken, chunk)
            told = self._told_by_all(None if chunk is None else (taken, chunk.skipped))
            known = [one for one in told if one is not None]
            if len(known) < len(told):
                break
            assert chunk is not None
            _count(skipped, [seen for _, seen in known])
            place = EpochPosition(
                place.epoch, place.whole + 1, 0, [one for one, _ in known], skipped.counts()
            )
            yield (chunk.x, chunk.y), place
        yield from self._pooled(place, skipped, chunk, chunks, rest)

    def _pooled(
        self,
        place: EpochPosition,
        skipped: SkippedSamples,
        chunk: Chunk | None,
        chunks: Iterator[Chunk],
        rest: list[Chunk],
    ) -> Iterator[tuple[Batch, EpochPosition]]:
        """Batches of what is left, when one process has no whole share any more; those given before are passed over."""
        share, rank, size = self.stream.share, self.stream.rank, self.stream.share * self.stream.world_size
        pool: list[Tensor] = []
        given = 0
        while True:
            if chunk is None and rest:
                chunk = rest.pop(0)
            parts = [part for part in self._told_by_all(chunk) if part is not None]
            if not parts:
                return
            _count(skipped, [part.skipped for part in parts])
            pairs = [(part.x, part.y) for part in parts if len(part)]
            pool = (
                [torch.cat([*pool[i : i + 1], *(pair[i] for pair in pairs)]) for i in (0, 1)]
                if pairs
                else pool
            )
            while pool and len(pool[0]) >= size:
                given += 1
                if given > place.pooled:
                    x, y = (rows[rank * share : (rank + 1) * share] for rows in pool)
                    yield (x, y), replace(place, pooled=given)
                pool = [rows[size:] for rows in pool]
            chunk = self._whole(chunks, rest)

    def _whole(self, chunks: Iterator[Chunk], rest: list[Chunk]) -> Chunk | None:
        """The next whole chunk, or None when all are used; smaller ones, a worker's last, go to the rest in order."""
        for chunk in chunks:
            if len(chunk) == self.stream.share:
                return chunk
            rest.append(chunk)
            rest.sort(key=lambda chunk: chunk.worker)
        return None

    def _told_by_all(self, own: T) -> list[T]:
        """What each process tells, in rank order."""
        told: list[Any] = [own]
        if self.stream.world_size > 1:
            told = [None] * self.stream.world_size
            distributed.all_gather_object(told, own)
        return told


class CountedEpochs(Epochs):
    """Epochs of so many batches, however many pairs there are; the shards go round as often as that takes."""

    def __init__(
        self, stream: ShardStream, workers: int, max_bad: float, trainer: Trainer | None, batches: int
    ) -> None:
        super().__init__(stream, workers, max_bad, trainer)
        self.batches: int = batches

    def __len__(self) -> int:
        return self.batches


def _after(taken: StreamPosition, chunk: Chunk) -> StreamPosition:
    samples = [*taken.samples]
    samples[chunk.worker] = chunk.taken
    return StreamPosition(samples, (chunk.worker + 1) % len(samples))


def _count(skipped: SkippedSamples, seen: list[SkippedSamples]) -> None:
    """Add what was seen, and judge it once that is a fair number."""
    for part in seen:
        skipped.merge(part)
    if skipped.seen >= JUDGED_FROM:
        skipped.check(so_far=True)

"""Batches of streamed epochs: every pair once, the same number of batches in each process, resumable anywhere."""

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
    """Position in an epoch, from which a killed run resumes.

    Attributes:
        epoch: number of the epoch.
        whole: batches that consisted of a whole chunk of each process.
        pooled: batches after those, made of the remaining pairs of all processes.
        taken: position of each process after the last whole batch; empty at the start of the epoch.
        counts: samples skipped in all processes so far, see `SkippedSamples.counts`.
    """

    epoch: int
    whole: int = 0
    pooled: int = 0
    taken: list[StreamPosition] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def batches(self) -> int:
        """Return the number of batches so far."""
        return self.whole + self.pooled


class Epochs:
    """An iterable of the `(x, y)` batches of an epoch, x uint8; each iteration is the next epoch.

    Each process reads its own part of the shards. While all processes have a whole share of a batch, they train on
    those; then they pool the remaining pairs and split them. So parts of any size give the same number of steps, and
    every process knows what was skipped in any of them. An incomplete last batch is dropped.

    Lightning keeps `state_dict` in its checkpoints, and restores it when it resumes a run within an epoch.

    Args:
        stream: the part of the shards that this process reads.
        workers: number of worker processes of the stream; 0: this process reads itself.
        max_bad: see `SkippedSamples`.
        trainer: the trainer, which counts epochs; None: they are counted here.

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
        yielded = begin.batches
        for batch, place in self._steps(begin, skipped):
            yielded = place.batches
            self._places = [*self._places[-1:], place]  # Lightning fetches one ahead of the one it trains on
            if yielded == self.batches:  # Lightning requests no more
                self._end(skipped)
            yield batch
            if yielded == self.batches:
                return
        if yielded < (self.batches or 1):
            skipped.check()
            raise ConfigError(f"{self.stream.source}: no pairs to train on make a whole batch")
        self._end(skipped)

    def _end(self, skipped: SkippedSamples) -> None:
        """Check the share of samples skipped in the epoch, and report it in the first epoch only."""
        skipped.check(so_far=self.stream.endless)
        if not self._finished:
            skipped.report()
        self._finished += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the trainer, which lags behind the batches it has fetched."""
        assert self.trainer is not None
        epoch, trained = self._epoch(), self.trainer.fit_loop.epoch_loop.batch_idx + 1
        current = (place for place in self._places if (place.epoch, place.batches) == (epoch, trained))
        return asdict(next(current, EpochPosition(epoch)))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from this position; with another number of processes, from the beginning of its epoch."""
        place = EpochPosition(**{**state, "taken": [StreamPosition(**taken) for taken in state["taken"]]})
        same_processes = len(place.taken) in (0, self.stream.world_size)
        self._resume = place if same_processes else EpochPosition(place.epoch)

    def _epoch(self) -> int:
        """Return the current epoch; Lightning's `current_epoch` is one less after a checkpoint was loaded."""
        if self.trainer is None:
            return self._finished
        progress: Any = self.trainer.fit_loop.epoch_progress.current  # mypy knows only some of its attributes
        return int(progress.processed)

    def _steps(self, place: EpochPosition, skipped: SkippedSamples) -> Iterator[tuple[Batch, EpochPosition]]:
        """Yield this process's share of each batch, and the position in the epoch after it."""
        taken = place.taken[self.stream.rank] if place.taken else StreamPosition([0] * max(1, self.workers))
        self.stream.epoch, self.stream.begin = place.epoch, taken
        smaller: list[Chunk] = []
        chunks = iter(DataLoader(self.stream, batch_size=None, num_workers=self.workers))
        while True:
            chunk = self._next_whole(chunks, smaller)
            if chunk is not None:
                taken = _after(taken, chunk)
            gathered = self._gather(None if chunk is None else (taken, chunk.skipped))
            states = [state for state in gathered if state is not None]
            if len(states) < len(gathered):
                break
            assert chunk is not None
            _count(skipped, [counts for _, counts in states])
            positions = [position for position, _ in states]
            place = EpochPosition(place.epoch, place.whole + 1, 0, positions, skipped.counts())
            yield (chunk.x, chunk.y), place
        yield from self._pooled(place, skipped, chunk, chunks, smaller)

    def _pooled(
        self,
        place: EpochPosition,
        skipped: SkippedSamples,
        chunk: Chunk | None,
        chunks: Iterator[Chunk],
        smaller: list[Chunk],
    ) -> Iterator[tuple[Batch, EpochPosition]]:
        """Yield batches of the pooled remaining pairs, without the ones before `place`.

        Args:
            place: position after the last whole batch, or the one to resume from.
            skipped: counts of the epoch, which are updated.
            chunk, chunks: this process's whole chunks that are left, the first one and the others.
            smaller: its smaller chunks.
        """
        share, rank, size = self.stream.share, self.stream.rank, self.stream.share * self.stream.world_size
        pool: list[Tensor] = []
        yielded = 0
        while True:
            if chunk is None and smaller:
                chunk = smaller.pop(0)
            parts = [part for part in self._gather(chunk) if part is not None]
            if not parts:
                return
            _count(skipped, [part.skipped for part in parts])
            pairs = [(part.x, part.y) for part in parts if len(part)]
            if pairs:
                pool = [torch.cat([*pool[i : i + 1], *(pair[i] for pair in pairs)]) for i in (0, 1)]
            while pool and len(pool[0]) >= size:
                yielded += 1
                if yielded > place.pooled:
                    x, y = (rows[rank * share : (rank + 1) * share] for rows in pool)
                    yield (x, y), replace(place, pooled=yielded)
                pool = [rows[size:] for rows in pool]
            chunk = self._next_whole(chunks, smaller)

    def _next_whole(self, chunks: Iterator[Chunk], smaller: list[Chunk]) -> Chunk | None:
        """Return the next whole chunk, None after the last; put smaller ones into `smaller`, sorted by worker."""
        for chunk in chunks:
            if len(chunk) == self.stream.share:
                return chunk
            smaller.append(chunk)
            smaller.sort(key=lambda chunk: chunk.worker)
        return None

    def _gather(self, own: T) -> list[T]:
        """Return the object of each process in rank order."""
        objects: list[Any] = [own]
        if self.stream.world_size > 1:
            objects = [None] * self.stream.world_size
            distributed.all_gather_object(objects, own)
        return objects


class CountedEpochs(Epochs):
    """Epochs of a fixed number of batches, for which the shards are repeated as needed.

    Args:
        batches: batches of an epoch; the other arguments are those of `Epochs`.
    """

    def __init__(
        self, stream: ShardStream, workers: int, max_bad: float, trainer: Trainer | None, batches: int
    ) -> None:
        super().__init__(stream, workers, max_bad, trainer)
        self.batches: int = batches

    def __len__(self) -> int:
        return self.batches


def _after(taken: StreamPosition, chunk: Chunk) -> StreamPosition:
    """Return the position of a process after a chunk."""
    samples = [*taken.samples]
    samples[chunk.worker] = chunk.taken
    return StreamPosition(samples, (chunk.worker + 1) % len(samples))


def _count(skipped: SkippedSamples, parts: list[SkippedSamples]) -> None:
    """Add the counts of all processes, and check the share of skipped samples once enough were seen."""
    for part in parts:
        skipped.merge(part)
    if skipped.seen >= JUDGED_FROM:
        skipped.check(so_far=True)

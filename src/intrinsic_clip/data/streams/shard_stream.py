"""Stream one worker's part of an epoch of WebDataset shards, in a fixed order that can be resumed in the middle."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from intrinsic_clip.data.formats.shards import Members, Sample, decode, read_members
from intrinsic_clip.data.skipped_samples import SkippedSamples


@dataclass
class StreamPosition:
    """Position of a process in an epoch.

    Attributes:
        samples: samples, usable or not, that each of its workers had taken when its last whole chunk was used.
        turn: the worker whose chunk is next.
    """

    samples: list[int]
    turn: int = 0


@dataclass
class Chunk:
    """Pairs of one worker: x `(n, 3, size, size)` uint8 and y `(n, 77)` int64.

    Attributes:
        worker: number of the worker.
        taken: samples of the epoch that the worker had taken after this chunk.
        skipped: counts of the samples that it looked at for this chunk.
    """

    x: Tensor
    y: Tensor
    worker: int
    taken: int
    skipped: SkippedSamples

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class ShardStream(IterableDataset[Chunk]):
    """The part of an epoch that one worker reads, in chunks of `share` pairs; the last may be smaller.

    Workers of all processes take shards in turn; where there are fewer shards than workers, they take samples in turn.

    Attributes:
        held_out: digests of pixels that are left out.
        shuffle: size of the window from which a worker draws samples.
        endless: repeat the shards, in another order, when all are read.
        epoch: number of the epoch; determines the order together with the seed.
        begin: position to resume from. Earlier samples are read, since the order depends on them, but not decoded.
    """

    shards: list[Path]
    image_size: int
    share: int
    held_out: frozenset[bytes]
    shuffle: int
    seed: int
    endless: bool
    rank: int
    world_size: int
    source: str
    epoch: int = 0
    begin: StreamPosition = field(default_factory=lambda: StreamPosition([0]))

    def __iter__(self) -> Iterator[Chunk]:
        info = get_worker_info()
        workers, number = (info.num_workers, info.id) if info else (1, 0)
        worker = (number + self.begin.turn) % workers  # the loader takes its first worker's chunk first
        skipped, samples = SkippedSamples(self.source), list[Sample]()
        begin, taken = self.begin.samples[worker], 0
        for lap in count():
            usable, from_lap_start = 0, taken >= begin
            for name, members in self._lap(workers, worker, lap, skipped):
                taken += 1
                if taken <= begin:
                    if taken == begin:
                        skipped.pop_counts()  # counted before the interruption
                    continue
                sample = decode(name, members, self.image_size, skipped)
                if sample is not None and digest(sample) not in self.held_out:
                    samples.append(sample)
                    usable += 1
                if len(samples) == self.share:
                    yield Chunk(*as_tensors(samples), worker, taken, skipped.pop_counts())
                    samples = []
            if not self.endless or (from_lap_start and not usable):
                break
        yield Chunk(*as_tensors(samples), worker, taken, skipped.pop_counts())

    def _lap(
        self, workers: int, worker: int, lap: int, skipped: SkippedSamples
    ) -> Iterator[tuple[str, Members]]:
        """Return this worker's part of all shards, once, in the order of the lap."""
        consumers, consumer = workers * self.world_size, workers * self.rank + worker
        key = f"{self.seed} {self.epoch} {lap}"
        members = self._members(consumers, consumer, shuffled(self.shards, key), skipped)
        return _shuffled_in_window(members, self.shuffle, f"{key} {consumer}")

    def _members(
        self, consumers: int, consumer: int, order: Sequence[Path], skipped: SkippedSamples
    ) -> Iterator[tuple[str, Members]]:
        if len(order) >= consumers:
            return chain.from_iterable(read_members(shard, skipped) for shard in order[consumer::consumers])
        counts = (
            SkippedSamples(self.source) if consumer else skipped
        )  # every worker sees a truncated shard, only the first one counts it
        every = chain.from_iterable(read_members(shard, counts) for shard in order)
        return islice(every, consumer, None, consumers)


def as_tensors(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return pixels `(n, 3, size, size)` uint8 and token ids `(n, 77)` int64; two empty tensors for no samples."""
    from open_clip import tokenize

    if not samples:
        return torch.empty(0), torch.empty(0)
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return pixels, tokenize([sample.caption for sample in samples])


def digest(sample: Sample) -> bytes:
    """Return a digest of a sample's pixels."""
    return hashlib.blake2b(sample.pixels.tobytes(), digest_size=16).digest()


def shuffled(shards: Sequence[Path], key: str) -> list[Path]:
    """Return the shards in an order that the key determines."""
    return random.Random(key).sample(shards, len(shards))


def _shuffled_in_window(
    samples: Iterator[tuple[str, Members]], size: int, key: str
) -> Iterator[tuple[str, Members]]:
    """Yield the samples, each drawn from a window of `size` of them."""
    generator = random.Random(key)
    window = list(islice(samples, size))
    for sample in samples:
        place = generator.randrange(len(window))
        yield window[place]
        window[place] = sample
    generator.shuffle(window)
    yield from window

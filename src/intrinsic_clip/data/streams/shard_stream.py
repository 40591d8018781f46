"""What a worker process reads of an epoch of WebDataset shards, in which order, and how it goes on in the middle."""

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
    """How far a process has come in an epoch.

    Attributes:
        samples: how many each of its workers had taken, usable or not, when the last whole chunk of it was used.
        turn: the worker whose chunk is next.
    """

    samples: list[int]
    turn: int = 0


@dataclass
class Chunk:
    """Pairs of one worker: x `(n, 3, size, size)` uint8 and y `(n, 77)` int64.

    Attributes:
        worker: whose.
        taken: how many samples of the epoch that worker had taken by then.
        skipped: what it looked at for this chunk.
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
    """What one worker of one process reads of an epoch: chunks of `share` pairs, the last one may be smaller.

    Workers of all processes take shards in turn; where there are fewer shards than workers, samples in turn.

    Attributes:
        held_out: contents that are left out.
        shuffle: samples ahead that a worker draws from.
        endless: go on with the shards in another order when all are read.
        epoch: with the seed it determines the order.
        begin: where to begin in the epoch. What comes before is read, since the order depends on it, but not decoded.
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
            usable, from_its_start = 0, taken >= begin
            for name, members in self._lap(workers, worker, lap, skipped):
                taken += 1
                if taken <= begin:
                    if taken == begin:
                        skipped.pop_counts()  # counted already
                    continue
                sample = decode(name, members, self.image_size, skipped)
                if sample is not None and digest(sample) not in self.held_out:
                    samples.append(sample)
                    usable += 1
                if len(samples) == self.share:
                    yield Chunk(*as_tensors(samples), worker, taken, skipped.pop_counts())
                    samples = []
            if not self.endless or (from_its_start and not usable):
                break
        yield Chunk(*as_tensors(samples), worker, taken, skipped.pop_counts())

    def _lap(
        self, workers: int, worker: int, lap: int, skipped: SkippedSamples
    ) -> Iterator[tuple[str, Members]]:
        """This worker's part of all shards, once, in the lap's order."""
        consumers, consumer = workers * self.world_size, workers * self.rank + worker
        key = f"{self.seed} {self.epoch} {lap}"
        members = self._members(consumers, consumer, shuffled(self.shards, key), skipped)
        return _mixed(members, self.shuffle, f"{key} {consumer}")

    def _members(
        self, consumers: int, consumer: int, order: Sequence[Path], skipped: SkippedSamples
    ) -> Iterator[tuple[str, Members]]:
        if len(order) >= consumers:
            return chain.from_iterable(read_members(shard, skipped) for shard in order[consumer::consumers])
        counts = (
            SkippedSamples(self.source) if consumer else skipped
        )  # all see a truncated shard, the first counts it
        every = chain.from_iterable(read_members(shard, counts) for shard in order)
        return islice(every, consumer, None, consumers)


def as_tensors(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Pixels `(n, 3, size, size)` uint8 and token ids `(n, 77)` int64; two empty tensors of none."""
    from open_clip import tokenize

    if not samples:
        return torch.empty(0), torch.empty(0)
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return pixels, tokenize([sample.caption for sample in samples])


def digest(sample: Sample) -> bytes:
    """What stands for a sample's pixels."""
    return hashlib.blake2b(sample.pixels.tobytes(), digest_size=16).digest()


def shuffled(shards: Sequence[Path], key: str) -> list[Path]:
    """The shards in the order that a key stands for."""
    return random.Random(key).sample(shards, len(shards))


def _mixed(samples: Iterator[tuple[str, Members]], ahead: int, key: str) -> Iterator[tuple[str, Members]]:
    """The samples in an order that a window of `ahead` of them allows."""
    draw = random.Random(key)
    window = list(islice(samples, ahead))
    for sample in samples:
        place = draw.randrange(len(window))
        yield window[place]
        window[place] = sample
    draw.shuffle(window)
    yield from window

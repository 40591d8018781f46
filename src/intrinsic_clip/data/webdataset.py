"""Image–caption pairs streamed from WebDataset shards (CC3M, CC12M, LAION, …), for sets larger than memory.

Some of the first pairs are held out in memory; the rest is streamed by worker processes, anew in each epoch.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from intrinsic_clip.config import ConfigError
from intrinsic_clip.data.captioned import Share
from intrinsic_clip.data.labels import codes
from intrinsic_clip.data.paired import Examples, PairedData, Pairs, Split, in_unit_range
from intrinsic_clip.data.shards import Members, Sample, decode, expand, read_members
from intrinsic_clip.data.skipping import Skipped

JUDGED_FROM = 1000  # samples seen before their share of bad ones may stop a running epoch
Chunk = tuple[Tensor, Tensor, Skipped]


class WebDatasetShards(PairedData):
    """Pixels x `(n, 3, size, size)` in [0, 1] and ids y `(n, 77)` int64 of open_clip's tokenizer, streamed.

    Args:
        shards: their paths, with braces and wildcards: `cc3m/{00000..00331}.tar`.
        image_size: pixels along a side.
        labels: keys of the samples' json that are label sets.
        n_append, n_test: pairs that are held out, from the first shards in an order that `split_seed` draws. Their
            pixels are never trained on, wherever else they occur.
        batch_size: pairs per step.
        epoch_batches: steps of an epoch, the shards as often as it takes; None: all shards once, which several
            processes cannot have, since each must make as many steps.
        workers: processes that read and decode, beside each training process; 0: none.
        shuffle: each worker draws from so many samples that lie ahead. Shards are shuffled too, in each epoch.
        max_bad: the share of samples that may be corrupt or without caption; more stop the run.
        split_seed: determines what is held out and the order of each epoch.

    Raises:
        ConfigError: shards that are missing, too few pairs, or too many that cannot be used.
    """

    def __init__(
        self,
        shards: str,
        image_size: PositiveInt = 64,
        labels: list[str] | None = None,
        n_append: NonNegativeInt = 0,
        n_test: PositiveInt = 1000,
        batch_size: PositiveInt = 256,
        epoch_batches: PositiveInt | None = None,
        workers: NonNegativeInt = 2,
        shuffle: PositiveInt = 1000,
        max_bad: Share = 0.01,
        split_seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__(batch_size)
        self.source, self.shards, self.image_size = f"data.shards={shards}", expand(shards), image_size
        self.labels, self.epoch_batches, self.workers = list(labels or []), epoch_batches, workers
        self.shuffle, self.max_bad, self.split_seed = shuffle, max_bad, split_seed
        self.sizes = {"train": 0, "append": n_append, "test": n_test}  # none to train on is held in memory
        self.d_x, self.d_y = (3, image_size, image_size), (77,)
        self._held_out = self._hold_out(n_append + n_test)

    def _hold_out(self, wanted: int) -> dict[bytes, Sample]:
        """The first pairs, each content once; then sees that at least a batch is left."""
        order = _shuffled(self.shards, f"{self.split_seed} held out")
        skipped = Skipped(self.source, self.max_bad)
        held: dict[bytes, Sample] = {}
        others = 0
        for name, members in chain.from_iterable(read_members(shard, skipped) for shard in order):
            sample = decode(name, members, self.image_size, skipped)
            if sample is None:
                continue
            digest = _digest(sample)
            if digest not in held and len(held) < wanted:
                held[digest] = sample
            elif digest not in held:
                others += 1
            if others == self.batch_size:
                break
        skipped.check()
        if others < self.batch_size:
            raise ConfigError(
                f"{self.source}: {len(held) + others:,} usable pairs; data.n_append + n_test + batch_size = "
                f"{wanted + self.batch_size:,} must not exceed that"
            )
        return held

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """What is held out, on the device."""
        samples = list(self._held_out.values())
        sets = {name: codes([str(s.known.get(name, "")) for s in samples]) for name in self.labels}
        x, y = _as_tensors(samples)
        cut = self.sizes["append"]
        rows: dict[Split, slice] = {"append": slice(0, cut), "test": slice(cut, None)}
        return {
            split: Pairs(
                x[chosen].to(device).float() / 255,
                y[chosen].to(device),
                labels={name: values[chosen].to(device) for name, values in sets.items()},
                row_axis=0,
            )
            for split, chosen in rows.items()
        }

    def examples(self, rows: Tensor) -> Examples:
        """The images, and their captions as they were written."""
        samples = list(self._held_out.values())[self.sizes["append"] :]
        chosen = [samples[row] for row in rows.tolist()]
        return Examples(in_unit_range(_as_tensors(chosen)[0]), [sample.caption for sample in chosen])

    def pairs(self, split: Split) -> Pairs:
        """The pairs held out; there are none in memory that are trained on."""
        if split == "train":
            raise ConfigError(
                f"{self.source}: training rows are streamed, so nothing can be measured in-sample"
            )
        return super().pairs(split)

    def train_dataloader(self) -> Any:
        """This process's share of each batch, streamed."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_size % world_size:
            raise MisconfigurationException(
                f"data.batch_size={self.batch_size}: must be a multiple of the {world_size} processes"
            )
        if world_size > 1 and self.epoch_batches is None:
            raise MisconfigurationException(
                f"data.epoch_batches: must be given, since the {world_size} processes must make as many steps each"
            )
        stream = ShardStream(
            self.shards, self.image_size, self.batch_size // world_size, frozenset(self._held_out), self.shuffle,
            self.split_seed, self.epoch_batches is not None, rank, world_size, self.source,
        )  # fmt: skip
        if self.epoch_batches is None:
            return Epochs(stream, self.workers, self)
        return CountedEpochs(stream, self.workers, self, self.epoch_batches)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Pixels travel as bytes and become numbers in [0, 1] there."""
        x, y = batch
        x = x.to(device, non_blocking=True)
        return (x if x.is_floating_point() else x.float() / 255), y.to(device, non_blocking=True)


@dataclass
class ShardStream(IterableDataset[Chunk]):
    """What one worker of one process reads of an epoch: chunks of up to `share` pairs, and what was skipped for them.

    Workers of all processes take shards in turn; where there are fewer shards than workers, samples in turn.

    Attributes:
        held_out: contents that are left out.
        endless: go on with the shards in another order when all are read.
        epoch: with the seed it determines the order.
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

    def __iter__(self) -> Iterator[Chunk]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        consumers, consumer = workers * self.world_size, workers * self.rank + number
        for lap in count():
            found = 0
            for chunk in self._lap(consumers, consumer, f"{self.seed} {self.epoch} {lap}"):
                found += len(chunk[0])
                yield chunk
            if not self.endless or not found:
                return

    def _lap(self, consumers: int, consumer: int, key: str) -> Iterator[Chunk]:
        """This worker's part of all shards, once."""
        skipped = Skipped(self.source)
        members = self._members(consumers, consumer, key, skipped)
        samples: list[Sample] = []
        for name, content in _mixed(members, self.shuffle, f"{key} {consumer}"):
            sample = decode(name, content, self.image_size, skipped)
            if sample is not None and _digest(sample) not in self.held_out:
                samples.append(sample)
            if len(samples) == self.share:
                yield (*_as_tensors(samples), skipped.take())
                samples = []
        yield (*_as_tensors(samples), skipped.take())

    def _members(
        self, consumers: int, consumer: int, key: str, skipped: Skipped
    ) -> Iterator[tuple[str, Members]]:
        order = _shuffled(self.shards, key)
        if len(order) >= consumers:
            for shard in order[consumer::consumers]:
                yield from read_members(shard, skipped)
            return
        uncounted = Skipped(self.source)  # all workers see a truncated shard, and the first counts it
        all_samples = chain.from_iterable(
            read_members(shard, uncounted if consumer else skipped) for shard in order
        )
        yield from islice(all_samples, consumer, None, consumers)


class Epochs:
    """An iterable of the `(x, y)` batches of one epoch after another, x uint8; an incomplete last one is dropped."""

    batches: int | None = None

    def __init__(self, stream: ShardStream, workers: int, data: WebDatasetShards) -> None:
        self.stream, self.workers, self.data = stream, workers, data
        self._begun = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        trainer = self.data.trainer
        self.stream.epoch = (
            trainer.current_epoch if trainer else self._begun
        )  # a resumed run goes on in its order
        skipped = Skipped(self.data.source, self.data.max_bad)
        yielded = 0
        for batch in self._whole(skipped):
            yield batch
            yielded += 1
            if yielded == self.batches:
                break
        skipped.check()
        if yielded < (self.batches or 1):
            raise ConfigError(f"{self.data.source}: process {self.stream.rank} finds no pairs to train on")
        if not self._begun:
            skipped.report()
        self._begun += 1

    def _whole(self, skipped: Skipped) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunks as they come where they are a batch, else put together."""
        share = self.stream.share
        x, y = _as_tensors([])
        for x_chunk, y_chunk, seen in DataLoader(self.stream, batch_size=None, num_workers=self.workers):
            skipped.add(seen)
            if skipped.seen >= JUDGED_FROM:
                skipped.check()
            if len(x_chunk) == share:
                yield x_chunk, y_chunk
            elif len(x_chunk):
                x, y = (torch.cat(c) if len(c[0]) else c[1] for c in ((x, x_chunk), (y, y_chunk)))
            if len(x) >= share:
                yield x[:share], y[:share]
                x, y = x[share:], y[share:]


class CountedEpochs(Epochs):
    """Epochs of so many batches, however many pairs there are."""

    def __init__(self, stream: ShardStream, workers: int, data: WebDatasetShards, batches: int) -> None:
        super().__init__(stream, workers, data)
        self.batches: int = batches

    def __len__(self) -> int:
        return self.batches


def _as_tensors(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Pixels `(n, 3, size, size)` uint8 and token ids `(n, 77)` int64; two empty tensors of none."""
    from open_clip import tokenize

    if not samples:
        return torch.empty(0), torch.empty(0)
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return pixels, tokenize([sample.caption for sample in samples])


def _digest(sample: Sample) -> bytes:
    return hashlib.blake2b(sample.pixels.tobytes(), digest_size=16).digest()


def _shuffled(shards: Sequence[Path], key: str) -> list[Path]:
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

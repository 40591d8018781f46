"""Image–caption pairs streamed from WebDataset shards (CC3M, CC12M, LAION, …), for sets larger than memory.

Some of the first pairs are held out in memory; the rest is streamed by worker processes, anew in each epoch.
"""

from itertools import chain
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.shards import Sample, decode, expand, read_members
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.data.skipped_samples import JUDGED_FROM, Share, SkippedSamples
from intrinsic_clip.data.streams.epochs import CountedEpochs, Epochs
from intrinsic_clip.data.streams.shard_stream import ShardStream, as_tensors, digest, shuffled
from intrinsic_clip.encoders.preprocessing import in_unit_range
from intrinsic_clip.errors import ConfigError


class WebDatasetShards(PairedData):
    """Pixels x `(n, 3, size, size)` in [0, 1] and ids y `(n, 77)` int64 of open_clip's tokenizer, streamed.

    Args:
        shards: their paths, with braces and wildcards: `cc3m/{00000..00331}.tar`.
        image_size: pixels along a side.
        labels: keys of the samples' json that are label sets.
        n_append, n_test: pairs that are held out, from the first shards in an order that `split_seed` draws. Their
            pixels are never trained on, wherever else they occur.
        batch_size: pairs per step.
        epoch_batches: steps of an epoch, the shards as often as it takes; None: all shards once.
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
        self.pattern, self.image_size = shards, image_size
        self.labels, self.epoch_batches, self.workers = list(labels or []), epoch_batches, workers
        self.shuffle, self.max_bad, self.split_seed = shuffle, max_bad, split_seed
        self.sizes = {"train": 0, "append": n_append, "test": n_test}  # none to train on is held in memory
        self.d_x, self.d_y = (3, image_size, image_size), (77,)

    @property
    def source(self) -> str:
        """The setting that names the shards, for messages."""
        return f"data.shards={self.pattern}"

    def _read(self) -> None:
        """Find the shards and hold out the first pairs."""
        self.shards = expand(self.pattern)
        self._held_out = self._hold_out(self.sizes["append"] + self.sizes["test"])

    def _hold_out(self, wanted: int) -> dict[bytes, Sample]:
        """The first pairs, each content once; sees that a batch is left, and judges the first thousand samples."""
        order = shuffled(self.shards, f"{self.split_seed} held out")
        skipped = SkippedSamples(self.source, self.max_bad)
        held: dict[bytes, Sample] = {}
        others = 0
        for name, members in chain.from_iterable(read_members(shard, skipped) for shard in order):
            sample = decode(name, members, self.image_size, skipped)
            if skipped.seen >= JUDGED_FROM:
                skipped.check(so_far=True)
                if others >= self.batch_size:
                    break
            if sample is None or (content := digest(sample)) in held:
                continue
            if len(held) < wanted:
                held[content] = sample
            else:
                others += 1
        else:
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
        sets = {name: class_codes([str(s.known.get(name, "")) for s in samples]) for name in self.labels}
        x, y = as_tensors(samples)
        cut = self.sizes["append"]
        rows: dict[Split, slice] = {"append": slice(0, cut), "test": slice(cut, None)}
        return {
            split: Pairs(
                in_unit_range(x[chosen].to(device)),
                y[chosen].to(device),
                labels={name: values[chosen].to(device) for name, values in sets.items()},
                row_axis=0,
            )
            for split, chosen in rows.items()
        }

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """The captions as they were written, of the pairs that are held out."""
        self.read()
        cut, samples = self.sizes["append"], list(self._held_out.values())
        held = {"append": samples[:cut], "test": samples[cut:]}[split]
        return [held[row].caption for row in (range(len(held)) if rows is None else rows.tolist())]

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
        self.read()
        stream = ShardStream(
            self.shards, self.image_size, self.batch_size // world_size, frozenset(self._held_out), self.shuffle,
            self.split_seed, self.epoch_batches is not None, rank, world_size, self.source,
        )  # fmt: skip
        if self.epoch_batches is None:
            return Epochs(stream, self.workers, self.max_bad, self.trainer)
        return CountedEpochs(stream, self.workers, self.max_bad, self.trainer, self.epoch_batches)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Pixels travel as bytes and become numbers in [0, 1] there."""
        x, y = batch
        x = x.to(device, non_blocking=True)
        return in_unit_range(x), y.to(device, non_blocking=True)

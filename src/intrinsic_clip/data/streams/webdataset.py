"""Stream image–caption pairs from WebDataset shards (CC3M, CC12M, LAION, …), for sets larger than memory.

Some of the first pairs are held out in memory; worker processes stream the others in each epoch.
"""

from itertools import chain
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from intrinsic_clip.data.formats.class_labels import class_codes, is_missing
from intrinsic_clip.data.formats.shards import Sample, decode, expand, read_members
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.data.skipped_samples import JUDGED_FROM, Share, SkippedSamples
from intrinsic_clip.data.streams.epochs import CountedEpochs, Epochs
from intrinsic_clip.data.streams.shard_stream import ShardStream, as_tensors, digest, shuffled
from intrinsic_clip.encoders.preprocessing import in_unit_range
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked


class WebDatasetShards(PairedData):
    """Pixels x `(n, 3, size, size)` in [0, 1] and ids y `(n, 77)` int64 of open_clip's tokenizer, streamed.

    Args:
        shards: their paths, with braces and wildcards: `cc3m/{00000..00331}.tar`.
        image_size: pixels along a side.
        labels: keys of the samples' json that are label sets.
        n_append, n_test: held-out pairs, from the first shards in an order drawn by `split_seed`. Their pixels are
            never trained on, wherever else they occur.
        batch_size: pairs per step.
        epoch_batches: steps of an epoch, for which the shards are repeated as needed; None: all shards once.
        workers: processes that read and decode for each training process; 0: the training process does it itself.
        shuffle: size of the window from which each worker draws samples. The shards are shuffled in each epoch, too.
        max_bad: the share of samples that may be corrupt or without caption; more stop the run.
        split_seed: determines the held-out pairs and the order of each epoch.

    Raises:
        ConfigError: from `read`: shards are missing, there are too few pairs, too many that cannot be used, or none
            that has a label.
    """

    @checked("data")
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
        self.sizes = {"train": 0, "append": n_append, "test": n_test}  # training rows are streamed
        self.d_x, self.d_y = (3, image_size, image_size), (77,)

    @property
    def source(self) -> str:
        """Return the setting that names the shards, for messages."""
        return f"data.shards={self.pattern}"

    def _read(self) -> None:
        """Find the shards and hold out the first pairs."""
        self.shards = expand(self.pattern)
        self._held_out = self._hold_out(self.sizes["append"] + self.sizes["test"])
        self._check_labels()

    def _check_labels(self) -> None:
        """Require a class of every label set in each held-out sample."""
        keys = {key for sample in self._held_out.values() for key in sample.metadata}
        for name in self.labels:
            if name not in keys:
                raise ConfigError(
                    f"data.labels={name}: no key of the samples' json, which has {', '.join(sorted(keys)) or 'none'}"
                )
            missing = sum(is_missing(sample.metadata.get(name)) for sample in self._held_out.values())
            if missing:
                raise ConfigError(
                    f"data.labels={name}: {missing:,} of {len(self._held_out):,} held-out samples lack it in their "
                    "json; each must have a class"
                )

    def _hold_out(self, wanted: int) -> dict[bytes, Sample]:
        """Return the first distinct pairs by digest.

        Raises:
            ConfigError: no whole batch remains to train on, or too many of the first thousand samples are bad.
        """
        order = shuffled(self.shards, f"{self.split_seed} held out")
        skipped = SkippedSamples(self.source, self.max_bad)
        held_out: dict[bytes, Sample] = {}
        others = 0
        for name, members in chain.from_iterable(read_members(shard, skipped) for shard in order):
            sample = decode(name, members, self.image_size, skipped)
            if skipped.seen >= JUDGED_FROM:
                skipped.check(so_far=True)
                if others >= self.batch_size:
                    break
            if sample is None or (content := digest(sample)) in held_out:
                continue
            if len(held_out) < wanted:
                held_out[content] = sample
            else:
                others += 1
        else:
            skipped.check()
        if others < self.batch_size:
            raise ConfigError(
                f"{self.source}: {len(held_out) + others:,} usable pairs; data.n_append + n_test + batch_size = "
                f"{wanted + self.batch_size:,} must not exceed that"
            )
        return held_out

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the held-out splits, append and test, on the device."""
        samples = list(self._held_out.values())
        sets = {name: class_codes([str(sample.metadata[name]) for sample in samples]) for name in self.labels}
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
        """Return the captions of held-out pairs as they were written."""
        self.read()
        cut, samples = self.sizes["append"], list(self._held_out.values())
        chosen = {"append": samples[:cut], "test": samples[cut:]}[split]
        return [chosen[row].caption for row in (range(len(chosen)) if rows is None else rows.tolist())]

    def pairs(self, split: Split) -> Pairs:
        """Return the pairs of a held-out split; training rows are never in memory."""
        if split == "train":
            raise ConfigError(
                f"{self.source}: training rows are streamed, so nothing can be measured in-sample"
            )
        return super().pairs(split)

    def train_dataloader(self) -> Any:
        """Return the stream of this process's share of each batch."""
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
        """Move the batch as bytes, and convert the pixels to [0, 1] on the device."""
        x, y = batch
        x = x.to(device, non_blocking=True)
        return in_unit_range(x), y.to(device, non_blocking=True)

"""Train open_clip's ViT-B/32 from random weights on random pictures, with and without all probes."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import IterableDataset

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.timing import synchronise
from intrinsic_clip import probes
from intrinsic_clip.loss import info_nce

BATCH, STEPS, EVERY = 256, 100, 50  # pairs, steps of a training, steps between measurements
SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 32, "heads": 2, "layers": 1},
}


class Towers(LightningModule):
    """A CLIP model from random weights, trained as open_clip does, in bfloat16.

    Args:
        settings: device and size.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        import open_clip

        name = "ViT-B-32"
        self.model = open_clip.CLIP(**(SMALL if settings.smoke else open_clip.get_model_config(name)))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss and the representations, which the probes take."""
        x, y, scale = self.model(*batch)
        return {"loss": info_nce(x, y, 1 / scale), "x": x.detach(), "y": y.detach()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=1e-4, fused=self.device.type == "cuda")


class RandomPairs(IterableDataset[Any]):
    """The same batches of random pictures and tokens over and over, on the device already.

    Args:
        settings: device and size.
    """

    def __init__(self, settings: Settings) -> None:
        batch, image = settings.size(BATCH, 8), settings.size(224, 32)
        length, words = settings.size(77, 16), settings.size(49_408, 512)
        self.batches = [
            (
                torch.randn(batch, 3, image, image, device=settings.device),
                torch.randint(1, words, (batch, length), device=settings.device),
            )
            for _ in range(4)
        ]

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self.batches


class Clock(Callback):
    """Notes when each step ends, and waits for the device at those that count.

    Args:
        device: to wait for.
        steps: the first that counts, and the last.
    """

    def __init__(self, device: str, steps: tuple[int, int]) -> None:
        self.device, self.steps, self.times = device, steps, list[float]()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the time before a step: by then the probes have had the one before."""
        if trainer.global_step in self.steps:
            synchronise(self.device)
            self.times.append(time.perf_counter())


def run(settings: Settings, record: Record, ends: float) -> None:
    """Time rounds of trainings with and without probes in turn, and report the share that the probes take."""
    steps = settings.size(STEPS, 4)
    every = settings.size(EVERY, 2)
    each: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(settings.size(3, 1)):
        if number and time.monotonic() > ends - 2.5 * steps * sum(map(min, each.values())) - 3:
            break
        for name in each:
            each[name].append(_seconds_per_step(settings, steps, every, name == "with"))
            record.add(f"round {number + 1}, {name} probes", milliseconds_per_step=1e3 * each[name][-1])
    without, with_ = (statistics.median(each[name]) for name in ("without", "with"))
    record.add(
        "probes",
        overhead_percent=100 * (with_ / without - 1),
        measured_every_n_steps=every,
        batch=settings.size(BATCH, 8),
        rows_measured=min(5000, every * settings.size(BATCH, 8)),
    )


def _seconds_per_step(settings: Settings, steps: int, every: int, probed: bool) -> float:
    torch.manual_seed(0)
    first = settings.size(20, 1)
    clock = Clock(settings.device, (first, first + steps))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if settings.device == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if settings.device == "cuda" else "32-true",
            max_steps=first + steps + 1,
            logger=False,
            callbacks=[*(_all_probes(every) if probed else []), clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        loader = torch.utils.data.DataLoader(RandomPairs(settings), batch_size=None)
        trainer.fit(Towers(settings), loader)
    return (clock.times[-1] - clock.times[0]) / steps


def _all_probes(every: int) -> list[Callback]:
    source = probes.by_output("x", "y")
    common: dict[str, Any] = {"every_n_steps": every, "max_samples": 5000}
    kinds = [
        probes.IntrinsicDimensionProbe, probes.MatchingProbe, probes.AlignmentProbe, probes.InformationProbe,
        probes.SimilarityProbe, probes.SpectrumProbe,
    ]  # fmt: skip
    return [probes.TemperatureProbe(), *(kind(source, **common) for kind in kinds)]

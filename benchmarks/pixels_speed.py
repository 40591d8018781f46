"""Compare the speed of training on pixels with that of its towers alone, in pairs per second.

    python benchmarks/pixels_speed.py [--rounds 7] [--threads 1] [overrides of experiment=openclipart_pixels …]

towers    forward, loss, backward and optimizer step of the towers alone, without augmentation, on one random batch
training  the same towers by `trainer.fit`: batches of the shipped pictures and captions, augmentation, metrics file

An epoch of each in turn, on the GPU where there is one. The ratio is the median over the rounds. On a CPU, time
is the CPU time of this process, so that other programs do not count.
"""

import argparse
import logging
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import hydra
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from intrinsic_clip import config
from intrinsic_clip.encoders.augmentation import AugmentImages, OmitTokens
from intrinsic_clip.encoders.towers import VOCABULARY
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.throughput import Throughput, synchronise

Built = tuple[Any, Any]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{arguments.threads} thread(s)"
    print(f"torch {torch.__version__}, {name}, {platform.machine()}")
    whole, alone = (_build(arguments.overrides) for _ in range(2))
    towers = towers_alone(alone, device)
    rounds = []
    for _ in range(arguments.rounds + 1):
        rounds.append((towers(), training(whole, device)))
    rounds = rounds[1:]  # the first warms up
    for bare, trained in rounds:
        print(f"  {bare:8,.0f} {trained:8,.0f} {trained / bare:8.2f}")
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    ratio = statistics.median(trained / bare for bare, trained in rounds)
    print(f"{'towers':>10} {medians[0]:10,.0f} pairs a second")
    print(f"{'training':>10} {medians[1]:10,.0f}")
    print(f"{'ratio':>10} {ratio:10.2f}")


def towers_alone(built: Built, device: torch.device) -> Callable[[], float]:
    """Return a function that takes an epoch's steps on one random batch and returns pairs per second."""
    data, module = built
    module = module.to(device).train()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, AugmentImages | OmitTokens):
                setattr(parent, name, nn.Identity())
    optimizer = module.configure_optimizers()
    x, y = random_batch(data, device)
    empty = torch.empty(0, device=device)

    def epoch() -> float:
        steps, clock = data.sizes["train"] // data.batch_size, clock_of(device)
        synchronise(device)
        started = clock()
        for _ in range(steps):
            losses, _ = module._losses(x, y, empty, empty)
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
        synchronise(device)
        return steps * data.batch_size / (clock() - started)

    return epoch


def random_batch(data: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw pixels and token ids of the data's shapes; captions as long as they can be."""
    x = torch.rand(data.batch_size, *data.d_x, device=device)
    y = torch.randint(1, VOCABULARY - 2, (data.batch_size, *data.d_y), device=device)
    y[:, -1] = VOCABULARY - 1
    return x, y


def training(built: Built, device: torch.device) -> float:
    """Return pairs per second of an epoch by `trainer.fit`."""
    data, module = built
    throughput = Throughput(data.batch_size, clock=clock_of(device))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1,
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            logger=MetricsFile(folder),
            callbacks=[throughput],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
    assert throughput.pairs_per_second is not None
    return throughput.pairs_per_second


def clock_of(device: torch.device) -> Callable[[], float]:
    """Return the wall clock for a GPU, else the clock of this process's own time."""
    return time.perf_counter if device.type == "cuda" else time.process_time


def _build(overrides: list[str]) -> Built:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["experiment=openclipart_pixels", *overrides])
    training = build(RunSpec.of(cfg))
    data, module = training.data, training.module
    return data, module


if __name__ == "__main__":
    main()

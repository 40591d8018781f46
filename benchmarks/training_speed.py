"""Time a training step in one run: the floor, a plain loop, our step, and what Lightning adds.

    python benchmarks/training_speed.py [--epochs 4] [--rounds 3] [--threads 1] [--no-fit] [--processor-time]

Per replicate and step, in milliseconds, for the paper's synthetic setting (10,000 pairs of 20 + 20 dimensions):

floor      the FLOPs of a step, counted by PyTorch, over the rate of its matrix products alone, measured first
plain      one replicate by the paper's protocol: a Python loop, all append rows, one Adam per part, nothing else
step       our step in a bare loop, on the same data
fit        the same steps by `trainer.fit`, with all default probes and the metrics file
fit + W&B  and with W&B offline; Lightning is its share of a fit

two cores  how many times faster the step is with two threads

Rounds alternate between all of them and medians are shown. Steps are by the C++ kernel, or compiled, or neither, and
timed once these are built. `--processor-time` counts what the process computes instead of what passes on the clock, for
a machine on which other work runs; it says nothing of two cores. On a machine with a GPU, 50 × 15 replicates on it are
timed too, against the plain loop on the same GPU.
"""

import argparse
import logging
import math
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import hydra
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from intrinsic_clip import config, encoders
from intrinsic_clip.data import Batches, PairedData, SyntheticLinear
from intrinsic_clip.loggers.metrics_file import MetricsFile
from intrinsic_clip.loggers.wandb_logger import WandbLogger
from intrinsic_clip.probes import Probe
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.module import ContrastiveModule

SETTINGS: dict[str, list[str]] = {
    "1 replicate": [],
    "1 replicate, compiled": ["kernel=none"],
    "1 replicate, PyTorch": ["kernel=none", "compile=false"],
    "1 replicate, fast": ["objective/similarity=fast"],
    "16 replicates": ["replicates=16"],
    "16 replicates, compiled": ["replicates=16", "kernel=none"],
    "16 replicates, fast": ["replicates=16", "objective/similarity=fast"],
    "16, fast, compiled": ["replicates=16", "objective/similarity=fast", "kernel=none"],
}
PAPER_STEPS = 800 * 39
GRID = [
    "replicates=50",
    f"encoder.output_dim={[int(1 + 43 * i / 14) for i in range(15)]}",
    "compile=true",
    "trainer=gpu",
]
now: Callable[[], float] = time.perf_counter
Built = tuple[PairedData, ContrastiveModule, list[Any]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-fit", action="store_true", help="leave out what Lightning adds")
    parser.add_argument("--processor-time", action="store_true", help="of this process instead of the wall's")
    arguments = parser.parse_args()
    if arguments.processor_time:
        global now
        now = time.process_time
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), {platform.machine()}")
    columns = (
        "floor",
        "plain",
        "step",
        "fit",
        "fit + W&B",
        "step / plain",
        "fit / plain",
        "step / floor",
        "two cores",
        "Lightning",
    )
    print(f"{'setting':<28}" + "".join(f"{column:>14}" for column in columns))
    for name, overrides in SETTINGS.items():
        print_setting(name, overrides, arguments)
    if torch.cuda.is_available():
        print_gpu()


def floor(append_rows: int) -> float:
    """Return in milliseconds the FLOPs of a step over the rate of its forward products in the faster layout."""
    with FlopCounterMode(display=False) as counter:
        plain_loop(SyntheticLinear(n_append=append_rows), epochs=1, steps=1)
    n, rates = 256 + append_rows, []
    for d_in, d_out in ((20, 50), (50, 50), (50, 50), (50, 19)):
        weight, columns = torch.randn(d_out, d_in), torch.randn(d_in, n)
        hundred = partial(_repeat, 100, partial(torch.matmul, weight, columns))
        seconds = min(_seconds(hundred) for _ in range(20)) / 100
        rates.append(2 * d_in * d_out * n / seconds)
    return 1e3 * counter.get_total_flops() / statistics.mean(rates)


def print_setting(name: str, overrides: list[str], arguments: argparse.Namespace) -> None:
    """Print one row: medians over rounds, and the medians of the rounds' ratios."""
    built = _build(overrides)
    replicates = len(built[1].replicates)
    rounds = []
    for number in range(arguments.rounds + 1):
        plain = plain_loop(built[0], arguments.epochs)
        step = bare_step(built, arguments.epochs) / replicates
        with threads(2 * arguments.threads):
            doubled = (
                math.nan if arguments.processor_time else bare_step(built, arguments.epochs) / replicates
            )
        fits = (fit(built, arguments.epochs, wandb) / replicates for wandb in (False, True))
        fitted, logged = (math.nan, math.nan) if arguments.no_fit else fits
        if number:  # the first round warms up
            rounds.append((plain, step, fitted, logged, doubled))
    least = floor(getattr(built[1].similarity, "rows", None) or 2000)
    medians = [least, *(statistics.median(column) for column in list(zip(*rounds, strict=True))[:4])]
    columns = [
        *(f"{median:.2f} ms" for median in medians),
        f"{statistics.median(step / plain for plain, step, *_ in rounds):.2f}",
        f"{statistics.median(fitted / plain for plain, _, fitted, *_ in rounds):.2f}",
        f"{medians[2] / least:.2f}",
        f"{math.nan if arguments.processor_time else statistics.median(each[1] / each[4] for each in rounds):.2f}",
        f"{statistics.median(1 - step / fitted for _, step, fitted, *_ in rounds):.1%}",
    ]
    cells = ["–" if column.startswith("nan") else column for column in columns]
    print(f"{name:<28}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let PyTorch use some number of threads, or as many as there are cores if these are fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(number, os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def without_lightning() -> Iterator[None]:
    """Take back what importing Lightning sets, by which each step of an optimizer looks for a GPU for 0.2 ms."""
    before = os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = before


def plain_loop(data: PairedData, epochs: int, steps: int | None = None, device: str = "cpu") -> float:
    """Return milliseconds per step of the protocol, written out, for one replicate."""
    train, append = data.pairs("train"), data.pairs("append")
    x, y, x_append, y_append = (
        rows.reshape(-1, *rows.shape[-2:])[0].to(device) for rows in (train.x, train.y, append.x, append.y)
    )
    f, g = encoders.mlp(20, 19).to(device), encoders.mlp(20, 19).to(device)
    s = torch.zeros((), requires_grad=True, device=device)
    parts = (f.parameters(), g.parameters(), [s])
    optimizers = [torch.optim.Adam(part, lr=1e-4, weight_decay=1e-4) for part in parts]
    targets = torch.arange(256, device=device)

    def step(i: int) -> None:
        rows = slice(256 * i, 256 * (i + 1))
        fx = f(x[rows]) / f(x_append).norm(dim=1).mean()
        gy = g(y[rows]) / g(y_append).norm(dim=1).mean()
        logits = fx @ gy.T / (torch.exp(4 * s) + 1e-4)
        loss = (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    def epoch() -> None:
        for i in range(per_epoch):
            step(i)

    per_epoch = steps or len(x) // 256
    with without_lightning():
        return min(1e3 * _seconds(epoch) / per_epoch for _ in range(epochs))


def bare_step(built: Built, epochs: int) -> float:
    """Return milliseconds per step of our step and optimizer in a loop without anything else."""
    data, module, _ = built
    append = data.pairs("append")
    module.x_append, module.y_append = append.x, append.y
    optimizer = module.configure_optimizers()
    batches = Batches(data.pairs("train"), data.batch_size)

    def epoch(first: int) -> None:
        differentiated = module.differentiation(optimizer)
        for step, (x, y) in enumerate(batches, start=first):
            rows = (module._append_rows(side, step) for side in (module.x_append, module.y_append))
            differentiated(x, y, *rows)
            optimizer.step()

    epoch(0)  # compiles
    each = [_seconds(partial(epoch, number * len(batches))) for number in range(1, epochs + 1)]
    return 1e3 * min(each) / len(batches)


class Stopwatch(Callback):
    """The fastest epoch after the first."""

    seconds = float("inf")
    started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the time between the ends of epochs, so that nothing is left out."""
        time_now = now()
        if trainer.current_epoch > 1:
            self.seconds = min(self.seconds, time_now - self.started)
        self.started = time_now


def fit(built: Built, epochs: int, wandb: bool) -> float:
    """Return milliseconds per step of `trainer.fit`."""
    data, module, probes = built
    for probe in probes:
        if isinstance(probe, Probe):
            probe.measure = lambda embeddings: {}  # type: ignore[method-assign]
            probe.histograms = lambda embeddings: {}  # type: ignore[method-assign]
            probe.every_n_epochs = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        loggers: list[Any] = [MetricsFile(folder), *([WandbLogger(folder)] if wandb else [])]
        stopwatch = Stopwatch()
        trainer = Trainer(
            max_epochs=epochs + 1,
            accelerator="cpu",
            logger=loggers,
            callbacks=[stopwatch, *probes],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        if wandb:
            loggers[1].close()
    return 1e3 * stopwatch.seconds / (data.sizes["train"] // data.batch_size)


def print_gpu() -> None:
    """Time 50 × 15 replicates in one batch, and print how long 1,500 trainings of 800 epochs take."""
    data, module, _ = _build(GRID)
    data._pairs = data.load(torch.device("cuda"))
    built: Built = (data, module.to("cuda"), [])
    plain = plain_loop(data, 2, device="cuda")
    print(f"\n{torch.cuda.get_device_name()}: plain loop {plain:.2f} ms")
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        step = bare_step(built, 3)
        hours, one_by_one = (n * t * PAPER_STEPS / 3.6e6 for n, t in ((2, step), (1500, plain)))
        print(
            f"{len(module.replicates)} replicates, matmul precision {precision}: {step:.1f} ms a step; 1,500 trainings "
            f"{60 * hours:.0f} min, {one_by_one / hours:.0f} times less than one by one"
        )


def _build(overrides: list[str]) -> Built:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        overrides = ["experiment=synthetic_linear", "compile=true", *overrides]
        cfg = hydra.compose("train", overrides=overrides)
    training = build(RunSpec.of(cfg))
    return training.data, training.module, training.probes


def _repeat(times: int, action: Callable[[], Any]) -> None:
    for _ in range(times):
        action()


def _seconds(action: Callable[[], Any]) -> float:
    started = now()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return now() - started


if __name__ == "__main__":
    main()

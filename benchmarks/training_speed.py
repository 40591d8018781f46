"""How much of a bare PyTorch loop's speed training through this package keeps, side by side in one run.

    python benchmarks/training_speed.py [--epochs 20] [--rounds 5] [--threads 1]

Both do the same steps on the same data, 10,000 × 20 synthetic pairs: slices of 256 rows, the same encoders, loss and
Adam. Ours adds Lightning, all default probes (which are called at each step but measure nothing in between), the
per-step log of loss and τ, the metrics file, and W&B offline. Timed from the end of the first epoch to the end of the
last. Rounds alternate between the two, and each ratio is the median over rounds of bare time / our time.
"""

import argparse
import logging
import platform
import statistics
import tempfile
import time
import warnings
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.loggers import MetricsFile, WandbLogger
from intrinsic_clip.loss import CosineSimilarity, LearnedTemperature, PopulationSimilarity, info_nce
from intrinsic_clip.module import ContrastiveModule
from intrinsic_clip.probes import (
    AlignmentProbe,
    InformationProbe,
    IntrinsicDimensionProbe,
    MatchingProbe,
    SimilarityProbe,
    TemperatureProbe,
)

SETTINGS = {
    "population norm, d = 19": (PopulationSimilarity, 19),
    "population norm, d = 44": (PopulationSimilarity, 44),
    "cosine, d = 19": (CosineSimilarity, 19),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    data = SyntheticLinear()
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), {platform.machine()}")
    print(
        f"{'setting':<28}{'bare loop':>14}{'ours':>14}{'ours, + W&B':>14}{'speed kept':>12}{'with W&B':>10}"
    )
    for name, (similarity, d) in SETTINGS.items():
        build = partial(_module, data, similarity, d)
        rounds = []
        for _ in range(arguments.rounds):
            bare = _bare_loop(build(), data, arguments.epochs)
            rounds.append((bare, *(_ours(build(), data, arguments.epochs, wandb) for wandb in (False, True))))
        bare, ours, logged = (statistics.median(column) for column in zip(*rounds, strict=True))
        kept = statistics.median(b / o for b, o, _ in rounds)
        kept_logged = statistics.median(b / w for b, _, w in rounds)
        print(
            f"{name:<28}{bare:>11.2f} ms{ours:>11.2f} ms{logged:>11.2f} ms{kept:>11.1%}{kept_logged:>10.1%}"
        )


def _module(data: SyntheticLinear, similarity: type[torch.nn.Module], d: int) -> ContrastiveModule:
    adam = partial(torch.optim.Adam, lr=1e-4, weight_decay=1e-4, fused=True)
    f, g = encoders.mlp(data.d_x, d), encoders.mlp(data.d_y, d)
    return ContrastiveModule(f, g, similarity(), LearnedTemperature(), adam)


def _bare_loop(module: ContrastiveModule, data: SyntheticLinear, epochs: int) -> float:
    """Milliseconds per step of a loop without anything else."""
    train, append = data.pairs("train"), data.pairs("append")
    module.x_append, module.y_append = append.x, append.y
    optimizer = module.configure_optimizers()
    steps = len(train) // data.batch_size
    for epoch in range(epochs):
        if epoch == 1:
            started = time.perf_counter()
        for i in range(steps):
            rows = slice(i * data.batch_size, (i + 1) * data.batch_size)
            x, y = module(train.x[rows], train.y[rows])
            loss = info_nce(x, y, module.temperature())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return 1000 * (time.perf_counter() - started) / ((epochs - 1) * steps)


class _Stopwatch(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start after the first epoch, stop after the last."""
        now = time.perf_counter()
        if trainer.current_epoch == 0:
            self.started, self.steps = now, trainer.global_step
        self.per_step = 1000 * (now - self.started) / max(trainer.global_step - self.steps, 1)


def _ours(module: ContrastiveModule, data: SyntheticLinear, epochs: int, wandb: bool) -> float:
    """Milliseconds per step of `trainer.fit`."""
    with tempfile.TemporaryDirectory() as folder:
        loggers: list[Any] = [MetricsFile(folder), *([WandbLogger(folder)] if wandb else [])]
        kinds = (IntrinsicDimensionProbe, MatchingProbe, AlignmentProbe, InformationProbe, SimilarityProbe)
        stopwatch = _Stopwatch()
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=loggers,
            callbacks=[stopwatch, *(kind(every_n_epochs=1_000_000) for kind in kinds), TemperatureProbe()],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        if wandb:
            loggers[1].close()
    return stopwatch.per_step


if __name__ == "__main__":
    main()

"""Compare the speed of intrinsic dimension with scikit-dimension's, on the same cores and threads in one run.

    python benchmarks/dimension_speed.py [--rounds 3] [--threads 1 2]

Every measurement is a process of its own with that many threads for everything in it; rounds alternate between the
two packages, and medians are shown, with the peak of resident memory above what imports and points take.

mle + twonn   both from one search, on 10,000 × 512; scikit-dimension searches for each
50 together   mle + twonn of 50 replicates of 2,000 × 44 in one call, against a loop
probes        a training of the paper's synthetic setting, 800 epochs, with the default probes, every 20 epochs and once
              more on the training rows, against the same without

On a machine with a GPU, 20,000 points of 50 and 1,024 dimensions are timed there too.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

SIZES = {"mle + twonn": (1, 10_000, 512), "50 together": (50, 2_000, 44)}
PROBED_EPOCHS = 800
GPU_SIZES = ((20_000, 50), (20_000, 1_024))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs=2, metavar=("TASK", "CONTENDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(_measure(*arguments.only)))
        return
    print(f"torch {torch.__version__}\n")
    print("| | threads | scikit-dimension | ours | ratio | memory, theirs | ours |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for threads in arguments.threads:
        for task in SIZES:
            theirs, ours = _side_by_side(task, ("scikit-dimension", "ours"), threads, arguments.rounds)
            print(
                f"| {task} | {threads} | {theirs['seconds']:.2f} s | {ours['seconds']:.2f} s | "
                f"**{ours['seconds'] / theirs['seconds']:.2f}** | {theirs['mib']:.0f} MiB | {ours['mib']:.0f} MiB |"
            )
    without, probed = _side_by_side("probes", ("without", "default"), 1, 1)
    added = 100 * (probed["seconds"] / without["seconds"] - 1)
    print(
        f"\n{PROBED_EPOCHS} epochs: {without['seconds']:.1f} s without probes, "
        f"{probed['seconds']:.1f} s with the default ones, {added:+.1f} %"
    )
    if torch.cuda.is_available():
        _print_gpu()


def _side_by_side(
    task: str, contenders: tuple[str, str], threads: int, rounds: int
) -> list[dict[str, float]]:
    """Return medians of seconds and MiB over the rounds, for each contender."""
    costs: dict[str, list[dict[str, float]]] = {contender: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            costs[contender].append(_in_a_process(task, contender, threads))
    return [
        {key: statistics.median(cost[key] for cost in costs[contender]) for key in ("seconds", "mib")}
        for contender in contenders
    ]


def _in_a_process(task: str, contender: str, threads: int) -> dict[str, float]:
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(variables, str(threads))
    command = [sys.executable, __file__, "--only", task, contender]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def _measure(task: str, contender: str) -> dict[str, float]:
    if task == "probes":
        return {"seconds": _train(probed=contender == "default"), "mib": 0.0}
    points = _points(*SIZES[task])
    action = _ours(points) if contender == "ours" else _theirs(points)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    action()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def _points(replicates: int, n: int, d: int) -> Tensor:
    """Draw points with at most 20 latent dimensions in d columns, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(replicates, n, min(20, d // 4), generator=generator)
    weights = torch.randn(replicates, latent.shape[-1], d, generator=generator)
    return (latent @ weights / 4).tanh() + 0.01 * torch.randn(replicates, n, d, generator=generator)


def _ours(points: Tensor) -> Callable[[], None]:
    from intrinsic_clip.dimension import mle, nearest_neighbours, twonn

    def action() -> None:
        neighbours = nearest_neighbours(points, 20)
        mle(neighbours)
        twonn(neighbours)

    nearest_neighbours(points[:1, :200], 20)  # once per process: threads, kernels
    return action


def _theirs(points: Tensor) -> Callable[[], None]:
    import skdim

    arrays = [replicate.numpy() for replicate in points]

    def action() -> None:
        for array in arrays:
            skdim.id.MLE().fit(array)
            skdim.id.TwoNN().fit(array)

    skdim.id.MLE().fit(arrays[0][:200])
    skdim.id.TwoNN().fit(arrays[0][:200])
    return action


def _train(probed: bool) -> float:
    """Return the seconds of a fit from its second epoch on, which leaves compiling out."""
    import logging
    import tempfile
    import warnings

    import hydra
    from pytorch_lightning import Callback, LightningModule, Trainer

    from intrinsic_clip import config
    from intrinsic_clip.loggers.metrics_file import MetricsFile
    from intrinsic_clip.runs.spec import RunSpec
    from intrinsic_clip.training.build import build

    class Stopwatch(Callback):
        started = 0.0

        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.started = self.started or (time.perf_counter() if trainer.current_epoch == 1 else 0.0)

    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["experiment=synthetic_linear", "compile=true"])
    training = build(RunSpec.of(cfg))
    data, module, probes = training.data, training.module, training.probes
    stopwatch = Stopwatch()
    torch.set_flush_denormal(True)  # as every run does while it trains
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=PROBED_EPOCHS + 1,
            accelerator="cpu",
            logger=MetricsFile(folder),
            callbacks=[stopwatch, *(probes if probed else [])],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
    return time.perf_counter() - stopwatch.started


def _print_gpu() -> None:
    """Time MLE with its search on the GPU."""
    from intrinsic_clip.dimension import mle

    print(f"\n{torch.cuda.get_device_name()}, MLE with its search, k = 20:")
    for n, d in GPU_SIZES:
        points = _points(1, n, d)[0].cuda()
        mle(points)
        times = []
        for _ in range(10):
            torch.cuda.synchronize()
            started = time.perf_counter()
            mle(points).value.item()
            times.append(1e3 * (time.perf_counter() - started))
        print(f"{n:,} × {d:,}: {statistics.median(times):.1f} ms")


if __name__ == "__main__":
    main()

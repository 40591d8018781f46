"""Train an experiment at size=paper with all replicates side by side, as many repetitions as there is time for."""

import gc
import time
from typing import Any

import torch

from gpu_parts.compact import write_compact
from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.steps import WAYS, Steps, compose, evaluations
from gpu_parts.timing import milliseconds
from intrinsic_clip.runs.spec import RunSpec

EXPERIMENTS = {"figure_3": "synthetic_linear", "figure_4": "synthetic_nonlinear"}
REPETITIONS = (50, 40, 30, 20, 10, 5)  # as many as there is time for; the paper has 50
EVERY = 20  # epochs
SAFETY = 0.85  # of the time that is left, for what was not timed
SMALL = [
    "data.n_train=768", "data.n_append=64", "data.n_test=100", "trainer.max_epochs=4", "probes.every_n_epochs=2",
    "encoder.output_dim=[1,4]",
]  # fmt: skip
START = 12.0  # seconds for data, weights and the files at the end


def overrides_of(figure: str, settings: Settings, repetitions: int) -> list[str]:
    """Return the settings of a figure's run.

    The recovery of the latent, which no figure of these shows, solves 7,500 systems of 1,600 equations at the end.
    """
    return [
        f"experiment={EXPERIMENTS[figure]}", "size=paper", f"replicates={repetitions}", "replicates_per_chunk=null",
        f"trainer={'gpu' if settings.device == 'cuda' else 'cpu'}", "logger=csv", "progress=false",
        "checkpoint_seconds=45", "~probes.recovery", f"output_dir={settings.runs}",
        *(SMALL if settings.smoke else [f"probes.every_n_epochs={EVERY}"]),
    ]  # fmt: skip


def train_at_paper_size(figure: str, settings: Settings, record: Record, ends: float) -> None:
    """Choose how to take steps and how many repetitions fit, train them, and write the compact results."""
    from intrinsic_clip.training.train import train

    way, repetitions = ("plain", 2) if settings.smoke else _plan(figure, settings, record, ends)
    cfg = compose([*overrides_of(figure, settings, repetitions), *WAYS[way]])
    record.add("begun", way=way, repetitions=repetitions)
    started = time.monotonic()
    results = train(cfg)
    record.add(
        "trained",
        trainings=repetitions * len(results["config"]["encoder"]["output_dim"]),
        seconds=time.monotonic() - started,
        **{name: value for name, value in results["timings"].items() if name.endswith("seconds")},
    )
    write_compact(figure, settings, RunSpec.of(cfg).folder, results)


def _plan(figure: str, settings: Settings, record: Record, ends: float) -> tuple[str, int]:
    """Return the fastest way to take a step, and how many repetitions fit into the time that is left."""
    begun = _begun(figure, settings)
    if begun is not None:
        return begun
    steps = _seconds_per_step(figure, settings, record)
    way = min(steps, key=lambda name: steps[name])
    few = 2
    evaluation, last = _seconds_of_evaluations(figure, settings, record, few)
    spec = compose(overrides_of(figure, settings, few))
    epochs = spec.trainer.max_epochs
    number = epochs * (spec.data.n_train // spec.data.batch_size)
    left = SAFETY * (ends - time.monotonic()) - START
    for repetitions in REPETITIONS:
        share = repetitions / REPETITIONS[0]
        measured = (
            epochs // EVERY + 1
        ) * evaluation + 2 * last  # the last twice: by the fit, and by the test
        predicted = number * steps[way] * share + measured * repetitions / few
        if predicted <= left:
            break
    record.add("planned", way=way, repetitions=repetitions, predicted_seconds=predicted, seconds_left=left)
    return way, repetitions


def _begun(figure: str, settings: Settings) -> tuple[str, int] | None:
    """Return how a run was begun that has a checkpoint, so that it goes on."""
    from intrinsic_clip.runs.results import CHECKPOINT

    for repetitions in REPETITIONS:
        folder = RunSpec.of(compose(overrides_of(figure, settings, repetitions))).folder
        if (folder / CHECKPOINT).exists():
            return "compiled", repetitions
    return None


def _seconds_per_step(figure: str, settings: Settings, record: Record) -> dict[str, float]:
    """Return the seconds of a step of all repetitions, by the way it is taken."""
    seconds = {}
    for way in ("plain", "compiled"):
        steps = record.attempt(f"step, {way}", _timed_step, figure, settings, way)
        if isinstance(steps, dict):
            seconds[way] = 1e-3 * steps["milliseconds"]
    return seconds


def _timed_step(figure: str, settings: Settings, way: str) -> dict[str, Any]:
    steps = Steps([*overrides_of(figure, settings, REPETITIONS[0]), *WAYS[way]], settings.device)
    started = time.monotonic()
    steps.take()
    first = time.monotonic() - started
    result = {"milliseconds": 1e3 * steps.seconds(settings.device, 15), "first_seconds": first}
    del steps
    gc.collect()
    if settings.device == "cuda":
        torch.cuda.empty_cache()
    return result


def _seconds_of_evaluations(figure: str, settings: Settings, record: Record, few: int) -> tuple[float, float]:
    """Return the seconds of an evaluation of held-out rows, and of the last one, which takes training rows too."""
    steps = Steps([*overrides_of(figure, settings, few), *WAYS["plain"]], settings.device)
    totals = {}
    for split in ("test", "train"):
        actions = evaluations(steps, split)
        each = {name: milliseconds(action, settings.device, 1, 1) for name, action in actions.items()}
        record.add(f"evaluation of {few} repetitions, {split} rows", **each)
        totals[split] = sum(each.values()) / 1e3
    return totals["test"], totals["test"] + totals["train"]

"""Train an experiment at size=paper with all replicates side by side, as many repetitions as there is time for."""

import gc
import json
import time
from typing import Any

import torch

from gpu_parts.agreement import check_agreement
from gpu_parts.compact import write_compact
from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.steps import Steps, compose, evaluations, settings_of
from gpu_parts.timing import milliseconds
from intrinsic_clip.data.paired import Split
from intrinsic_clip.runs.spec import RunSpec

EXPERIMENTS = {"figure_3": "synthetic_linear", "figure_4": "synthetic_nonlinear"}
REPETITIONS = (50, 40, 30, 20, 10, 5)  # as many as there is time for; the paper has 50
FEW = 4  # repetitions whose evaluation is timed
EVERY = 20  # epochs
SAFETY = 0.85  # of the time that is left, for what was not timed
SMALL = [
    "data.n_train=768", "data.n_append=64", "data.n_test=100", "trainer.max_epochs=4", "probes.every_n_epochs=2",
    "encoder.output_dim=[1,4]",
]  # fmt: skip
START = 25.0  # seconds for data, weights and the files at the end
CANDIDATES = ("triton", "triton, graph", "plain", "compiled")


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
    cfg = compose([*overrides_of(figure, settings, repetitions), *settings_of(way)])
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
    settings.kept_of(f"{figure}.plan").unlink(missing_ok=True)


def _plan(figure: str, settings: Settings, record: Record, ends: float) -> tuple[str, int]:
    """Return how to take steps, and how many repetitions to train.

    A run that was begun goes on as it began; otherwise steps are taken in the fastest way, and there are as many
    repetitions as fit into the time that is left.
    """
    begun = settings.kept_of(f"{figure}.plan")
    if begun.exists():
        way, repetitions = json.loads(begun.read_text())
        return str(way), int(repetitions)
    timed = _timings(figure, settings, record)
    cfg = compose(overrides_of(figure, settings, FEW))
    epochs = cfg.trainer.max_epochs
    steps = epochs * (cfg.data.n_train // cfg.data.batch_size)
    evaluation = (epochs // EVERY + 1) * timed["test"] + 2 * timed[
        "train"
    ]  # by the fit, and again by the test
    left = SAFETY * (ends - time.monotonic()) - START
    for repetitions in REPETITIONS:
        way, seconds = quickest(timed["steps"], repetitions)
        predicted = steps * seconds + evaluation * repetitions / FEW
        if predicted <= left:
            break  # where not even the fewest fit, they are begun, and what they log is kept
    record.add("planned", way=way, repetitions=repetitions, predicted_seconds=predicted, seconds_left=left)
    begun.write_text(json.dumps([way, repetitions]))
    return way, repetitions


def quickest(timed: dict[str, tuple[float, float]], repetitions: int) -> tuple[str, float]:
    """Return the quickest way to take a step of so many repetitions, and its seconds.

    Args:
        timed: seconds of a step of the most and of the fewest repetitions, by way. Between them time is taken to grow
            evenly: a step of few replicates takes as long as the processor needs to ask for it.
        repetitions: of each output dimension.
    """
    most, fewest = REPETITIONS[0], REPETITIONS[-1]
    share = (repetitions - fewest) / (most - fewest)
    seconds = {way: few + share * max(0.0, many - few) for way, (many, few) in timed.items()}
    way = min(seconds, key=seconds.__getitem__)
    return way, seconds[way]


def _timings(figure: str, settings: Settings, record: Record) -> dict[str, Any]:
    """Return the seconds of a step in each way, and of evaluations; the second figure takes those of the first.

    Raises:
        RuntimeError: no way to take steps works.
    """
    path = settings.kept_of("timings")
    if path.exists():
        return dict(json.loads(path.read_text()))
    each: dict[str, list[float]] = {way: [] for way in CANDIDATES}
    for repetitions in (REPETITIONS[0], REPETITIONS[-1]):
        steps = Steps(overrides_of(figure, settings, repetitions), settings.device)
        for way in CANDIDATES:
            if way == "compiled" and each["triton"] and each["triton"][0] < each["plain"][0] / 3:
                continue  # to compile takes longer than it could save
            name = f"step of {repetitions} repetitions, {way}"
            timed = record.attempt(name, _timed_step, settings, steps, way)
            if isinstance(timed, dict):
                each[way].append(1e-3 * timed["milliseconds"])
        del steps
        _give_back(settings)
    both = {way: seconds for way, seconds in each.items() if len(seconds) == 2}
    if not both:
        raise RuntimeError("no way to take steps works")
    timings = {"steps": both, **_evaluations(figure, settings, record)}
    path.write_text(json.dumps(timings))
    return timings


def _timed_step(settings: Settings, steps: Steps, way: str) -> dict[str, Any]:
    steps.choose(way)
    result = {}
    if way == "triton":
        result["gradients_differ_by"] = check_agreement(steps.module, *steps.next_rows())
    started = time.monotonic()
    steps.take()
    result["first_seconds"] = time.monotonic() - started
    result["milliseconds"] = 1e3 * steps.seconds(settings.device, 15)
    return result


def _give_back(settings: Settings) -> None:
    """Give back the memory of what is not used any more."""
    gc.collect()
    if settings.device == "cuda":
        torch.cuda.empty_cache()


def _evaluations(figure: str, settings: Settings, record: Record) -> dict[str, float]:
    """Return the seconds that a few repetitions take to measure their held-out and their training rows."""
    steps = Steps(overrides_of(figure, settings, FEW), settings.device)
    totals: dict[str, float] = {}
    splits: tuple[Split, ...] = ("test", "train")
    for split in splits:
        actions = evaluations(steps, split)
        each = {name: milliseconds(action, settings.device, 1, 1) for name, action in actions.items()}
        record.add(f"evaluation of {FEW} repetitions, {split} rows", **each)
        totals[split] = sum(each.values()) / 1e3
    return totals

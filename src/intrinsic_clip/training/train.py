"""Train one run: compose → check → build → fit → test → results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from intrinsic_clip import config
from intrinsic_clip.config.paths import check_writable
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.run_printout import PICTURE, objective_line, report
from intrinsic_clip.runs import atomic, results, versions
from intrinsic_clip.runs.chunk_folders import PLAN, chunk_folders
from intrinsic_clip.runs.locks import clear_left_behind, held
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS
from intrinsic_clip.training import chunks
from intrinsic_clip.training.build import build, check_buildable

if TYPE_CHECKING:
    from intrinsic_clip.training.build import Training

WRITTEN = (
    results.CONFIG, PICTURE, EMBEDDINGS, PLAN,
    results.RESULTS, results.METRICS, results.EXAMPLES, results.CHECKPOINT, results.FAILED,
)  # fmt: skip


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train one run, or resume it, unless it is finished; return the content of its results.json.

    Raises:
        ConfigError: before anything is written.
        InUse: another process trains this run.
        OSError: the run folder cannot be written.
    """
    spec = RunSpec.of(cfg)
    completed = _done_already(spec.folder)
    if completed is not None:
        clear_left_behind(spec.folder)
        return completed
    config.check(spec.settings)
    check_writable(spec.folder)
    check_buildable(spec)
    with _denormals_flushed():
        parts = _parts(spec)
        # Built before anything is written: an impossible setting or unreadable data leaves no trace.
        unfinished = [(part, folder) for part, folder in parts if results.read_completed(folder) is None]
        _check_folders(spec.folder, [folder for _, folder in parts])
        built = {folder: build(part) for part, folder in unfinished[:1]}
        with held(spec.folder):
            (spec.folder / results.FAILED).unlink(missing_ok=True)
            return _done_already(spec.folder) or _train_parts(spec, parts, built)


def _done_already(folder: Path) -> dict[str, Any] | None:
    """Return the results of a finished run, and print them; None if it is unfinished, or its results are damaged."""
    completed = results.read_completed(folder)
    if completed is None:
        return None
    notes = results.damaged_files(folder, completed)
    made = versions.other_code(completed.get("versions") or {})
    if made is not None:
        notes.append(f"{made}; an address does not cover code, so delete the folder to train the run anew")
    print("\n".join(["Done already: nothing to train.", *notes, "", report(completed, folder)]))
    return completed


def _check_folders(folder: Path, parts: list[Path]) -> None:
    """Check what earlier starts left, and say which results do not count.

    Raises:
        ConfigError: a checkpoint or its metrics are damaged, or the files of a chunk that is done, or the run could
            not write its files.
        OSError: a file cannot be read.
    """
    from intrinsic_clip.training.checkpoints import check_resumable

    for each in dict.fromkeys([folder, *parts]):
        results.check_replaceable(each, WRITTEN)
        reason = results.damage(each)
        if reason is not None:
            print(f"{each / results.RESULTS}: damaged ({reason}); its numbers are trained anew", flush=True)
    for part in parts:
        if results.read_completed(part) is None:
            check_resumable(part)
        else:
            chunks.check_finished(part)


def _parts(spec: RunSpec) -> list[tuple[RunSpec, Path]]:
    """Return the trainings to do in turn, with their folders: the run itself, or its chunks of replicates."""
    indices = chunks.plan(spec)
    if len(indices) == 1:
        return [(spec, spec.folder)]
    folders = chunk_folders(spec.folder, indices)
    return [(spec.with_replicates(part), folder) for part, folder in zip(indices, folders, strict=True)]


def _train_parts(
    spec: RunSpec, parts: list[tuple[RunSpec, Path]], built: dict[Path, "Training"]
) -> dict[str, Any]:
    """Write the run folder: train the unfinished parts, then join the chunks, if there are any."""
    from intrinsic_clip.training.finish import finish

    atomic.write_atomically(spec.folder / results.CONFIG, OmegaConf.to_yaml(config.as_config(spec.settings)))
    print(f"Objective: {objective_line(spec.settings)}", flush=True)
    at_once = max(len(part.replicates) for part, _ in parts)
    if len(parts) == 1:
        part, folder = parts[0]
        return _train_part(part, folder, built.pop(folder, None), at_once)
    print(f"Training {spec.replicates} in {len(parts)} chunks", flush=True)
    chunks.begin(spec.folder, [list(part.replicates.indices or ()) for part, _ in parts])
    for part, folder in parts:
        if results.read_completed(folder) is None:
            # Held by nobody else, since the next needs its memory.
            _train_part(part, folder, built.pop(folder, None), at_once)
    joined = chunks.join([folder for _, folder in parts], spec)
    return finish(joined, spec.folder)


def _train_part(spec: RunSpec, folder: Path, built: "Training | None", at_once: int) -> dict[str, Any]:
    from intrinsic_clip.training.finish import finish, gather_results, save_embeddings
    from intrinsic_clip.training.fit import fit_and_test, make_trainer, quiet

    training = built or build(spec)
    with quiet(), _out_of_memory_explained(spec):
        trainer = make_trainer(spec, training, folder, at_once)
        timings = fit_and_test(trainer, training, folder)
    run_results = gather_results(spec, training, timings)
    if trainer.is_global_zero:
        save_embeddings(trainer, training.module, folder)
        return finish(run_results, folder)
    return run_results


@contextmanager
def _out_of_memory_explained(spec: RunSpec) -> Iterator[None]:
    """Name the setting that takes less memory if replicates that train side by side exhaust it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        exhausted = isinstance(error, MemoryError) or any(
            words in str(error) for words in ("out of memory", "can't allocate memory")
        )
        repetitions = len(spec.replicates.indices or ())
        if not exhausted or repetitions < 2:
            raise
        raise ConfigError(
            f"out of memory with {spec.replicates} side by side; replicates_per_chunk={repetitions // 2} trains them "
            "in chunks and takes half"
        ) from error


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Treat numbers below 1e-38 as zero: small τ makes gradients full of them, at five times the cost of a step.

    This is a setting of each thread, and new threads inherit it, so it must be made before PyTorch starts its own.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)

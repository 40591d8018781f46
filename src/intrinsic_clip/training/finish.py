"""Finish a run: gather its numbers, write embeddings and picture, and results.json last."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from intrinsic_clip.probes import take_embeddings
from intrinsic_clip.reports.run_picture import draw_run
from intrinsic_clip.reports.run_printout import PICTURE, report
from intrinsic_clip.runs import results, versions
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS, FURTHER, LABEL, LATENT, write_embeddings
from intrinsic_clip.training.build import Training
from intrinsic_clip.training.finals import final_numbers
from intrinsic_clip.training.module import ContrastiveModule


def gather_results(spec: RunSpec, training: Training, timings: dict[str, Any]) -> dict[str, Any]:
    """Return the content of results.json."""
    numbers, reasons = final_numbers(training)
    return {
        "status": "completed",
        "config": spec.settings,
        "seed": spec.settings["seed"],
        "versions": versions.versions(),
        "timings": timings,
        "shared_dim": training.data.shared_dim,
        "n_test": len(training.data.pairs("test")),
        "metrics": {name: results.summarise(value) for name, value in numbers.items()},
        "reasons": reasons,
        "notes": list(
            dict.fromkeys(note for probe in training.probes for note in getattr(probe, "notes", []))
        ),
    }


def save_embeddings(trainer: Trainer, module: ContrastiveModule, folder: Path) -> None:
    """Write the representations of the held-out rows: all replicates', or the first one's if all are large."""
    test = take_embeddings(trainer, module, "test")
    sides = {"x": test.x, "y": test.y, "x_raw": test.x_raw, "y_raw": test.y_raw, "z": test.z}
    tensors = {name: tensor for name, tensor in sides.items() if tensor is not None}
    tensors |= {f"{LABEL}{name}": classes for name, classes in test.labels.items()}
    tensors |= {f"{FURTHER}{name}": rows for name, rows in test.further.items()}
    tensors |= {f"{FURTHER}{name}_raw": rows for name, rows in test.further_raw.items()}
    tensors |= {f"{LATENT}{block}": latent for block, latent in test.latents.items()}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    write_embeddings(folder, arrays, replicated=bool(module.replicates.shape))


def finish(run_results: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Draw the picture, write results.json last, as the mark of a finished run, and print the numbers.

    Returns:
        The content of results.json.
    """
    draw_run(results.read_metrics(folder), run_results, folder / PICTURE)
    written = results.write_results(folder, run_results, files=(results.METRICS, EMBEDDINGS))
    print(f"\n{report(written, folder)}", flush=True)
    return written

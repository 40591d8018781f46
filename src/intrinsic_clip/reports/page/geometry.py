"""How the embeddings of finished runs lie: similarities of pairs, and spectra."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from intrinsic_clip.reports.page.settings import D, Training
from intrinsic_clip.reports.page.trajectories import rounded
from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS

if TYPE_CHECKING:
    from torch import Tensor

BINS = 64
OUTSIDE = 0.001  # share of the similarities that each end of a histogram leaves out
COMPONENTS = 128  # of a spectrum that are shown
DIGITS = 4


def geometry(
    groups: Sequence[Sequence[Training]], configs: Mapping[Path, Mapping[str, Any]]
) -> tuple[list[Any], list[Any], list[str]]:
    """Histograms and spectra of each group of repetitions, null where there are no embeddings, and notes on that.

    A histogram has `low` and `width` of its bins, densities `positive` and `random`, pooled over `repetitions` of
    `pairs` each. A spectrum has shares of the variance, `x` and `y`, means over the repetitions.
    """
    found: dict[tuple[Path, int], Any] = {}
    notes = []
    for run, config in configs.items():
        places = {training.place for group in groups for training in group if training.run == run}
        try:
            found |= {(run, place): one for place, one in _of_run(run, config, places)}
        except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
            notes.append(
                f"{run.name}: no histograms and spectra ({type(error).__name__} reading {EMBEDDINGS})"
            )
    of_groups = [[found[t.run, t.place] for t in group if (t.run, t.place) in found] for group in groups]
    return (
        [_histogram([pairs for pairs, _ in of]) if of else None for of in of_groups],
        [_mean_spectra([shares for _, shares in of]) if of else None for of in of_groups],
        notes,
    )


def _of_run(run: Path, config: Mapping[str, Any], places: set[int]) -> Iterable[tuple[int, Any]]:
    """Of each of its trainings whose embeddings were kept: similarities of pairs, and shares of variance."""
    with safe_open(run / EMBEDDINGS, "pt") as file:
        x, y = file.get_tensor("x"), file.get_tensor("y")
    labels = Replicates.of(config).labels()
    first = labels[0][1]
    # Where those of all would be a large file, train.py keeps the first repetition's.
    kept = [place for place, (_, index) in enumerate(labels) if index == first]
    rows = x.shape[:-2].numel()
    trainings = range(len(labels)) if rows == len(labels) else kept
    x, y = x.reshape(rows, *x.shape[-2:]), y.reshape(rows, *y.shape[-2:])
    for place, x_one, y_one in zip(trainings, x, y, strict=True):
        if place in places:
            d = labels[place][0] or config["encoder"].get(D.rpartition(".")[2]) or x.shape[-1]
            yield place, (_similarities(x_one, y_one), _shares({"x": x_one, "y": y_one}, d))


def _similarities(x: "Tensor", y: "Tensor") -> dict[str, np.ndarray]:
    from intrinsic_clip.metrics import pair_similarities

    return {name: values.numpy() for name, values in pair_similarities(x, y)._asdict().items()}


def _shares(sides: Mapping[str, "Tensor"], d: int) -> dict[str, np.ndarray]:
    """Of the variance, of the first d principal components: the columns beyond are masked."""
    from intrinsic_clip.dimension import spectrum

    values = {side: spectrum(rows)[:d].numpy() for side, rows in sides.items()}
    with np.errstate(invalid="ignore"):  # equal rows have no variance to share
        return {side: one[:COMPONENTS] / one.sum() for side, one in values.items()}


def _histogram(samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any] | None:
    pooled = {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
    both = np.concatenate(list(pooled.values()))
    if not np.isfinite(both).all():
        return None
    low, high = (float(value) for value in np.quantile(both, [OUTSIDE, 1 - OUTSIDE]))
    width = (high - low) / BINS or 1e-6
    edges = low + width * np.arange(BINS + 1)
    densities = {
        name: [rounded(v, DIGITS) for v in np.histogram(values, edges)[0] / (len(values) * width)]
        for name, values in pooled.items()
    }
    pairs = len(samples[0]["positive"])
    return {"low": low, "width": width, "pairs": pairs, "repetitions": len(samples), **densities}


def _mean_spectra(spectra: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Any]:
    return {
        side: [rounded(value, DIGITS) for value in np.mean([one[side] for one in spectra], axis=0)]
        for side in "xy"
    }

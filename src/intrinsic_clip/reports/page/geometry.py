"""Histograms of similarities and spectra of the embeddings that finished runs kept."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from intrinsic_clip.reports.page.settings import Training
from intrinsic_clip.reports.page.trajectories import rounded
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.stored_embeddings import StoredEmbeddings
from intrinsic_clip.runs.vocabulary import MODALITIES

BINS = 64
OUTSIDE = 0.001  # share of the similarities that each end of a histogram leaves out
COMPONENTS = 128  # of a spectrum, at most
DIGITS = 4

Arrays = dict[str, np.ndarray]


def geometry(
    groups: Sequence[Sequence[Training]], runs: Mapping[Path, Run]
) -> tuple[list[Any], list[Any], list[str]]:
    """Return histograms and spectra of each group of repetitions, None without embeddings, and notes on that.

    A histogram has `low` and `width` of its bins, densities `positive` and `random`, pooled over `repetitions` of
    `pairs` each, and `of`, the two modalities in words; a group has one for each two modalities. A spectrum has the
    shares of the variance of each modality, as `f(X)` …, means over the repetitions.
    """
    similarities: dict[tuple[Path, int], dict[str, Arrays]] = {}
    shares: dict[tuple[Path, int], Arrays] = {}
    notes = []
    for folder, run in runs.items():
        places = {training.place for group in groups for training in group if training.run == folder}
        try:
            kept = run.kept_embeddings
            for place, label in enumerate(run.replicates.labels()):
                if place in places and label in kept:
                    similarities[folder, place] = _similarities(kept[label])
                    shares[folder, place] = _shares(kept[label])
        except (ValueError, RuntimeError) as error:
            notes.append(f"{folder.name}: no histograms and spectra ({error})")
    keys = [[(t.run, t.place) for t in group if (t.run, t.place) in shares] for group in groups]
    histograms = [_histograms([similarities[key] for key in group]) if group else None for group in keys]
    spectra = [_mean_spectra([shares[key] for key in group]) if group else None for group in keys]
    return histograms, spectra, notes


def _modalities(embeddings: StoredEmbeddings) -> Arrays:
    """Return the representations of each modality by its name in words."""
    sides = {"x": embeddings.x, "y": embeddings.y, **embeddings.further}
    in_order = sorted(sides, key=lambda side: list(MODALITIES).index(side) if side in MODALITIES else 99)
    return {MODALITIES.get(side, side): sides[side] for side in in_order}


def _similarities(embeddings: StoredEmbeddings) -> dict[str, Arrays]:
    """Return the similarities of positive and of random pairs of each two modalities."""
    import torch  # takes seconds, and a report of damaged files does without it

    from intrinsic_clip.metrics import pair_similarities

    rows = {name: torch.from_numpy(values) for name, values in _modalities(embeddings).items()}
    pairs = {f"{a} and {b}": pair_similarities(rows[a], rows[b]) for a, b in combinations(rows, 2)}
    return {
        words: {name: values.numpy() for name, values in of._asdict().items()} for words, of in pairs.items()
    }


def _shares(embeddings: StoredEmbeddings) -> Arrays:
    """Return the principal components' shares of the variance of each modality."""
    import torch

    from intrinsic_clip.dimension import spectrum

    sides = _modalities(embeddings)
    variances = {side: spectrum(torch.from_numpy(rows)).numpy() for side, rows in sides.items()}
    with np.errstate(invalid="ignore"):  # equal rows have no variance to share
        return {side: values[:COMPONENTS] / values.sum() for side, values in variances.items()}


def _histograms(samples: Sequence[Mapping[str, Arrays]]) -> list[dict[str, Any]] | None:
    """Return the histogram of each two modalities whose similarities are finite; None where none are."""
    found = {words: _histogram([sample[words] for sample in samples]) for words in samples[0]}
    return [histogram | {"of": words} for words, histogram in found.items() if histogram] or None


def _histogram(samples: Sequence[Arrays]) -> dict[str, Any] | None:
    """Return the pooled densities; None where a similarity is not finite."""
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


def _mean_spectra(spectra: Sequence[Arrays]) -> dict[str, Any]:
    return {
        side: [rounded(value, DIGITS) for value in np.mean([shares[side] for shares in spectra], axis=0)]
        for side in spectra[0]
    }

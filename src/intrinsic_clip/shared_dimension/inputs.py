"""Find what the settings of `shared` name: views to train on, a finished run, or a pretrained model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement import loading
from intrinsic_clip.measurement.unusable_rows import for_pairs
from intrinsic_clip.shared_dimension.estimate import shared
from intrinsic_clip.shared_dimension.given_encoders import shared_of_encoders
from intrinsic_clip.shared_dimension.pairs import FEWEST
from intrinsic_clip.shared_dimension.result import SharedDimension
from intrinsic_clip.shared_dimension.stages import Report

NEEDED = for_pairs("shared", FEWEST)


@dataclass(frozen=True)
class Estimated:
    """An estimate with what it was made from.

    Attributes:
        shares: the estimate.
        dims: numbers in a row of x and of y.
        views: both sides where they are vectors; None otherwise.
    """

    shares: SharedDimension
    dims: dict[str, int]
    views: tuple[Tensor, Tensor] | None


def estimated_from(cfg: DictConfig, settings: Mapping[str, Any], folder: Path, report: Report) -> Estimated:
    """Estimate from what the settings name.

    Args:
        cfg: the config, from which data and encoder are instantiated.
        settings: the same as plain values.
        folder: where finished trainings are kept.
        report: is told the stage, the steps done and their number.

    Raises:
        ConfigError: it cannot be read.
        ValueError: it cannot be compared.
    """
    if settings["run"] is not None:
        return _of_run(cfg, settings, report)
    if settings["encoder"] is not None and settings["read_encoder"]:
        return _of_model(cfg, settings, report)
    pairs = loading.load(cfg, settings, NEEDED)
    loading.subsample(pairs, settings["subsample"], settings["seed"])
    x, y = pairs.sides["x"], pairs.sides["y"]
    shares = shared(
        x,
        y,
        output_dim=settings["output_dim"],
        replicates=settings["trainings"],
        steps=settings["steps"],
        widest=settings["widest"],
        seed=settings["seed"],
        budget=settings["budget"],
        report=lambda label, done, steps: report(f"training on {label}, step", done, steps),
        keep_in=folder,
        threads=settings["threads"] or 1,
    )
    return _with_origin(shares, x, y, pairs.notes)


def _of_run(cfg: DictConfig, settings: Mapping[str, Any], report: Report) -> Estimated:
    """Read a finished run at the rows it held out, or at pairs in files."""
    from intrinsic_clip.training.finished import load_pair

    pair = load_pair(Path(settings["run"]))
    x, y, notes = pair.x, pair.y, pair.notes
    if settings["x"] is not None:
        pairs = loading.load(cfg, {**settings, "run": None}, NEEDED)
        given = pairs.sides["x"], pairs.sides["y"]
        if any(one.shape[1:] != own.shape[1:] for one, own in zip(given, (x, y), strict=True)):
            shapes = [tuple(side.shape[1:]) for side in (*given, x, y)]
            raise ConfigError(
                f"x, y: rows of {shapes[0]} and {shapes[1]}, but the run takes {shapes[2]} and {shapes[3]}"
            )
        x, y = (side.to(own.dtype) for side, own in zip(given, (x, y), strict=True))
        notes = [
            *notes,
            *pairs.notes,
            "x, y: taken as the run's encoders take them, and as pairs new to them",
        ]
    x, y, drawn = _subsampled(x, y, settings)
    shares = shared_of_encoders(
        pair.f,
        pair.g,
        x,
        y,
        on_sphere=pair.on_sphere,
        widest=settings["widest"],
        seed=settings["seed"],
        report=report,
    )
    return _with_origin(shares, x, y, notes + drawn)


def _of_model(cfg: DictConfig, settings: Mapping[str, Any], report: Report) -> Estimated:
    """Read a pretrained model at the pairs of a data source."""
    encoder, x, y = loading.source_rows(cfg, settings["split"])
    if not hasattr(encoder, "functions"):
        raise ConfigError(
            f"encoder: {type(encoder).__name__} has no derivatives; read_encoder=false trains on its embeddings"
        )
    from intrinsic_clip.encoders.preprocessing import check_images_and_tokens

    check_images_and_tokens(x, y)
    x, y, notes = _subsampled(x, y, settings)
    encoder.model.requires_grad_(False)
    f, g = encoder.functions()
    shares = shared_of_encoders(f, g, x, y, widest=settings["widest"], seed=settings["seed"], report=report)
    return _with_origin(shares, x, y, notes)


def _subsampled(x: Tensor, y: Tensor, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor, list[str]]:
    """Return as many pairs as `subsample` says, drawn at random, and a note about it."""
    pairs = loading.LoadedEmbeddings({"x": x, "y": y})
    loading.subsample(pairs, settings["subsample"], settings["seed"])
    return pairs.sides["x"], pairs.sides["y"], pairs.notes


def _with_origin(shares: SharedDimension, x: Tensor, y: Tensor, notes: list[str]) -> Estimated:
    """Add the notes about loading, and the sizes of the rows."""
    dims = {name: side[0].numel() for name, side in (("x", x), ("y", y))}
    views = (x, y) if all(side.ndim == 2 and side.is_floating_point() for side in (x, y)) else None
    return Estimated(replace(shares, notes=[*notes, *shares.notes]), dims, views)

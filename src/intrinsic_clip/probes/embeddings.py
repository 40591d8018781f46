"""Take the embeddings of an evaluation once, for all probes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from intrinsic_clip.data.paired import Pairs, Split
from intrinsic_clip.loggers.steps import counts_batches
from intrinsic_clip.measurement.embeddings import Embeddings as Embeddings
from intrinsic_clip.measurement.embeddings import Side as Side
from intrinsic_clip.metrics.counterparts import distinct_rows
from intrinsic_clip.probes.random_numbers import own_random_numbers
from intrinsic_clip.seeding import seeded

_latest: WeakKeyDictionary[LightningModule, dict[tuple[Split, int, int], tuple[int, Embeddings]]] = (
    WeakKeyDictionary()
)


@torch.no_grad()
def take_embeddings(
    trainer: Trainer, module: LightningModule, split: Split, max_samples: int = 10**9, seed: int = 0
) -> Embeddings:
    """Return a ContrastiveModule's embeddings of a split of PairedData.

    A second call at the same step returns the same object.

    Args:
        max_samples: take that many rows of a larger split, drawn with `seed`.
    """
    pairs = trainer.datamodule.pairs(split)  # type: ignore[attr-defined]
    cache = _latest.setdefault(module, {})
    key = (split, max_samples, seed) if len(pairs) > max_samples else (split, 0, 0)  # all rows are all rows
    if key not in cache or cache[key][0] != trainer.global_step:
        embeddings = _embed(module, sample(pairs, max_samples, seed))
        things = _things(pairs, max_samples, seed, module)
        embeddings.things = things["x"], things["y"]
        embeddings.further_things = {name: things[name] for name in pairs.further}
        cache[key] = (trainer.global_step, embeddings)
    return cache[key][1]


_compared: WeakKeyDictionary[LightningModule, dict[tuple[Any, ...], dict[Side, Tensor]]] = WeakKeyDictionary()


def _things(pairs: Pairs, max_samples: int, seed: int, module: LightningModule) -> dict[Side, Tensor]:
    """Return which rows of the data repeat, compared once for a training: outputs repeat by collapse too."""
    known = _compared.setdefault(module, {})
    places = [rows.data_ptr() for rows in pairs.modalities().values()]
    key = (*places, len(pairs), max_samples, seed)
    if key not in known:
        chosen = sample(pairs, max_samples, seed)
        known[key] = {
            name: distinct_rows(rows, chosen.row_axis) for name, rows in chosen.modalities().items()
        }
    return known[key]


def forget_embeddings(module: LightningModule) -> None:
    """Drop a module's embeddings: when a fit or test begins, weights may have changed without a step."""
    _latest.pop(module, None)
    _compared.pop(module, None)


def _embed(module: Any, pairs: Pairs) -> Embeddings:
    with evaluating(module):
        rows = pairs.modalities()
        x_raw, y_raw, *further_raw = module.encode(*rows.values())
        x, y, *further = module.normalise(x_raw, y_raw, *further_raw)
        return Embeddings(
            x,
            y,
            x_raw,
            y_raw,
            module.tau(),
            pairs.z,
            pairs.labels,
            further=dict(zip(pairs.further, further, strict=True)),
            further_raw=dict(zip(pairs.further, further_raw, strict=True)),
            latents=pairs.latents,
        )


def encoders_of(module: Any) -> dict[Side, nn.Module]:
    """Return the encoders of a ContrastiveModule by modality: f of x, g of y, and those of further ones."""
    return {"x": module.f, "y": module.g, **dict(getattr(module, "further", {}).items())}


def sample(pairs: Pairs, max_samples: int, seed: int) -> Pairs:
    """Return the pairs, or `max_samples` of them drawn without replacement, in their order."""
    if len(pairs) <= max_samples:
        return pairs
    rows = sampled_rows(len(pairs), max_samples, seed).to(pairs.x.device)
    return Pairs(
        pairs.x.index_select(pairs.row_axis, rows),
        pairs.y.index_select(pairs.row_axis, rows),
        None if pairs.z is None else pairs.z.index_select(-2, rows),
        {name: labels[rows] for name, labels in pairs.labels.items()},
        pairs.row_axis,
        {name: more.index_select(pairs.row_axis, rows) for name, more in pairs.further.items()},
        {block: latent.index_select(-2, rows) for block, latent in pairs.latents.items()},
    )


def sampled_rows(n: int, max_samples: int, seed: int) -> Tensor:
    """Return which of n rows `sample` keeps, in their order."""
    if n <= max_samples:
        return torch.arange(n)
    return torch.randperm(n, generator=seeded(seed))[:max_samples].sort().values


def called_temperature(module: LightningModule) -> Tensor | None:
    """Return what a module's own `temperature()` gives; None without one."""
    name = "tau" if is_contrastive(module) else "temperature"  # which may be one per direction
    try:
        method: Any = getattr(module, name, None)
        tau = method() if callable(method) else None
    except Exception:  # a method or a layer that wants arguments is no temperature
        return None
    if isinstance(tau, int | float) and not isinstance(tau, bool):
        return torch.tensor(float(tau), device=module.device)
    return tau.detach() if isinstance(tau, Tensor) else None


def is_contrastive(module: LightningModule) -> bool:
    """Return whether a module is a ContrastiveModule, and not another's that has attributes of such names."""
    return not counts_batches(module) and callable(getattr(module, "temperatures", None))


_probing = 0


def is_probing() -> bool:
    """Return whether the module runs for a probe now, and not in a step of its own."""
    return _probing > 0


@contextmanager
def probing() -> Iterator[None]:
    """Mark calls of the module as a probe's, which hooks for other probes must not take for the step's."""
    global _probing
    _probing += 1
    try:
        yield
    finally:
        _probing -= 1


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part of a module in evaluation mode for a probe, and afterwards back in the mode that it was in.

    Random numbers that are drawn meanwhile are not those of the training.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    device = next((each.device for each in module.parameters()), torch.device("cpu"))
    try:
        with probing(), own_random_numbers(device):
            yield
    finally:
        for part, mode in modes:
            # A train() of its own may do more, as LoRA's does, which splits what eval() merged.
            if type(part).train is not nn.Module.train:
                part.train(mode)
        for part, mode in modes:
            part.training = mode

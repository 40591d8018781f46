"""See to it that every name has one source: two probes, or a probe and the module, must not log it both."""

import math
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from pytorch_lightning import LightningModule, Trainer

from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.both_lightnings import MisconfigurationException

_owners: WeakKeyDictionary[LightningModule, dict[str, int]] = WeakKeyDictionary()


def refuse_shared_names(trainer: Trainer, probe: AnyProbe) -> None:
    """Refuse a probe that would log a name which another probe of the trainer logs: their numbers would be averaged.

    Two probes that measure the same rows at different times are no fault: one per epoch, one every n steps.

    Raises:
        MisconfigurationException: a name is shared, or the probe is listed twice.
    """
    if sum(callback is probe for callback in trainer.callbacks) > 1:  # type: ignore[attr-defined]
        raise MisconfigurationException(f"one {_kind(probe)} is listed twice among the trainer's callbacks")
    for other in trainer.callbacks:  # type: ignore[attr-defined]
        if other is probe or not isinstance(other, AnyProbe) or are_twins(probe, other):
            continue
        shared = probe.own_names() & other.own_names()
        if shared:
            kinds = sorted({_kind(probe), _kind(other)})
            both = f"two {kinds[0]} log" if len(kinds) == 1 else f"{kinds[0]} and {kinds[1]} both log"
            raise MisconfigurationException(
                f"{both} {_first(shared)}: give one a prefix, such as prefix='second/'"
            )


def are_twins(probe: AnyProbe, other: AnyProbe) -> bool:
    """Return whether two probes measure the same in the same way, one per epoch and one every n steps."""
    by_steps = [getattr(each, "every_n_steps", None) is not None for each in (probe, other)]
    return type(probe) is type(other) and by_steps[0] != by_steps[1] and _settings(probe) == _settings(other)


def _settings(probe: AnyProbe) -> dict[str, object]:
    when = {"every_n_epochs", "every_n_steps", "in_sample", "latest", "reasons", "notes"}
    return {name: value for name, value in vars(probe).items() if name[0] != "_" and name not in when}


def claim(module: LightningModule, probe: AnyProbe, names: Iterable[str]) -> list[str]:
    """Return those names that another probe has logged for this module since `disclaim`; the others become its own."""
    owners = _owners.setdefault(module, {})
    return [name for name in names if owners.setdefault(name, id(probe)) != id(probe)]


def disclaim(module: LightningModule) -> None:
    """Forget who logged which name, when a fit, validation or test begins or ends."""
    _owners.pop(module, None)


def warn_of_others(
    trainer: Trainer, probe: AnyProbe, means: Mapping[str, float], also_as_results: bool = False
) -> None:
    """Warn where something else, a step of the module or another callback, has logged under a name of a probe.

    Args:
        means: the numbers that the probe has just logged, by name.
        also_as_results: whether they are results of `trainer.validate` or `trainer.test` too.
    """
    for name in _logged_by_others(trainer, means, also_as_results)[:1]:
        probe.warn_once(
            f"{name} is logged by {_kind(probe)} and by something else, the module or another callback, so "
            "what monitors and loggers get is not the probe's number: give the probe a prefix"
        )


def _logged_by_others(trainer: Trainer, means: Mapping[str, float], also_as_results: bool) -> list[str]:
    """Return names under which something else has logged too: a step of the module, or another callback.

    Args:
        means: what a probe has just logged, by name.
        also_as_results: whether the probe's own numbers are among the trainer's `logged_metrics`.
    """
    others = set() if also_as_results else set(means) & set(trainer.logged_metrics)
    for name, mean in means.items():
        seen = trainer.callback_metrics.get(name)
        if seen is not None and not _are_same(float(seen), mean):
            others.add(name)
    return sorted(others)


def _are_same(seen: float, mean: float) -> bool:
    """Return whether two numbers are the same but for Lightning's rounding to float32."""
    return math.isclose(seen, mean, rel_tol=1e-4, abs_tol=1e-6) or (math.isnan(seen) and math.isnan(mean))


def _first(names: Iterable[str]) -> str:
    """Return the plainest of several names, to stand for all."""
    return min(names, key=lambda name: ("standard_error" in name, len(name), name))


def _kind(probe: AnyProbe) -> str:
    return type(probe).__name__

"""Read a file of rules: names of numbers, each with the limits that it must keep."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from intrinsic_clip.errors import ConfigError, system_reason
from intrinsic_clip.measurement.health.rule_names import SHORT, known_names, numbers_of, share_of_rows
from intrinsic_clip.runs.regular_files import require_regular

LIMITS = ("min", "max", "near", "within")
LARGEST = 2**20  # bytes of a file of rules
FINITE = "nonfinite_rows"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: as the file writes it: `effective_rank`, `id/mle/x`.
        low, high: between which the number must lie, both included; infinite where there is no limit.
        limit: the same in words, `min 32`.
    """

    name: str
    low: float
    high: float
    limit: str

    def keeps(self, value: float) -> bool:
        """Return whether a number keeps the limits; NaN does not."""
        return self.low <= value <= self.high


NONE_NONFINITE = Rule(FINITE, -math.inf, 0, "max 0")


def read_rules(path: Path) -> list[Rule]:
    """Return the rules of a file, in its order.

    Raises:
        ConfigError: there is no such file, it holds no rules, or one of them names no number or no limits; the message
            says which.
    """
    try:
        return _rules(_read(path))
    except ConfigError as error:
        raise ConfigError(f"check={path}: {error}") from error


def _read(path: Path) -> Any:
    """Return the content of a YAML file, in which no key occurs twice."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        if require_regular(path).st_size > LARGEST:
            raise ConfigError("is no file of rules: too large")
        content = OmegaConf.load(path)
        return OmegaConf.to_container(content, resolve=True)
    except OSError as error:
        if error.errno is None:  # OmegaConf's, of a file that holds one number or date
            return None
        raise ConfigError(system_reason(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is no text") from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"is no YAML ({' '.join(str(error).split())})") from error


def _rules(content: Any) -> list[Rule]:
    if not isinstance(content, Mapping):
        raise ConfigError("must map names of numbers to limits, as in `effective_rank: {min: 32}`")
    if not content:
        raise ConfigError("holds no rule; one is written `effective_rank: {min: 32}`")
    return [_rule(name, limits) for name, limits in content.items()]


def _rule(name: Any, limits: Any) -> Rule:
    if not isinstance(name, str):
        raise ConfigError(f"{name}: is no name of a number")
    if not numbers_of(name):
        raise ConfigError(f"{name}: unknown rule{_nearest(name)}")
    if not isinstance(limits, Mapping):
        raise ConfigError(f"{name}: must have min and max, or one of them, as in `{name}: {{min: 1}}`")
    for key, value in limits.items():
        if key not in LIMITS:
            raise ConfigError(f"{name}.{key}: unknown limit; choose from {', '.join(LIMITS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"{name}.{key}={value}: must be a finite number")
    low, high, limit = _limits(name, limits)
    if share_of_rows(name) and (low > 1 or high < 0 or 1 < high < math.inf):
        raise ConfigError(f"{name}: is a share of the rows, between 0 and 1; duplicate_rows counts them")
    return Rule(name, low, high, limit)


def _limits(name: str, limits: Mapping[str, float]) -> tuple[float, float, str]:
    """Return the lowest and the highest value, and both in words."""
    if "near" in limits or "within" in limits:
        if set(limits) != {"near", "within"}:
            raise ConfigError(f"{name}: near and within belong together, without min and max")
        near, within = limits["near"], limits["within"]
        if near == 0 or within <= 0:
            raise ConfigError(
                f"{name}: within is a share of near, as in `near: 10, within: 0.05`, and neither can be 0"
            )
        low, high = sorted((near * (1 - within), near * (1 + within)))
        return low, high, f"near {near:g} within {100 * within:g} %"
    low, high = limits.get("min", -math.inf), limits.get("max", math.inf)
    if not limits:
        raise ConfigError(f"{name}: must have min and max, or one of them, as in `{name}: {{min: 1}}`")
    if low > high:
        raise ConfigError(f"{name}: min {low:g} is above max {high:g}")
    return low, high, ", ".join(f"{key} {limits[key]:.10g}" for key in ("min", "max") if key in limits)


def _nearest(name: str) -> str:
    close = get_close_matches(name, known_names(), n=3)
    close = close or [known for known in known_names() if known.startswith(f"{name}/")][:3]
    if close:
        return f", did you mean {' or '.join(close)}?"
    return f"; choose from {', '.join(SHORT)}, or name any number of a measurement, as id/mle/x"

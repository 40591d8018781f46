"""Give Hydra the user's `key=value` arguments such that paths and other text arrive as they were typed."""

import os
import re
from collections.abc import Sequence
from enum import Enum
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse

from intrinsic_clip.config.folders import is_group
from intrinsic_clip.config.messages import several_values
from intrinsic_clip.config.paths import MAPS, is_text, without_interpolation
from intrinsic_clip.errors import ConfigError

ASSIGNMENT = re.compile(r"(\+{0,2})([^=~+][^=]*)=(.*)", re.DOTALL)
OLD_GROUP = re.compile(r"^([+~]{0,2})loss([/.=@]|$)")
QUOTES = ("'", '"')
FILES = {"x", "y", "against", "against_y", "check", "run", "projection"}  # inputs of `measure` and its like
SEVERAL = {"columns", "drop", "groups", "labels"}  # settings that people give twice to mean both
SHARD = re.compile(r"\.(tar|tar\.gz|tgz)$")
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Commas(Enum):
    """Meaning of commas between texts, as in `data.x=a.npy,b.npy`."""

    TEXT = "part of one text"
    SWEEP = "a run for each"
    REFUSED = "a run for each, if there were --multirun"


def for_hydra(overrides: Sequence[str], commas: Commas, verb: str = "") -> list[str]:
    """Return overrides with text quoted where Hydra's grammar would refuse or change it, and maps that replace.

    Args:
        overrides: as the user typed them.
        commas: their meaning, unless the whole text with its commas is the path of a file or folder.
        verb: of the command, for messages.

    Raises:
        ConfigError: several texts are given without --multirun, one setting by its earlier and its present name, or two
            files for one setting.
    """
    _check_one_name(overrides)
    _check_given_once(overrides, verb)
    return [part for override in overrides for part in _translated(_with_todays_name(override), commas)]


def for_each_run(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of a sweep over groups such that Hydra sets each value in the runs alone.

    Hydra composes the sweep as a whole too, with the default choice of a group that is swept over, and would refuse the
    settings that this choice lacks and the runs' choices have. It leaves out what is swept over, were it one value.

    Args:
        overrides: as Hydra takes them.
    """
    parsed = {override: _parsed(*override.partition("=")[::2]) for override in overrides}
    swept = [
        override.partition("=")[0] for override, read in parsed.items() if read and read.is_sweep_override()
    ]
    if not any(map(is_group, swept)):
        return list(overrides)
    return [
        _of_one_value(override) if _sets_a_value(parsed[override]) else override for override in overrides
    ]


def _sets_a_value(override: Override | None) -> bool:
    """Return whether an override sets one value, not of a group and not of Hydra itself."""
    if override is None or override.type is not OverrideType.CHANGE or override.is_sweep_override():
        return False
    return not override.is_hydra_override() and not is_group(override.key_or_group)


def _of_one_value(override: str) -> str:
    """Return an override as a sweep over its value alone, unless that would be another value."""
    key, _, value = override.partition("=")
    alone, swept = _parsed(key, value), _parsed(key, f"choice({value})")
    if alone is None or swept is None:
        return override
    (text,) = swept.sweep_string_iterator()
    read = _parsed(key, text)
    return f"{key}=choice({value})" if read and read.value() == alone.value() else override


def _check_one_name(overrides: Sequence[str]) -> None:
    """Refuse a setting that is given by both names of its group, of which the later would win."""
    todays = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    for override in overrides:
        key = _with_todays_name(override).lstrip("+~").partition("=")[0]
        if OLD_GROUP.match(override) and key in todays:
            raise ConfigError(
                f"{override} and {todays[key]}: loss is the earlier name of the group objective; give one of the two"
            )


def _check_given_once(overrides: Sequence[str], verb: str) -> None:
    """Refuse two values for one setting of which the later would win and the earlier not be read."""
    given: dict[str, str] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key not in FILES | SEVERAL or given.setdefault(key, override) == override:
            continue
        first = given[key].partition("=")[2]
        hint = "; against=… names a second model" if key == "x" and verb == "measure" else ""
        if all(SHARD.search(each) for each in (first, value)):  # a shell expands braces
            hint = f"; shards are given together, in quotes, as in '{key}=shards/{{000..031}}.tar'"
        if key in ("columns", "drop"):
            hint = f"; {key}=[{first.strip('[]')},{value.strip('[]')}] has both"
        raise ConfigError(f"{given[key]} and {override}: give one of the two{hint}")


def _with_todays_name(override: str) -> str:
    """Return an override of the group `objective` that has its earlier name, `loss`, with the present one."""
    return OLD_GROUP.sub(r"\1objective\2", override)


def _translated(override: str, commas: Commas) -> list[str]:
    match = ASSIGNMENT.fullmatch(override)
    if match is None:
        return [override]
    prefix, key, value = match.groups()
    if key in MAPS and value.startswith("{"):
        mapped = _map_of_texts(key, value)
        if prefix:
            return [f"{prefix}{key}={mapped}"]
        return [f"~{key}", f"+{key}={mapped}"]  # Hydra itself would merge it into the map that is set
    if not (is_text(key) or _is_choice(key, value)):
        return [override]
    text = as_text(key, value) if commas is Commas.TEXT else _choices(key, value, commas)
    return [f"{prefix}{key}={text}"]


def _map_of_texts(key: str, value: str) -> str:
    """Return a map in braces in which each `${` that begins no interpolation is text, as it is in a lone text."""
    if not value.endswith("}"):
        return value
    entries = []
    for entry in _top_level_parts(value[1:-1], of_map=True):
        name, colon, text = entry.partition(":")
        typed = _is_read_by_omegaconf(text)
        entries.append(entry if typed else f"{name}{colon} {as_text(f'{key}.{name.strip()}', text.strip())}")
    return f"{{{','.join(entries)}}}"


def _is_choice(group: str, value: str) -> bool:
    """Return whether a value names a choice of a group, which is text even if it is a number."""
    return value[:1] not in ("", "[", "{") and is_group(group)


def _choices(key: str, value: str, commas: Commas) -> str:
    """Return one text, or the texts of a sweep, each quoted if need be."""
    parts = _top_level_parts(value)
    parsed = _parsed(key, value)
    if len(parts) == 1 and parsed is not None and parsed.is_sweep_override():
        return value  # choice(…), range(…), …
    if len(parts) == 1 or os.path.lexists(os.path.expanduser(value)):
        return as_text(key, value)
    if commas is Commas.REFUSED:
        raise ConfigError(several_values(key, value))
    return ",".join(as_text(key, part.strip()) for part in parts)


def as_text(key: str, value: str) -> str:
    """Return the value, quoted unless Hydra would read it as the text it is, or as null, or it is quoted already.

    A `${` that begins no interpolation is text.
    """
    value = value if _is_read_by_omegaconf(value) else without_interpolation(value)
    parsed = _parsed(key, value)
    if parsed is not None and not parsed.is_sweep_override():
        read = parsed.value()
        quoted = isinstance(parsed._value, QuotedString)
        escaped = isinstance(read, str) and "\\" in value
        if read is None or read == value or quoted or escaped:
            return value
    return QuotedString(text=value, quote=Quote.single).with_quotes()


def _is_read_by_omegaconf(value: str) -> bool:
    """Return whether a value has no `${`, or those of interpolations alone."""
    try:
        return "${" not in value or parse(value) is not None
    except GrammarParseError:
        return False


@cache
def _parsed(key: str, value: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(f"{key}={value}")
    except (HydraException, ValueError):
        return None


def _top_level_parts(value: str, of_map: bool = False) -> list[str]:
    """Split at commas outside quotes, brackets, braces and parentheses; unbalanced text stays whole.

    Quotes are at the beginning of a part, or of what a map has behind a colon; others are apostrophes.
    """
    parts, awaited, start = [], "", 0
    for i, character in enumerate(value):
        if i and value[i - 1] == "\\" and awaited[-1:] in QUOTES:
            continue  # escaped
        if awaited and character == awaited[-1]:
            awaited = awaited[:-1]
        elif awaited[-1:] in QUOTES:
            continue
        elif character in CLOSING:
            awaited += CLOSING[character]
        elif character in QUOTES and (i == start or (of_map and value[:i].rstrip().endswith(":"))):
            awaited += character
        elif character == "," and not awaited:
            parts.append(value[start:i])
            start = i + 1
    return [value] if awaited else [*parts, value[start:]]

"""Reword pydantic's errors for the user: the key, its fault, and what would be right."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError

from intrinsic_clip.typed_values import reason_of


def first_reason(path: str, error: ValidationError, keys: list[str]) -> str:
    """Return one line that names the first wrong key and its fault.

    Args:
        path: path of the checked node; empty for the top level.
        error: pydantic's error.
        keys: keys that the node may hold.
    """
    details = error.errors()[0]
    if not details["loc"]:
        return f"{path or 'the config'}: {reason_of(error.errors())}"
    key = str(details["loc"][0])  # later parts name a member of a union or a list
    name = f"{path}.{key}".lstrip(".")
    if details["type"] == "missing":
        return f"{name}: is missing; {name}=… sets it"
    if details["type"] == "extra_forbidden":
        return (
            f"{name}: unknown key{suggestion(key, keys)}; {path or 'the top level'} holds {', '.join(keys)}"
        )
    reason = reason_of([other for other in error.errors() if other["loc"][0] == key])
    return f"{name}: {reason}{of_text(name, details['input'], reason)}"


def of_text(name: str, value: object, reason: str) -> str:
    """Return how a number that came as text, as from a variable of the environment, becomes one; or an empty string."""
    if not isinstance(value, str) or not ("valid number" in reason or "valid integer" in reason):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    number = f"""'{name}="${{oc.decode:${{oc.env:NAME}}}}"'"""
    return f"; it is text, as variables of the environment are, and {number} a number"


def suggestion(key: str, keys: Iterable[str]) -> str:
    """Return `, did you mean …?` with the most similar key, or an empty string."""
    close = difflib.get_close_matches(key, list(keys), n=1)
    return f", did you mean {close[0]}?" if close else ""

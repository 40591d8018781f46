"""Check values against the types that a signature asks for, in a config and in Python alike."""

import inspect
import json
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import ErrorDetails

from intrinsic_clip.errors import ConfigError

Own = TypeVar("Own")
Arguments = ParamSpec("Arguments")
Constructor = Callable[Concatenate[Own, Arguments], None]
IN_PYTHON = ("is_instance_of", "callable_type", "needs_python_object")  # of objects, which no config can hold
LISTS = ("list_type", "tuple_type")


def check_type(path: str, value: Any, annotation: Any) -> None:
    """Check a value against an annotation, as strictly as JSON can be read.

    Raises:
        ConfigError: it has another type, or is out of range.
    """
    try:
        adapter = TypeAdapter(annotation, config=_adapter_config(annotation))
        adapter.validate_json(as_json(value), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{path}={json.dumps(value)}: {reason_of(error.errors())}") from error
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return  # a type that pydantic does not know: the class itself must check it


def checked(
    path: str | None = None, besides: Collection[str] = ()
) -> Callable[[Constructor[Own, Arguments]], Constructor[Own, Arguments]]:
    """Return a decorator of `__init__` that checks the arguments against its annotations, as a config is checked.

    Args:
        path: where a config has these settings, such as `objective`. None: the name of the object's class.
        besides: arguments that no config can hold, such as functions, which are left unchecked.
    """

    def decorate(constructor: Constructor[Own, Arguments]) -> Constructor[Own, Arguments]:
        signature = inspect.signature(constructor)
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        unchecked = {name for name, each in signature.parameters.items() if each.kind in several} | {*besides}

        @cache  # resolved at the first call: annotations may name what the module defines later
        def annotations() -> dict[str, Any]:
            return get_type_hints(constructor, include_extras=True)

        @wraps(constructor)
        def checked_constructor(self: Own, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
            for name, value in _bound(signature, self, *args, **kwargs).items():
                if name in annotations() and name not in unchecked:
                    _check_argument(f"{path or type(self).__name__}.{name}", value, annotations()[name])
            constructor(self, *args, **kwargs)

        return checked_constructor

    return decorate


def _bound(signature: inspect.Signature, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    """Return arguments by name; none where they do not fit: Python's message at the call names the class as well."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError:
        return {}


def _check_argument(path: str, value: Any, annotation: Any) -> None:
    value = _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}={value}: must be a finite number")
    try:
        check_type(path, value, annotation)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: a {type(value).__name__} is not a setting") from error


def _plain(value: Any) -> Any:
    """Return numbers of NumPy, and lists and dicts of any kind such as OmegaConf's, as Python's own; paths as text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value


def reason_of(errors: list[ErrorDetails]) -> str:
    """Return what would be right; for a union, each member's reason once; of a lone value, the list of it."""
    told = [details for details in errors if details["type"] not in IN_PYTHON]
    reasons = dict.fromkeys(_lowered(details["msg"].removeprefix("Value error, ")) for details in told)
    value = errors[0]["input"]
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    if told and is_scalar and all(details["type"] in LISTS for details in told):
        return f"{' or '.join(reasons)}, [{value}] is a list"
    return " or ".join(reasons) or str(errors[0]["msg"])


def as_json(value: Any) -> bytes:
    """Return a value as JSON to validate; bytes of a file's name that are no text stand as question marks."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _lowered(message: str) -> str:
    return message[0].lower() + message[1:]


def _adapter_config(annotation: Any) -> ConfigDict | None:
    """Allow types that pydantic does not know; a pydantic model brings its own config."""
    is_model = inspect.isclass(annotation) and hasattr(annotation, "__pydantic_core_schema__")
    return None if is_model else ConfigDict(arbitrary_types_allowed=True)

"""Check nodes with a `_target_` against the signature of the class or function that they configure.

A node may hold the parameters of its target and nothing else, with values of the annotated types: the signature is the
schema, so a new encoder or data set needs no second declaration.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from intrinsic_clip.config.reasons import of_text, suggestion
from intrinsic_clip.errors import ConfigError, joined_lines
from intrinsic_clip.typed_values import check_type


def check_node(path: str, node: Mapping[str, Any]) -> None:
    """Check the keys and types of a node against its `_target_`.

    Raises:
        ConfigError: the target cannot be imported, or does not take a key or a value.
    """
    parameters = _parameters(target_of(path, node))
    for key, value in node.items():
        if key.startswith("_"):
            continue
        if key not in parameters:
            offer = f"{short_name(node)} takes {', '.join(parameters) or 'no settings'}"
            raise ConfigError(f"{path}.{key}: unknown key{suggestion(key, parameters)}; {offer}")
        makes_object = isinstance(value, Mapping) and "_target_" in value
        if not makes_object or _is_json(parameters[key]):
            _check_value(f"{path}.{key}", value, parameters[key])


def _check_value(path: str, value: Any, annotation: Any) -> None:
    try:
        check_type(path, value, annotation)
    except ConfigError as error:
        raise ConfigError(f"{error}{of_text(path, value, str(error))}") from error


def target_nodes(path: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every node with a `_target_` at or below a node, with its dotted path."""
    if "_target_" in node:
        yield path, node
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from target_nodes(f"{path}.{key}".lstrip("."), value)


def takes(node: Mapping[str, Any], parameter: str) -> bool:
    """Return whether a node's `_target_` has a parameter that the node leaves open."""
    return parameter not in node and parameter in _parameters(_locate("", str(node["_target_"])))


def short_name(node: Mapping[str, Any]) -> str:
    """Return the name of the class or function that a node configures."""
    return str(node["_target_"]).rpartition(".")[2]


def target_of(path: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the class or function that a node configures.

    Raises:
        ConfigError: it cannot be imported.
    """
    return _locate(path, str(node["_target_"]))


def is_pretrained(encoder: Mapping[str, Any]) -> bool:
    """Return whether an encoder node is a model with weights: one to train from scratch leaves the sizes open."""
    return not encoder.get("_partial_")


def _locate(path: str, name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # importing a module may raise anything
        reason = joined_lines(error)
        package = Path(module.partition(".")[0] or name)
        is_here = isinstance(error, ModuleNotFoundError) and (
            package.with_suffix(".py").exists() or package.is_dir()
        )
        advice = "; PYTHONPATH=. has this folder searched" if is_here else ""
        raise ConfigError(f"{path}._target_: there is no {name} to import ({reason}){advice}") from error
    if not callable(target):
        raise ConfigError(f"{path}._target_: {name} is not a class or function")
    return target


def _parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """Return parameter names and annotations; of a class that passes **kwargs on, its base class's as well."""
    classes = target.__mro__[:-1] if inspect.isclass(target) else [target]
    annotations: dict[str, Any] = {}
    for cls in classes:
        function = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        if function is None:
            continue
        hints = _hints(function)
        try:
            signature = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):  # built in, and without a signature
            break
        for parameter in signature:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.name != "self":
                annotations.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return annotations


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError):  # annotations of a library that only a type checker can resolve
        return {}


def _is_json(annotation: Any) -> bool:
    """Return whether a parameter takes numbers, text, or lists and maps of them, and no object that a node makes."""
    try:
        TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return False
    return annotation is not Any

"""What a valid configuration is: checked in one place, before anything runs or is written.

A node with a `_target_` may hold the parameters of that class or function and nothing else, with values of the
annotated types: the signature is the schema, so a new encoder or data set needs no second declaration.
"""

import difflib
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import ErrorDetails

from intrinsic_clip.config.schema import DashboardConfig, LossConfig, MeasureConfig, TrainConfig
from intrinsic_clip.errors import ConfigError


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError for an unknown key, a wrong type or an impossible value in a training run's config."""
    _check_keys("", TrainConfig, config)
    _check_keys("loss", LossConfig, config["loss"])
    _check_encoder(config)
    _check_axes(config)
    for path, node in _targets("", _narrowest(config)):
        _check_node(path, node)
    _check_sizes(config)


def check_measure(config: Mapping[str, Any]) -> None:
    """The same of the config of `intrinsic-clip probe`."""
    _check_keys("", MeasureConfig, config)
    _check_source(config)
    for path, node in _targets("", config):
        _check_node(path, node)


def check_dashboard(config: Mapping[str, Any]) -> None:
    """The same of the config of `intrinsic-clip dashboard`."""
    _check_keys("", DashboardConfig, config)


def _check_keys(path: str, schema: type[BaseModel], node: Mapping[str, Any]) -> None:
    try:
        schema.model_validate_json(json.dumps(node))
    except ValidationError as error:
        raise ConfigError(_first(path, error, list(schema.model_fields))) from error


def takes(node: Mapping[str, Any], parameter: str) -> bool:
    """Whether a node's `_target_` has a parameter that the node leaves open."""
    return parameter not in node and parameter in _parameters(_locate("", str(node["_target_"])))


def _targets(path: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node with a `_target_` below, with its dotted path."""
    if "_target_" in node:
        yield path, node
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _targets(f"{path}.{key}".lstrip("."), value)


def _check_node(path: str, node: Mapping[str, Any]) -> None:
    target = _locate(path, str(node["_target_"]))
    parameters = _parameters(target)
    for key, value in node.items():
        if key.startswith("_"):
            continue
        if key not in parameters:
            raise ConfigError(
                f"{path}.{key}: unknown key{_suggest(key, parameters)}; {_offer(node, parameters)}"
            )
        if not (isinstance(value, Mapping) and "_target_" in value):
            _check_type(f"{path}.{key}", value, parameters[key])


def _locate(path: str, name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}._target_: there is no {name} to import ({error})") from error


def _parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """Parameter names and annotations; where a class passes **kwargs on, its base class's as well."""
    classes = target.__mro__[:-1] if inspect.isclass(target) else [target]
    found: dict[str, Any] = {}
    for cls in classes:
        function = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        if function is None:
            continue
        hints = _hints(function)
        signature = inspect.signature(function).parameters.values()
        for parameter in signature:
            if parameter.name != "self" and parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            ):
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError):  # annotations of a library that only a type checker can resolve
        return {}


def _check_type(path: str, value: Any, annotation: Any) -> None:
    try:
        adapter = TypeAdapter(annotation, config=_lenient(annotation))
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{path}={json.dumps(value)}: {_reason(error.errors())}") from error
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return  # a type that pydantic does not know: the class itself must check it


def _lenient(annotation: Any) -> ConfigDict | None:
    is_model = inspect.isclass(annotation) and hasattr(annotation, "__pydantic_core_schema__")
    return None if is_model else ConfigDict(arbitrary_types_allowed=True)


def _first(path: str, error: ValidationError, known: list[str]) -> str:
    details = error.errors()[0]
    key = str(details["loc"][0])  # what follows is a member of a union or a list
    name = f"{path}.{key}".lstrip(".")
    if details["type"] == "extra_forbidden":
        return (
            f"{name}: unknown key{_suggest(key, known)}; {path or 'the top level'} holds {', '.join(known)}"
        )
    return f"{name}: {_reason([other for other in error.errors() if other['loc'][0] == key])}"


def _reason(errors: list[ErrorDetails]) -> str:
    """What would be right; of a union, each member's reason once."""
    reasons = dict.fromkeys(
        _lowered(details["msg"].removeprefix("Value error, "))
        for details in errors
        if details["type"] not in ("is_instance_of", "callable_type")
    )
    return " or ".join(reasons) or str(errors[0]["msg"])


def _lowered(message: str) -> str:
    return message[0].lower() + message[1:]


def _suggest(key: str, known: Any) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _offer(node: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    return f"{str(node['_target_']).rpartition('.')[2]} takes {', '.join(parameters)}"


def is_pretrained(encoder: Mapping[str, Any]) -> bool:
    """Whether an encoder node is a model with weights: one to be trained from scratch leaves the sizes open."""
    return not encoder.get("_partial_")


def _check_encoder(config: Mapping[str, Any]) -> None:
    """That a pretrained model, which there is only once, is trained once."""
    if not is_pretrained(config["encoder"]):
        return
    if config["replicates"] is not None or isinstance(config["encoder"].get("output_dim"), list):
        heads = "; new heads on frozen towers are features=cached encoder=linear replicates=…"
        raise ConfigError(
            "encoder: a pretrained model is trained once in a run, so replicates must be null and output_dim one "
            "number; --multirun sweeps over seed=… and encoder.output_dim=…"
            + (heads if config["encoder"].get("trainable") == "heads" else "")
        )
    if config.get("features") is not None:
        raise ConfigError(
            "encoder: takes images and captions, not features of another model; leave features out"
        )


def _check_source(config: Mapping[str, Any]) -> None:
    """That there is one thing to probe, and that what is said about it belongs to it."""
    given = [key for key in ("x", "data", "run") if config[key] is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: give one of them, not {len(given)}")
    belongs = {"y": "x", "x_key": "x", "y_key": "y", "encoder": "data"}
    for key, other in belongs.items():
        if config[key] is not None and config[other] is None:
            raise ConfigError(f"{key}: goes with {other}=…, which is not given")
    if not given:
        raise ConfigError("nothing to measure: give x=FILE and perhaps y=FILE, or data=…, or run=FOLDER")
    if config["encoder"] is not None and config["encoder"].get("_partial_"):
        name = str(config["encoder"]["_target_"]).rpartition(".")[2]
        raise ConfigError(
            f"encoder: {name} has no weights before it is trained; encoder=open_clip brings some"
        )


def _check_axes(config: Mapping[str, Any]) -> None:
    """That lists of replicates and output dimensions name each once, and that each output dimension is valid."""
    lists = {"replicates": config["replicates"], "encoder.output_dim": config["encoder"].get("output_dim")}
    for path, values in lists.items():
        if isinstance(values, list) and (
            not values or len({json.dumps(value) for value in values}) < len(values)
        ):
            raise ConfigError(f"{path}={json.dumps(values)}: must name at least one, and each once")
    if isinstance(config["encoder"].get("output_dim"), list):
        for d in config["encoder"]["output_dim"]:
            _check_node("encoder", {**config["encoder"], "output_dim": d})


def _narrowest(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with one output dimension in place of a list, as the class that it configures sees it."""
    output_dim = config["encoder"].get("output_dim")
    if not isinstance(output_dim, list):
        return config
    return {**config, "encoder": {**config["encoder"], "output_dim": min(output_dim)}}


def _check_sizes(config: Mapping[str, Any]) -> None:
    """What no single key can tell: batch, neighbours and population rows against data and devices."""
    data = config["data"]
    n_train, n_append, n_test = (data.get(key) for key in ("n_train", "n_append", "n_test"))
    batch_size = data.get("batch_size")
    if n_train is not None and batch_size is not None and batch_size > n_train:
        raise ConfigError(f"data.batch_size={batch_size}: must not exceed data.n_train={n_train}")
    if n_append == 0 and "Population" in config["loss"]["similarity"]["_target_"]:
        raise ConfigError(
            "data.n_append=0: the population norm needs at least 1 row (or loss/similarity=cosine)"
        )
    if config["trainer"].get("max_epochs") == 0:
        raise ConfigError("trainer.max_epochs=0: must be at least 1")
    devices = config["trainer"].get("devices")
    if isinstance(devices, int) and devices > 1 and batch_size is not None and batch_size % devices:
        raise ConfigError(
            f"data.batch_size={batch_size}: must be a multiple of the {devices} processes (trainer.devices)"
        )
    for path, probe in _targets("probes", config["probes"]):
        counts = {"k": [probe.get("k")], "ks": probe.get("ks", [])}
        for key, values in counts.items():
            for k in values:
                if k is not None and n_test is not None and k >= n_test:
                    raise ConfigError(
                        f"{path}.{key}={k}: must be less than the {n_test} test rows (data.n_test)"
                    )

"""Check a whole config before anything runs or is written."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from intrinsic_clip.config.nodes import check_node, is_pretrained, short_name, target_nodes, target_of
from intrinsic_clip.config.objective import (
    check_objective,
    check_output_dims,
    check_parts,
    parts_of,
    with_parts_apart,
)
from intrinsic_clip.config.reasons import first_reason
from intrinsic_clip.config.schema import (
    ApplyConfig,
    DashboardConfig,
    MeasureConfig,
    RegularisationConfig,
    SharedConfig,
    TrainConfig,
)
from intrinsic_clip.config.trainer import check_trainer
from intrinsic_clip.config.values import check_values
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import as_json


def check_top(config: Mapping[str, Any]) -> None:
    """Check the top level of the resolved config of a training run, which needs no import of its classes.

    Raises:
        ConfigError: as of `check`.
    """
    check_values("", config)
    _check_keys("", TrainConfig, config)
    check_parts(config["objective"])
    if config.get("regularisation") is not None:
        _check_keys("regularisation", RegularisationConfig, config["regularisation"])
    _check_axes(config)


def check(config: Mapping[str, Any]) -> None:
    """Check the resolved config of a training run.

    Raises:
        ConfigError: a key is unknown, a value has a wrong type or is impossible, or two settings contradict each other.
    """
    check_top(config)
    _check_targets(config)
    _check_pretrained(config)
    for path, node in target_nodes("", with_parts_apart(_narrowest(config))):
        check_node(path, node)
    _check_metrics_file(config["logger"])
    check_objective(config["objective"])
    check_output_dims(config["objective"], config["encoder"].get("output_dim"))
    _check_output_dims(config)
    check_trainer(config["trainer"])
    _check_sizes(config)
    _check_validation(config)
    _check_neighbours(config)


def check_measure(config: Mapping[str, Any]) -> None:
    """Check the resolved config of `intrinsic-clip measure`.

    Raises:
        ConfigError: as of `check`.
    """
    check_values("", config)
    _check_keys("", MeasureConfig, config)
    _check_source(config)
    _check_groups(config)
    for key in ("export_dims", "export_basis", "export_whiten"):
        if config[key] and config["export"] is None:
            raise ConfigError(f"{key}: needs export=FILE, which is missing")
    belongs = {
        "check_junit": "check",
        "check_json": "check",
        "against": "x",
        "against_y": "against",
        "against_key": "against",
        "against_y_key": "against_y",
    }
    for key, other in belongs.items():
        if config[key] is not None and config[other] is None:
            raise ConfigError(f"{key}: needs {other}=FILE, which is missing")
    if config["against_y"] is not None and config["y"] is None:
        raise ConfigError("against_y: needs y=FILE, which is missing: both models are paired, or none")
    for path, node in target_nodes("", config):
        check_node(path, node)


def _check_groups(config: Mapping[str, Any]) -> None:
    """Check that groups and classes are given for rows of files."""
    for key, other in (("groups", "y"), ("labels", "x")):
        if config[key] is not None and config[other] is None:
            raise ConfigError(f"{key}: needs {other}=FILE, which is missing")
        if config[f"{key}_key"] is not None and config[key] is None:
            raise ConfigError(f"{key}_key: needs {key}=FILE, which is missing")
    if isinstance(config["groups"], list) and len(config["groups"]) != 2:
        raise ConfigError("groups: must be one file or column, or two files: [ids of x, ids of y]")


def check_shared(config: Mapping[str, Any]) -> None:
    """Check the resolved config of `intrinsic-clip shared`.

    Raises:
        ConfigError: as of `check`.
    """
    check_values("", config)
    _check_keys("", SharedConfig, config)
    if all(config[key] is None for key in ("x", "y", "data", "run")):
        raise ConfigError("nothing to compare: give x=FILE y=FILE, or data=…, or run=FOLDER")
    if config["run"] is not None and config["data"] is not None:
        raise ConfigError("data and run: give one of them; a run reads its own data, or x=FILE y=FILE")
    if config["run"] is None or config["x"] is not None or config["y"] is not None:
        _check_source({**config, "run": None})
    elif config["encoder"] is not None:
        raise ConfigError("encoder: needs data=…, which is missing; a run has encoders of its own")
    if config["x"] is not None and config["y"] is None:
        raise ConfigError("x: needs y=…, its partners, which is missing")
    for path, node in target_nodes("", config):
        check_node(path, node)


def check_apply(config: Mapping[str, Any]) -> None:
    """Check the resolved config of `intrinsic-clip apply`.

    Raises:
        ConfigError: as of `check`.
    """
    check_values("", config)
    _check_keys("", ApplyConfig, config)
    if config["projection"] is None:
        raise ConfigError("no projection: give the file that `intrinsic-clip measure … export=FILE` wrote")
    if config["x"] is None and config["y"] is None:
        raise ConfigError("nothing to reduce: give x=FILE output=FILE, or y=FILE output_y=FILE, or all four")
    for side, output in (("x", "output"), ("y", "output_y")):
        if (config[side] is None) != (config[output] is None):
            key, other = (side, output) if config[output] is None else (output, side)
            raise ConfigError(f"{key}: needs {other}=…, which is missing")
        if config[f"{side}_key"] is not None and config[side] is None:
            raise ConfigError(f"{side}_key: needs {side}=…, which is missing")


def check_dashboard(config: Mapping[str, Any]) -> None:
    """Check the resolved config of `intrinsic-clip dashboard`.

    Raises:
        ConfigError: as of `check`.
    """
    check_values("", config)
    _check_keys("", DashboardConfig, config)


def _check_keys(path: str, schema: type[BaseModel], node: Mapping[str, Any]) -> None:
    try:
        schema.model_validate_json(as_json(node))
    except ValidationError as error:
        raise ConfigError(first_reason(path, error, list(schema.model_fields))) from error


def _check_targets(config: Mapping[str, Any]) -> None:
    """Require a class in every node that makes an object, and nothing but such nodes among probes and loggers."""
    required = {key: config[key] for key in ("data", "encoder", "objective", "optimizer", "trainer")}
    required |= parts_of(config["objective"])
    required |= {key: config[key] for key in ("features", "schedule") if config.get(key) is not None}
    for group in ("probes", "logger"):
        for key, node in config[group].items():
            if isinstance(node, Mapping):
                required[f"{group}.{key}"] = node
            elif node is not None and (group, key) != ("probes", "every_n_epochs"):
                raise ConfigError(
                    f"{group}.{key}={json.dumps(node)}: must be settings with a _target_, or null"
                )
    for path, node in required.items():
        if not isinstance(node.get("_target_"), str):
            raise ConfigError(f"{path}._target_: is missing; {path} must name the class that it configures")


def _check_metrics_file(loggers: Mapping[str, Any]) -> None:
    """Require the logger of metrics.csv, from which a run draws its picture and with which it resumes."""
    nodes = [node for node in loggers.values() if isinstance(node, Mapping)]
    classes = [getattr(target_of("logger", node), "__mro__", ()) for node in nodes]
    if not any(cls.__name__ == "MetricsFile" for bases in classes for cls in bases):
        raise ConfigError(
            "logger.metrics: must stay, since a run draws its picture from metrics.csv and resumes with it; "
            "logger=csv writes nothing else"
        )


def _check_pretrained(config: Mapping[str, Any]) -> None:
    """Require that a pretrained model is trained once, on images and captions."""
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
    """Require exactly one input and only the options that apply to it."""
    sources = [key for key in ("x", "data", "run") if config[key] is not None]
    if len(sources) > 1:
        raise ConfigError(f"{' and '.join(sources)}: give one of them, not {len(sources)}")
    belongs = {"y": "x", "x_key": "x", "y_key": "y", "columns": "x", "drop": "x", "encoder": "data"}
    for key, other in belongs.items():
        if config[key] is not None and config[other] is None:
            raise ConfigError(f"{key}: needs {other}=…, which is missing")
    if not sources:
        raise ConfigError("nothing to measure: give x=FILE and perhaps y=FILE, or data=…, or run=FOLDER")
    if config["encoder"] is not None and not is_pretrained(config["encoder"]):
        raise ConfigError(
            f"encoder: {short_name(config['encoder'])} has no weights before it is trained; "
            "encoder=open_clip has some"
        )


def _check_axes(config: Mapping[str, Any]) -> None:
    """Require that lists of replicates and output dimensions name each once, and each output dimension to be valid."""
    output_dim = config["encoder"].get("output_dim")
    for path, values in {"replicates": config["replicates"], "encoder.output_dim": output_dim}.items():
        if isinstance(values, list) and (
            not values or len({json.dumps(value) for value in values}) < len(values)
        ):
            raise ConfigError(f"{path}={json.dumps(values)}: must name at least one, and each once")


def _check_output_dims(config: Mapping[str, Any]) -> None:
    """Require that the encoder takes each of a list of output dimensions."""
    output_dim = config["encoder"].get("output_dim")
    for d in output_dim if isinstance(output_dim, list) else ():
        check_node("encoder", {**config["encoder"], "output_dim": d})


def _narrowest(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config with one output dimension in place of a list, as the encoder's class takes it."""
    output_dim = config["encoder"].get("output_dim")
    if not isinstance(output_dim, list):
        return config
    return {**config, "encoder": {**config["encoder"], "output_dim": min(output_dim)}}


def _check_sizes(config: Mapping[str, Any]) -> None:
    """Compare batch, population rows and devices with the data."""
    data, trainer = config["data"], config["trainer"]
    n_train, batch_size = data.get("n_train"), data.get("batch_size")
    if n_train is not None and batch_size is not None and batch_size > n_train:
        raise ConfigError(f"data.batch_size={batch_size}: must not exceed data.n_train={n_train}")
    if data.get("n_append") == 0 and "Population" in short_name(config["objective"]["similarity"]):
        raise ConfigError(
            "data.n_append=0: the population norm needs at least 1 row (or objective/similarity=cosine)"
        )
    if isinstance(batch_size, int) and batch_size < 2:
        raise ConfigError(
            f"data.batch_size={batch_size}: must be at least 2, so that a pair differs from another"
        )
    devices = trainer.get("devices")
    if isinstance(devices, int) and devices > 1 and batch_size is not None and batch_size % devices:
        raise ConfigError(
            f"data.batch_size={batch_size}: must be a multiple of the {devices} processes (trainer.devices)"
        )


def _check_validation(config: Mapping[str, Any]) -> None:
    """Require append rows that are held out where weights are chosen by their loss."""
    if (config.get("regularisation") or {}).get("validate_every_n_epochs") is None:
        return
    similarity = config["objective"]["similarity"]
    if "Population" in short_name(similarity) and similarity.get("over", "append") == "append":
        raise ConfigError(
            "regularisation.validate_every_n_epochs: validates on the append rows, which take part in training with "
            "this objective/similarity; choose batch, renewed, moving_average or cosine, or null"
        )
    if (config["data"].get("n_append") or 0) < 2:
        raise ConfigError(
            f"data.n_append={config['data'].get('n_append')}: validation needs at least 2 rows "
            "(or regularisation.validate_every_n_epochs=null)"
        )


def _check_neighbours(config: Mapping[str, Any]) -> None:
    """Require fewer neighbours than there are test rows."""
    n_test = config["data"].get("n_test")
    if n_test is None:
        return
    for path, probe in target_nodes("probes", config["probes"]):
        counts = {"k": [probe.get("k")], "ks": probe.get("ks", [])}
        for key, values in counts.items():
            for k in values:
                if k is not None and k >= n_test:
                    raise ConfigError(
                        f"{path}.{key}={k}: must be less than the {n_test} test rows (data.n_test)"
                    )

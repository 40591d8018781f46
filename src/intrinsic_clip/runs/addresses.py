"""Address a run by its content: a hash of the settings and files that can change its numbers, and of nothing else.

Code is not hashed: a class stands for what it does by its name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from intrinsic_clip.config.paths import is_path
from intrinsic_clip.runs.contents import digest, named_contents

# Settings that may differ between two starts of the same run: where it writes, what it shows, how it is computed.
NOT_CONTENT = {
    "output_dir", "logger", "threads", "kernel", "compile", "cuda_graph", "replicates_per_chunk",
    "checkpoint_seconds", "progress", "recipe",
}  # fmt: skip
CAME_LATER = {"shuffle": False}  # earlier runs, which lack the setting, keep their address
HARDWARE = {"accelerator", "devices", "num_nodes", "strategy"}
# Of this package's own classes: such a key of another class may mean anything.
STORAGE = {"folder", "batch_size", "device"}  # of cached features
DATA_STORAGE = {"features_folder", "features_device"}  # of cached features of a source's texts
PLAIN_INFONCE = {"label_smoothing": 0.0}
BLOCKS = {"chunk", "local_block"}  # of the logits: how much is computed at a time and where
# Settings that are floats in every class of this package and of PyTorch's optimizers that conf/ names: there 1 and 1.0
# are one setting. By name, since a class says what it takes only once it is imported, with PyTorch.
FLOATS = {
    "alignment", "alphas", "base_momentum", "beta", "betas", "bias", "clip", "colour", "covariance", "crop_scale",
    "decorrelation", "div_factor", "end", "eps", "epsilon", "eta_min", "exponent", "factor", "final_div_factor",
    "frequency", "initial", "invariance", "inverse_temperature", "limit_gb", "lr", "margin", "max_bad", "max_lr",
    "max_momentum", "maximum", "minimum", "mu", "noise", "noise_y", "pct_start", "redundancy", "regularisation", "rho",
    "scale", "sharpness", "start", "tau", "timeout", "turn", "uniformity", "variance", "weight_decay",
}  # fmt: skip
OPTIMIZERS = "torch.optim."
READING = ("data", "features", "encoder")  # nodes whose settings may name files
PACKAGE = "intrinsic_clip."
# Settings that name no file, although they are called as one of another class that does.
NO_FILES = {"CiteSeq": {"labels"}, "Digits": {"x", "y"}, "Verses": {"x", "y"}, "Yfcc": {"captions"}}
COLUMNS = {
    "columns",
    "drop",
}  # of a user's class: names of columns, as are settings that end with _key or _keys


class Owner(NamedTuple):
    """The class that a setting is an argument of, by its stable name, and the node that configures it."""

    name: str
    node: str


def run_folder(config: Mapping[str, Any]) -> Path:
    """Return `<output_dir>/<name>/<hash>` of a resolved config."""
    return Path(config["output_dir"]) / config["name"] / fingerprint(config)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Return twelve hexadecimal digits that stand for a resolved config and the contents of the files it names.

    A whole number counts as a float where a setting is one: `noise=0` and `noise=0.0` are one run.

    Raises:
        ConfigError: such a file cannot be read.
    """
    content = content_of(with_floats(config))
    excluded = Path(config["output_dir"])
    for node in READING:
        if content.get(node):
            content[node] = with_contents(content[node], node, excluded)
    return digest(content)


def content_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a resolved config that can change the numbers, classes by name."""
    content = {
        key: value
        for key, value in config.items()
        if key not in NOT_CONTENT and not (key in CAME_LATER and value == CAME_LATER[key])
    }
    content["trainer"] = {key: value for key, value in config["trainer"].items() if key not in HARDWARE}
    if content.get("features"):
        content["features"] = _without(STORAGE, content["features"])
    if content.get("data"):
        content["data"] = without_storage(content["data"])
    content["loss"] = objective_content(content.pop("objective"))
    return without_places(content)


def objective_content(objective: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an objective that can change the numbers, as earlier runs had them.

    Those knew InfoNCE alone, without a class or options, and called the objective the loss.
    """
    content = _without(BLOCKS, objective)
    if target_name(str(content.get("_target_"))) != "InfoNCE":
        return content
    return {
        key: value for key, value in content.items() if key != "_target_" and PLAIN_INFONCE.get(key) != value
    }


def without_storage(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a source without those that say where its features are computed and kept."""
    return _without(DATA_STORAGE, data)


def with_floats(value: Any) -> Any:
    """Return settings in which whole numbers are floats wherever FLOATS says so of a class."""
    if isinstance(value, list):
        return [with_floats(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    known = str(value.get("_target_")).startswith((PACKAGE, OPTIMIZERS))
    return {
        key: _as_float(part) if known and key in FLOATS else with_floats(part) for key, part in value.items()
    }


def _as_float(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_float(part) for part in value]
    return float(value) if type(value) is int else value


def _without(keys: set[str], node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node without some settings, if it is of a class of this package."""
    return {key: value for key, value in node.items() if not (is_ours(node) and key in keys)}


def is_ours(node: Mapping[str, Any]) -> bool:
    """Return whether a node is of a class of this package, or of a time that named none."""
    return str(node.get("_target_", PACKAGE)).startswith(PACKAGE)


def without_places(value: Any) -> Any:
    """Return settings with each `_target_` of this package by its own name, wherever in the package it lives.

    Names are unique in the package. A target from elsewhere keeps its full path.
    """
    if isinstance(value, Mapping):
        return {
            key: target_name(part) if key == "_target_" else without_places(part)
            for key, part in value.items()
        }
    return [without_places(part) for part in value] if isinstance(value, list) else value


def target_name(target: str) -> str:
    """Return the stable name of a class or function: `SyntheticLinear` if it is ours, else `torch.optim.Adam`."""
    return target.rpartition(".")[2] if target.startswith(PACKAGE) else target


def with_contents(value: Any, setting: str, excluded: Path | None = None, owner: Owner | None = None) -> Any:
    """Return settings in which files, folders and patterns of files are replaced by a digest of their contents.

    Names of arrays, columns and models stay, whatever in the working directory is called so.

    Args:
        value: a node, or a value in one.
        setting: its dotted name, for the message of an error.
        excluded: a folder that is not part of any contents, such as the one that runs write to.
        owner: the class that takes it; None: that of the node.

    Raises:
        ConfigError: a file cannot be read.
    """
    if isinstance(value, Mapping):
        if "_target_" in value:
            owner = Owner(target_name(str(value["_target_"])), setting)
        return {
            key: part
            if str(key).startswith("_")
            else with_contents(part, f"{setting}.{key}", excluded, owner)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [with_contents(part, setting, excluded, owner) for part in value]
    if not isinstance(value, str) or not may_name_files(setting, owner):
        return value
    contents = named_contents(setting, value, excluded)
    return value if contents is None else {"contents": contents}


def may_name_files(setting: str, owner: Owner | None) -> bool:
    """Return whether a setting, by its dotted name, may name files.

    Those of the package's own classes are known. Of a user's class only those are no files that are called as columns
    and keys are here: what it reads must count, even where nothing says so.
    """
    if owner is None:
        return True
    group, key = setting.partition(".")[0], setting.removeprefix(f"{owner.node}.")
    argument = key.partition(".")[0]
    if "." in owner.name:
        return argument not in COLUMNS and not argument.endswith(("_key", "_keys"))
    return is_path(f"{group}.{key}") and argument not in NO_FILES.get(owner.name, ())

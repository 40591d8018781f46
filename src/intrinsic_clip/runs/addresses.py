"""Address a run by its content: a hash of everything that can change its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrinsic_clip.runs.hashing import digest

# What may differ between two starts of the same run: where it writes, what it shows, the machine it runs on.
NOT_CONTENT = {"output_dir", "logger", "threads", "compile", "memory_gb", "checkpoint_seconds", "progress"}


HARDWARE = {"accelerator", "devices", "num_nodes", "strategy"}


STORAGE = {"folder", "batch_size", "device"}  # of cached features


BLOCKS = {"chunk", "local_block"}  # of the logits: what is computed at a time and where, not what


def run_folder(config: Mapping[str, Any]) -> Path:
    """`<output_dir>/<name>/<hash>`; the hash is of everything that can change the numbers."""
    return Path(config["output_dir"]) / config["name"] / fingerprint(config)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that stand for a resolved config without paths, logger and hardware."""
    return digest(content_of(config))


def content_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resolved config can change the numbers."""
    content = {key: value for key, value in config.items() if key not in NOT_CONTENT}
    content["trainer"] = {key: value for key, value in config["trainer"].items() if key not in HARDWARE}
    if content.get("features"):
        content["features"] = {key: v for key, v in content["features"].items() if key not in STORAGE}
    content["loss"] = {key: value for key, value in config["loss"].items() if key not in BLOCKS}
    return content

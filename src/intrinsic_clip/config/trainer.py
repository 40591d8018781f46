"""Check the settings of Lightning's trainer that it would accept and this project cannot use."""

from collections.abc import Mapping
from os import cpu_count
from typing import Any

from intrinsic_clip.errors import ConfigError

SET_BY_US = {
    "logger": "logger=… chooses it",
    "callbacks": "probes=… adds probes",
    "plugins": "checkpoints are written by one",
    "enable_progress_bar": "progress=false hides it",
    "enable_model_summary": "there is none",
    "enable_checkpointing": "checkpoint_seconds=… sets how often one is written",
    "default_root_dir": "output_dir=… sets it",
}
OWN_STEPS = "the module takes its own steps"
NOT_OFFERED = {  # with the values that change nothing, and the reason
    "accumulate_grad_batches": ((None, 1), OWN_STEPS),
    "gradient_clip_val": ((None, 0), OWN_STEPS),
    "gradient_clip_algorithm": ((None,), OWN_STEPS),
    "fast_dev_run": ((None, False), "size=smoke is the quick trial"),
    "barebones": ((None, False), OWN_STEPS),
    "limit_test_batches": ((None, 1), "the probes measure all test rows at once"),
    "val_check_interval": (
        (None, 1),
        "nothing is validated; every_n_epochs of a probe sets when it measures",
    ),
}
PRECISIONS = (None, 32, "32", "32-true", 16, "16", "16-mixed", "bf16", "bf16-mixed")  # mixed for short
ENDLESS = ("max_steps", "max_time")


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Check the node `trainer`.

    Raises:
        ConfigError: a setting is ours to make, cannot take effect, or makes a training without beginning or end.
    """
    for key, instead in SET_BY_US.items():
        if key in trainer:
            raise ConfigError(f"trainer.{key}: is set by intrinsic-clip; {instead}")
    for key, (neutral, reason) in NOT_OFFERED.items():
        if trainer.get(key) not in neutral:
            raise ConfigError(f"trainer.{key}={trainer[key]}: is not offered; {reason}")
    if trainer.get("precision") not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision={trainer['precision']}: must be 32-true, bf16-mixed or 16-mixed; data, logits and τ "
            "are float32"
        )
    _check_length(trainer)
    devices = trainer.get("devices")
    processes = max(cpu_count() or 1, 8)
    if trainer.get("accelerator") == "cpu" and isinstance(devices, int) and devices > processes:
        raise ConfigError(f"trainer.devices={devices}: must be at most {processes} processes on this machine")


def _check_length(trainer: Mapping[str, Any]) -> None:
    bounded = any(trainer.get(key) not in (None, -1) for key in ENDLESS)
    epochs = trainer.get("max_epochs")
    if epochs == 0 or (isinstance(epochs, int) and epochs < -1):
        raise ConfigError(f"trainer.max_epochs={epochs}: must be at least 1")
    if epochs == -1 and not bounded:
        raise ConfigError(
            "trainer.max_epochs=-1: never ends without max_steps or max_time; must be at least 1"
        )
    for key in ("limit_train_batches", "overfit_batches", "max_steps"):
        value = trainer.get(key)
        if key != "overfit_batches" and value == 0 and value is not False:
            raise ConfigError(f"trainer.{key}={value}: would train nothing")

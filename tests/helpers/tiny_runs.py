"""Small runs that the tests share, and functions to compare their files and results."""

import json
import os
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

from soak.warm_children import Ended, Started, child, command_line, started, warm_up

TINY = [
    "data.n_train=512",
    "data.n_append=64",
    "data.n_test=100",
    "data.batch_size=64",
    "encoder.output_dim=6",
    "optimizer.lr=1e-3",
    "trainer.max_epochs=6",
    "probes.every_n_epochs=2",
    "logger=csv",
    "progress=false",
    "checkpoint_seconds=0",
    "threads=1",
]
LONGER = [*TINY, "trainer.max_epochs=60", "probes.every_n_epochs=7"]  # a second or two: time to kill it


def start(folder: Path, *overrides: str) -> Started:
    """Start `intrinsic-clip train` in a child of this process."""
    warm_up()
    return started(folder, lambda: command_line(["train", *overrides]))


def struck(folder: Path, step: int, blow: signal.Signals, *overrides: str) -> Ended:
    """Run `intrinsic-clip train` in a child that gets a signal in a training step; the first is 0."""

    def work() -> None:
        from intrinsic_clip.training.module import ContrastiveModule

        losses, steps = ContrastiveModule._losses, count()

        def losses_under_fire(*arguments: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), blow)
            return losses(*arguments)

        ContrastiveModule._losses = losses_under_fire
        command_line(["train", *overrides])

    warm_up()
    return child(folder, work)


def wait_for(folder: Path, pattern: str) -> Path:
    """Wait for a file that matches the pattern, and return it."""
    for _ in range(1200):
        path = next(folder.glob(pattern), None)
        if path:
            return path
        time.sleep(0.05)
    raise AssertionError(f"{pattern} did not appear")


def files_below(folder: Path) -> list[str]:
    """Return the relative paths of all files, for tests that nothing was written."""
    return sorted(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)


def without_time(results: dict[str, Any]) -> dict[str, Any]:
    """Return results without the parts that may differ between two runs of the same config."""
    return {key: value for key, value in results.items() if key not in ("timings", "versions")}


def tiny_open_clip(folder: Path, **text: Any) -> None:
    """Write a folder as open_clip pushes it to the hub, with a model small enough for tests."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    text = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1} | text
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    towers = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers, "preprocess_cfg": {}}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(open_clip.CLIP(**towers).state_dict(), folder / "open_clip_model.safetensors")

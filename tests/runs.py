"""Small runs that the tests share, and how to compare what they leave."""

import os
from pathlib import Path
from typing import Any

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


def files_below(folder: Path) -> list[str]:
    """Relative paths of all files, for a test that nothing was written."""
    return sorted(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)


def without_time(results: dict[str, Any]) -> dict[str, Any]:
    """Results without what may differ between two runs of the same config."""
    return {key: value for key, value in results.items() if key not in ("timings", "versions")}

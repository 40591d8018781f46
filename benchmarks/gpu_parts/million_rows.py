"""Measure a million pairs of 768 numbers, which lie on the disk in half precision, with `intrinsic-clip measure`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from gpu_parts.record import Record
from gpu_parts.settings import Settings

BLOCK = 50_000
SHARED, OWN = 12, 4  # latent coordinates that both sides share, and that each has for itself


def run(settings: Settings, record: Record, ends: float) -> None:
    """Write the rows, and measure them on the device; where that fails on the CPU, as far as the time goes."""
    n, d = settings.size(1_000_000, 1200), settings.size(768, 24)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        _write(folder, n, d, settings.device)
        record.add("written", rows=n, columns=d, seconds=time.monotonic() - started)
        on_device = settings.device == "cuda" and _measured(folder, record, ends, ["device=cuda"])
        if not on_device and time.monotonic() < ends - 8:
            _measured(folder, record, ends, [])


def _write(folder: Path, n: int, d: int, device: str) -> None:
    """Write x.npy and y.npy, made block by block on the device."""
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    maps = [draw(SHARED + OWN, d) / (SHARED + OWN) ** 0.5 for _ in range(2)]
    sides = [np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float16, (n, d)) for side in "xy"]
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        shared = draw(count, SHARED)
        for side, map_ in zip(sides, maps, strict=True):
            rows = torch.cat([shared, draw(count, OWN)], 1) @ map_ + 0.01 * draw(count, d)
            side[start : start + count] = rows.half().cpu().numpy()


def _measured(folder: Path, record: Record, ends: float, more: list[str]) -> bool:
    """Run the verb, and keep its time and its last lines; return whether it ended well."""
    command = [
        sys.executable, "-m", "intrinsic_clip", "measure", f"x={folder / 'x.npy'}", f"y={folder / 'y.npy'}",
        f"output_dir={folder}", "progress=false", "estimators=[mle,twonn]", *more,
    ]  # fmt: skip
    started, left = time.monotonic(), max(5.0, ends - time.monotonic() - 3)
    name = " ".join(["measure", *more])
    try:
        completed = subprocess.run(command, capture_output=True, text=True, timeout=left)
    except subprocess.TimeoutExpired:
        record.add(name, reason=f"not done after {left:.0f} s")
        return False
    if completed.returncode:
        lines = (completed.stderr or completed.stdout).strip().splitlines() or [""]
        record.add(name, reason=lines[-1][:300])
        return False
    seconds = time.monotonic() - started
    measured = json.loads(next(folder.glob("measure/*/measure.json")).read_bytes())["metrics"]
    kept = {
        key: value
        for key, value in measured.items()
        if key.startswith(("id/", "id_standard", "retrieval/top_1/"))
    }
    record.add(name, seconds=seconds, **kept)
    return True

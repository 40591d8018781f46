"""Train SmallClip in two processes, with a probe whose source fails in one of them; write what rank 0 measured."""

import json
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from helpers.foreign_module import BATCH, N_VAL, SmallClip, loader, rows, trainer
from helpers.lightning_name import DDPStrategy
from intrinsic_clip.probes import AlignmentProbe, IntrinsicDimensionProbe, by_module


def embed(module, batch):
    return module.embed(batch)


def fails_in_one(module, batch):
    if module.global_rank == 1:
        raise RuntimeError("only here")
    return module.embed(batch)


def measure_as_one_of_two(file: Path) -> None:
    """Validate and train as one of two processes; write what rank 0 measured."""
    failing = AlignmentProbe(fails_in_one, prefix="failing/")
    probes = [IntrinsicDimensionProbe(embed), AlignmentProbe(by_module("image", "text")), failing]
    ddp = trainer(*probes, devices=2, strategy=DDPStrategy(process_group_backend="gloo"))
    ddp.validate(SmallClip(), loader("val"), verbose=False)
    metrics = {name: float(value) for probe in probes[:2] for name, value in probe.latest.items()}
    logged = {name: float(ddp.callback_metrics[name]) for name in metrics}
    assert logged == pytest.approx(metrics, rel=1e-5), "a process did not receive the numbers"
    uneven = DataLoader(
        rows(N_VAL + 1, 1), batch_size=BATCH
    )  # the sampler gives the other process a row twice
    (results,) = ddp.validate(SmallClip(), uneven, verbose=False)
    uneven_alignment = results["alignment/cosine"]
    ddp.fit(SmallClip(), loader("train"), loader("val"))
    if ddp.is_global_zero:
        metrics["uneven"] = uneven_alignment
        metrics["failed"] = failing.reasons["failing/alignment/cosine"]
        file.write_text(json.dumps(metrics))

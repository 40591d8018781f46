"""Evaluate with the Trainer of Hugging Face in two processes, one of which may have no rows of its own."""

import json
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

ONLY = ["uniformity", "alignment", "matching/top_1"]


class Pair(nn.Module):
    """Two linear encoders, whose outputs predictions lack."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f, self.g = nn.Linear(6, 4), nn.Linear(5, 4)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the loss alone."""
        return {"loss": (self.f(x) - self.g(y)).square().mean()}


def rows(n: int) -> tuple[Tensor, Tensor]:
    """Return pairs of rows."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 6, generator=generator), torch.randn(n, 5, generator=generator)


def evaluate_as_one_of_two(folder: Path, n: int) -> None:
    """Evaluate n pairs in batches of 8 for each process; write what this process gets."""
    from transformers import Trainer, TrainingArguments

    from intrinsic_clip.integrations.hugging_face import DimensionCallback

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x, y = rows(n)
    pairs = [{"x": x[i], "y": y[i]} for i in range(n)]
    arguments = TrainingArguments(
        str(folder / "trainer"),
        use_cpu=True,
        report_to="none",
        per_device_eval_batch_size=8,
        disable_tqdm=True,
    )
    trainer = Trainer(Pair(), arguments, eval_dataset=pairs)
    DimensionCallback("f", "g", only=ONLY).attach(trainer)
    metrics = trainer.evaluate()
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(metrics))

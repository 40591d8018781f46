"""The loss and all gradients of a training's first step, computed by one or several processes."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticNonlinear
from intrinsic_clip.loss.similarity import CosineSimilarity, MovingAverageSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import LearnedTemperature
from intrinsic_clip.training.module import ContrastiveModule

SIZES = {"n_train": 32, "n_append": 24, "n_test": 10, "batch_size": 32, "d_x": 12, "d_y": 9}  # one batch
SIMILARITIES = {
    "population": PopulationSimilarity,
    "population of some": partial(PopulationSimilarity, rows=10),
    "batch": partial(PopulationSimilarity, over="batch"),
    "renewed": partial(PopulationSimilarity, over="renewed"),
    "moving average": MovingAverageSimilarity,
    "cosine": CosineSimilarity,
}
FORMS: dict[str, dict[str, Any]] = {
    "whole": {},
    "whole in chunks": {"chunk": 5},
    "local block": {"local_block": True},
    "local block in chunks": {"local_block": True, "chunk": 3},
}


class _Gradients(Callback):
    """Keep the gradient of every parameter, and the loss."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        for name, parameter in pl_module.named_parameters():
            assert parameter.grad is not None
            self.tensors[name] = parameter.grad.clone()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.tensors["loss"] = outputs["losses"][0]


def first_step(processes: int, similarity: str, form: str) -> dict[str, Tensor]:
    """Return the loss, as `loss`, and the gradient of each parameter by its name."""
    torch.manual_seed(0)
    module = ContrastiveModule(
        encoders.mlp(12, 7),
        encoders.mlp(9, 7),
        SIMILARITIES[similarity](),
        LearnedTemperature(),
        partial(torch.optim.SGD, lr=0.0),
        **FORMS[form],
    )
    gradients = _Gradients()
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        max_steps=1,
        callbacks=[gradients],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=SyntheticNonlinear(**SIZES))
    return gradients.tensors


def every_case(processes: int, file: Path) -> None:
    """Run every case as one of so many processes, and save the results of rank 0."""
    torch.set_num_threads(1)
    results = {
        similarity: {form: first_step(processes, similarity, form) for form in FORMS}
        for similarity in SIMILARITIES
    }
    if torch.distributed.get_rank() == 0:
        torch.save(results, file)

"""Small CLIP as a LightningModule that does not depend on this package, with its data and trainer."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from helpers.lightning_name import LightningModule, Trainer

N_TRAIN, N_VAL, BATCH = 160, 128, 32


class SmallClip(LightningModule):
    """CLIP that encodes 12 and 9 columns, which share 3 dimensions, into 6."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 6))
        self.text = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 6))
        self.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.embedded = 0

    def embed(self, batch: list[Tensor]) -> tuple[Tensor, Tensor]:
        self.embedded += 1
        return self.image(batch[0]), self.text(batch[1])

    def step(self, batch: list[Tensor]) -> dict[str, Tensor]:
        x, y = (nn.functional.normalize(rows, dim=-1) for rows in (self.image(batch[0]), self.text(batch[1])))
        logits = x @ y.T * self.logit_scale.exp()
        loss = nn.functional.cross_entropy(logits, torch.arange(len(x), device=self.device))
        return {"loss": loss, "images": x, "texts": y, "classes": batch[2]}

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self.step(batch)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        outputs = self.step(batch)
        self.log("val_loss", outputs["loss"], sync_dist=True)
        return outputs

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class WithoutValidation(SmallClip):
    """SmallClip without a validation loop."""

    validation_step = None


def rows(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 3, generator=generator)
    x, y = (torch.cat([z, torch.randn(n, d, generator=generator)], 1) for d in (9, 6))
    return TensorDataset(x, y, (z[:, 0] > 0).long())


def loader(split: str) -> DataLoader:
    n, seed = (N_TRAIN, 0) if split == "train" else (N_VAL, 1)
    return DataLoader(rows(n, seed), batch_size=BATCH)


def trainer(*callbacks, epochs: int = 2, **options) -> Trainer:
    options = {"accelerator": "cpu", "devices": 1, "logger": False} | options
    return Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )

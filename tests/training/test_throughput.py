"""Pairs per second: the steps of an epoch, by a clock that the test moves."""

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from intrinsic_clip.data.synthetic import SyntheticLinear
from intrinsic_clip.training.chunks import _overall_rate
from intrinsic_clip.training.throughput import Throughput
from intrinsic_clip.training.train import train


class Steps(LightningModule):
    """Steps of half a second, but of a hundred seconds in the first epoch."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock, self.layer = clock, torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx) -> None:
        n = 1 if isinstance(batch, torch.Tensor) else len(batch)
        self.clock[0] += n * (0.5 if self.current_epoch else 100)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Evaluation(Callback):
    def on_train_epoch_end(self, trainer, module) -> None:
        module.clock[0] += 1000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("in_memory", [True, False])
def test_neither_evaluation_nor_the_first_epoch_counts(in_memory) -> None:
    clock = [0.0]
    throughput = Throughput(batch_size=8, replicates=3, clock=lambda: clock[0])
    data = SyntheticLinear(n_train=32, n_append=1, n_test=4, batch_size=8, seed=0)
    loader = data.train_dataloader() if in_memory else DataLoader(torch.zeros(32, 1), batch_size=8)
    trainer = Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        callbacks=[throughput, Evaluation()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Steps(clock), loader)
    assert throughput.rates == [3 * 8 / 100, 48, 48, 48]
    assert throughput.pairs_per_second == 48


@pytest.mark.slow
def test_speed_is_printed_at_the_end_of_a_run(compose, capsys) -> None:
    rate = train(compose())["timings"]["pairs_per_second"]
    assert rate > 0
    assert f"  training   {rate:,.0f} pairs a second\n" in capsys.readouterr().out
    assert Throughput(8).pairs_per_second is None


def test_chunks_one_after_the_other() -> None:
    rates = {2: 100.0, 3: 50.0}  # by replicates: 2 take as long at 100 pairs a second as 1 at 50
    parts = [
        {"timings": {"pairs_per_second": rate}, "config": {"replicates": n, "encoder": {"output_dim": 5}}}
        for n, rate in rates.items()
    ]
    assert _overall_rate(parts) == pytest.approx((2 + 3) / (2 / 100 + 3 / 50))
    assert _overall_rate([*parts, parts[0] | {"timings": {"pairs_per_second": None}}]) is None

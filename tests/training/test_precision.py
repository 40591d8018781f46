"""Mixed precision: encoders in bfloat16; similarities, logits, τ and their gradients in float32."""

from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from intrinsic_clip import encoders
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import LearnedTemperature
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.train import train

SIMILARITIES = [PopulationSimilarity, CosineSimilarity]
BATCH = 32


class _Logits(TorchDispatchMode):
    """Record the types of factors and result of each matrix product that gives BATCH × BATCH numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default and result.shape == (BATCH, BATCH):
            self.types |= {tensor.dtype for tensor in (*args, result)}
        return result


class _Stretch(nn.Module):
    """An encoder without matrix products, which autocast therefore leaves in float32."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.linspace(0.5, 2, d))

    def forward(self, rows: Tensor) -> Tensor:
        return rows * self.factors


def _fit(
    f: nn.Module, g: nn.Module, similarity: nn.Module, precision: Any, **options: Any
) -> ContrastiveModule:
    adam = partial(torch.optim.Adam, lr=1e-2)
    module = ContrastiveModule(f, g, similarity, LearnedTemperature(), adam, **options)
    trainer = Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    data = SyntheticLinear(n_train=128, n_append=40, n_test=10, d_x=8, d_y=8, batch_size=BATCH)
    trainer.fit(module, datamodule=data)
    return module


@pytest.mark.parametrize("chunk", [None, 10])
def test_the_loss_under_autocast_is_that_of_its_rounded_inputs(chunk: int | None) -> None:
    x, y = torch.randn(2, BATCH, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    tau = torch.tensor(0.07)
    expected = info_nce(x.float(), y.float(), tau, chunk)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for inputs in ((x, y), (x.float(), y.float())):
            loss = info_nce(*inputs, tau, chunk)
            assert loss.dtype == torch.float32
            torch.testing.assert_close(loss, expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_logits_are_float32_where_encoders_are_not(similarity: type[nn.Module]) -> None:
    torch.manual_seed(0)
    f, g = encoders.mlp(8, 5), encoders.mlp(8, 5)
    outputs: set[torch.dtype] = set()
    f.register_forward_hook(lambda _, __, output: outputs.add(output.dtype))
    logits = _Logits()
    with logits:
        module = _fit(f, g, similarity(), "bf16-mixed")
    assert outputs == {torch.bfloat16}
    assert logits.types == {torch.float32}
    assert module.temperature().dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [None, 10])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_loss_and_gradients_are_not_rounded(similarity: type[nn.Module], chunk: int | None) -> None:
    full, mixed = (
        _fit(_Stretch(8), _Stretch(8), similarity(), precision, chunk=chunk)
        for precision in ("32-true", "bf16-mixed")
    )
    for ours, expected in zip(mixed.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


@pytest.mark.slow
def test_a_run_in_mixed_precision_ends_near_the_full_one(compose) -> None:
    full, mixed = (
        train(compose(f"trainer.precision={precision}"))["metrics"] for precision in ("32-true", "bf16-mixed")
    )
    assert mixed["temperature"]["mean"] == pytest.approx(full["temperature"]["mean"], rel=0.01)
    assert mixed["loss"]["mean"] == pytest.approx(full["loss"]["mean"], rel=0.03)

"""The loss keeps float32 under autocast, and takes half-precision outputs of encoders."""

import pytest
import torch

from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.loss.precision import widened, without_autocast
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity


@pytest.mark.parametrize("chunk", [None, 8])
def test_autocast_changes_no_digit_of_the_loss(chunk: int | None) -> None:
    x, y = torch.randn(2, 32, 6, generator=torch.Generator().manual_seed(0))
    tau = torch.tensor(0.05)
    expected = info_nce(x, y, tau, chunk)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(info_nce(x, y, tau, chunk), expected)


@pytest.mark.parametrize("similarity", [PopulationSimilarity(), CosineSimilarity()])
def test_half_precision_outputs_are_normalised_in_float32(similarity: torch.nn.Module) -> None:
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    normalised = similarity(rows, rows)
    assert normalised.dtype == torch.float32
    assert torch.equal(normalised, similarity(rows.float(), rows.float()))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_widened(dtype: torch.dtype, expected: torch.dtype) -> None:
    assert widened(torch.ones(3, dtype=dtype)).dtype == expected


def test_a_device_without_autocast() -> None:
    with without_autocast(torch.device("meta")):
        assert (torch.ones(2, 2, device="meta") @ torch.ones(2, 2, device="meta")).dtype == torch.float32

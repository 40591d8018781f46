"""Normalisations of encoder outputs: by the population's norm and by each vector's own."""

import pytest
import torch
from torch.nn.functional import normalize

from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity


def _rows_and_population() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, 10, 4, generator=generator)
    return rows, rows + 0.3 * torch.randn(2, 10, 4, generator=generator)


def test_population_norm_is_the_mean_norm_of_the_append_rows_with_gradient() -> None:
    rows, population = _rows_and_population()
    population.requires_grad_()
    normalised = PopulationSimilarity()(rows, population)
    for r in range(2):
        mean_norm = sum(float(p.norm()) for p in population[r].detach()) / 10
        torch.testing.assert_close(normalised[r], rows[r] / mean_norm)
    normalised.sum().backward()
    assert population.grad is not None
    assert population.grad.abs().sum() > 0


def test_cosine_gives_unit_vectors() -> None:
    rows, _ = _rows_and_population()
    torch.testing.assert_close(CosineSimilarity()(rows), normalize(rows, dim=-1))


@pytest.mark.parametrize("similarity", [PopulationSimilarity(), CosineSimilarity()])
def test_an_encoder_that_collapsed_to_zero_gives_no_nan(similarity: torch.nn.Module) -> None:
    zeros = torch.zeros(5, 3, requires_grad=True)
    normalised = similarity(zeros, zeros)
    info_nce(normalised, normalised, torch.tensor(1e-4)).backward()
    assert torch.isfinite(normalised).all()
    assert zeros.grad is not None
    assert torch.isfinite(zeros.grad).all()

"""Normalisations of encoder outputs: by the population's norm and by each vector's own."""

import pytest
import torch
from torch.nn.functional import normalize

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss.info_nce import info_nce
from intrinsic_clip.loss.similarity import CosineSimilarity, MovingAverageSimilarity, PopulationSimilarity


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


@pytest.mark.parametrize(
    "similarity", [PopulationSimilarity(), MovingAverageSimilarity(), CosineSimilarity()]
)
def test_an_encoder_that_collapsed_to_zero_gives_no_nan(similarity: torch.nn.Module) -> None:
    zeros = torch.zeros(5, 3, requires_grad=True)
    normalised = similarity(zeros, zeros)
    info_nce(normalised, normalised, torch.tensor(1e-4)).backward()
    assert torch.isfinite(normalised).all()
    assert zeros.grad is not None
    assert torch.isfinite(zeros.grad).all()


def test_a_stopped_gradient_is_that_of_a_constant() -> None:
    rows, _ = _rows_and_population()
    rows.requires_grad_()
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    constant = rows.detach().norm(dim=-1).mean(-1)[:, None, None]
    (expected,) = torch.autograd.grad((weights * rows / constant).sum(), rows)
    (stopped,) = torch.autograd.grad(
        (weights * PopulationSimilarity(stop_gradient=True)(rows, rows)).sum(), rows
    )
    torch.testing.assert_close(stopped, expected)
    (free,) = torch.autograd.grad((weights * PopulationSimilarity()(rows, rows)).sum(), rows)
    assert not torch.allclose(free, expected)


def test_no_norm_with_gradient_has_one_along_the_scale() -> None:
    """Scaling the outputs changes nothing that the loss sees, but for a norm that is taken as a constant."""
    rows, _ = _rows_and_population()
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    moving = MovingAverageSimilarity(momentum=0.9, replicates=(2,))
    moving(3 * rows)
    slopes = {}
    for name, similarity in {
        "batch": PopulationSimilarity(),
        "moving average": moving,
        "stopped": PopulationSimilarity(stop_gradient=True),
    }.items():
        scale = torch.ones((), requires_grad=True)
        (slope,) = torch.autograd.grad((weights * similarity(scale * rows, scale * rows)).sum(), scale)
        slopes[name] = abs(float(slope))
    assert slopes["batch"] < 1e-5
    assert slopes["moving average"] < 1e-5
    assert slopes["stopped"] > 0.1


def test_the_moving_average_follows_its_formula_for_each_replicate_and_encoder() -> None:
    similarity = MovingAverageSimilarity(momentum=0.9, replicates=(2,))
    batches = [(1 + i) * torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    expected: torch.Tensor | None = None
    for rows in batches:
        mean = rows.norm(dim=-1).mean(-1)
        expected = mean if expected is None else 0.9 * expected + 0.1 * mean
        torch.testing.assert_close(similarity(rows, side="y"), rows / expected[:, None, None])
    torch.testing.assert_close(similarity.y_norm, expected)
    assert similarity.x_norm.isnan().all()
    similarity.eval()
    kept = similarity.y_norm.clone()
    torch.testing.assert_close(similarity(batches[0], side="y"), batches[0] / kept[:, None, None])
    assert torch.equal(similarity.y_norm, kept)
    untrained = similarity(batches[0], side="x")  # nothing to divide by yet but the rows' own
    torch.testing.assert_close(untrained.norm(dim=-1).mean(-1), torch.ones(2))


def test_the_moving_average_of_a_replicate_is_that_alone() -> None:
    together, alone = MovingAverageSimilarity(replicates=(2,)), MovingAverageSimilarity()
    for i in range(3):
        rows = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(i))
        assert torch.equal(together(rows)[1], alone(rows[1]))
    assert torch.equal(together.x_norm[1], alone.x_norm)


def test_bfloat16_rows_are_normalised_in_float32() -> None:
    rows, population = (part.bfloat16() for part in _rows_and_population())
    for similarity in (PopulationSimilarity(), MovingAverageSimilarity(replicates=(2,))):
        normalised = similarity(rows, population)
        assert normalised.dtype == torch.float32
        torch.testing.assert_close(normalised, PopulationSimilarity()(rows.float(), population.float()))


def test_renewed_rows_depend_on_seed_and_epoch_alone() -> None:
    similarity = PopulationSimilarity(over="renewed", seed=3)
    drawn = similarity.draw(epoch=5, available=100, number=20)
    assert torch.equal(drawn, PopulationSimilarity(over="renewed", seed=3).draw(5, 100, 20))
    assert len(drawn.unique()) == 20
    assert int(drawn.max()) < 100
    for other in (similarity.draw(6, 100, 20), PopulationSimilarity(over="renewed", seed=4).draw(5, 100, 20)):
        assert not torch.equal(drawn, other)
    assert len(PopulationSimilarity(rows=7, over="renewed").draw(0, 100, 20)) == 7


def test_a_batch_has_no_number_of_rows_to_choose() -> None:
    with pytest.raises(ConfigError, match=r"objective\.similarity\.rows=5: must be null with over=batch"):
        PopulationSimilarity(rows=5, over="batch")

"""Test cross-validation: folds, and predictions of rows that a model has not seen."""

import pytest
import torch

from intrinsic_clip.metrics.crossvalidation import predict, split


@pytest.mark.parametrize(("n", "folds"), [(10, 5), (23, 5), (4, 2)])
def test_every_row_is_in_one_fold(n: int, folds: int) -> None:
    parts = split(n, folds, seed=3)
    assert sorted(torch.cat(parts).tolist()) == list(range(n))
    assert len(parts) == folds
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    again = split(n, folds, seed=3)
    assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True))
    assert not torch.equal(torch.cat(split(n, folds, seed=4)), torch.cat(parts))


def test_no_row_is_predicted_by_a_model_that_saw_it() -> None:
    rows = torch.arange(20.0)[:, None].double()

    def nearest(x: torch.Tensor, z: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        return z[(queries - x.T).abs().argmin(1)]

    predicted = predict(rows, rows, split(20, 5, seed=0), nearest)
    assert (predicted - rows).abs().min() > 0.9


def test_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    split(20, 5, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least 2 folds"):
        split(20, 1, 0)
    with pytest.raises(ValueError, match="5 folds need at least 10 rows, got 9"):
        split(9, 5, 0)

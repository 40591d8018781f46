"""Two and four processes that share a batch have the loss and gradients of one process with all of it."""

from functools import partial

import pytest
import torch

from helpers import first_step
from helpers.ranks import in_ranks, succeeded

Results = dict[str, dict[str, dict[str, torch.Tensor]]]


@pytest.fixture(scope="module", params=[2, 4])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    file = tmp_path_factory.mktemp("shared") / "results.pt"
    work = partial(first_step.every_case, request.param, file)
    assert succeeded(in_ranks(request.param, file.parent, work))
    return torch.load(file, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("form", first_step.FORMS)
@pytest.mark.parametrize("similarity", first_step.SIMILARITIES)
def test_loss_and_gradients_are_those_of_one_process(shared: Results, similarity: str, form: str) -> None:
    expected = first_step.first_step(1, similarity, "whole")
    results = shared[similarity][form]
    assert results.keys() == expected.keys()
    assert "loss" in results
    assert any(name.startswith("temperature.") for name in results)
    for name, value in expected.items():
        assert value.abs().max() > 0, name
        assert (results[name] - value).abs().max() <= 1e-5 * value.abs().max(), name

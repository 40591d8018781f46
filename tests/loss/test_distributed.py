"""Two and four processes that share a batch have the loss and gradients of one process with all of it."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers import first_step, shares
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


@pytest.fixture(scope="module")
def of_unlike_shares(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str | float]]:
    file: Path = tmp_path_factory.mktemp("shares") / "results.json"
    assert succeeded(in_ranks(2, file.parent, partial(shares.work, file)))
    return json.loads(file.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("rows", "processes hold 7, 6 rows"),
        ("no rows of one", "processes hold 7, 0 rows"),
        ("no rows", "at least one row"),
        ("columns", "processes hold rows of 4, 5 columns"),
        ("replicates", "processes hold rows of 2, 1 replicates"),
        ("type", "processes hold rows of 4, 8 bytes per number"),
        ("axes", "processes hold 1, 7 rows"),
    ],
)
def test_every_process_refuses_shares_that_differ(
    of_unlike_shares: list[dict[str, str | float]], case: str, message: str
) -> None:
    assert len(of_unlike_shares) == 2
    assert all(message in str(of_process[case]) for of_process in of_unlike_shares)


@pytest.mark.slow
def test_second_derivatives_pass_through_processes(of_unlike_shares: list[dict[str, str | float]]) -> None:
    assert all(float(of_process["penalty"]) < 1e-12 for of_process in of_unlike_shares)

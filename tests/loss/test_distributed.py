"""Two and four processes that share a batch have the loss and the gradients of one with the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers import first_step

Found = dict[str, dict[str, dict[str, torch.Tensor]]]


@pytest.fixture(scope="module", params=[2, 4])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    file = tmp_path_factory.mktemp("shared") / "found.pt"
    command = [sys.executable, first_step.__file__, str(request.param), str(file)]
    done = subprocess.run(command, cwd=Path(file).parent, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("blocks", first_step.BLOCKS)
@pytest.mark.parametrize("similarity", first_step.SIMILARITIES)
def test_loss_and_gradients_are_those_of_one_process(shared: Found, similarity: str, blocks: str) -> None:
    expected = first_step.first_step(1, similarity, "whole")
    found = shared[similarity][blocks]
    assert found.keys() == expected.keys()
    assert {"loss", "temperature.s"} < found.keys()
    for name, value in expected.items():
        assert value.abs().max() > 0, name
        assert (found[name] - value).abs().max() <= 1e-5 * value.abs().max(), name

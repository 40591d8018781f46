"""The device of a test: the CPU, and a GPU where there is one."""

import pytest
import torch

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Return the device; what is computed on it is compared with float64 on a CPU."""
    return torch.device(request.param)


@pytest.fixture
def trainer(device: torch.device) -> str:
    """Return the setting that trains on the device."""
    return "trainer=gpu" if device.type == "cuda" else "trainer=cpu"

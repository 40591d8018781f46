"""The Triton kernel computes what autograd does; interpreted here, and on a GPU in tests/gpu."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from intrinsic_clip import encoders
from intrinsic_clip.encoders import blockwise_triton
from intrinsic_clip.encoders.chain import chain_of
from intrinsic_clip.encoders.replication import replicate

PROGRAM = Path(__file__).with_name("blockwise_in_interpreter.py")


@pytest.mark.long
def test_outputs_norms_and_gradients_are_those_of_autograd() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    completed = subprocess.run([sys.executable, PROGRAM], env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == "all is as autograd has it\n"


def test_a_cpu_is_left_to_other_means() -> None:
    encoder = replicate(lambda d: encoders.mlp(5, d), 5, (0, 1), (4,), (2,))
    assert chain_of(encoder) is not None
    if blockwise_triton.kernel is not None:
        assert blockwise_triton.why_not(encoder, torch.randn(3, 5)) == "the training is not on a GPU"

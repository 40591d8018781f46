"""Searches by products in single precision do not depend on the precision that a training allows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from intrinsic_clip.dimension import mle, nearest_neighbours
from intrinsic_clip.dimension.query_search import ask
from intrinsic_clip.dimension.row_source import TensorRows
from intrinsic_clip.dimension.single_precision import full_single_precision
from intrinsic_clip.metrics import partner_ranks

CPU = torch.device("cpu")


@contextmanager
def allowed(precision: str) -> Iterator[None]:
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def error() -> float:
    """Return the largest error of products of numbers that bfloat16 and TF32 would round."""
    a = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    return float((a @ a.T - a.double() @ a.double().T).abs().max())


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_products_keep_their_digits_and_settings_come_back(precision: str) -> None:
    with allowed(precision), torch.autocast("cpu", dtype=torch.bfloat16):
        assert error() > 0.01
        with full_single_precision(CPU):
            assert error() < 1e-4
            if hasattr(torch.backends.mkldnn, "matmul"):
                assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
                assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.get_float32_matmul_precision() == precision
        assert torch.is_autocast_enabled("cpu")


def test_settings_come_back_after_an_error() -> None:
    with allowed("medium"), pytest.raises(KeyboardInterrupt), full_single_precision(CPU):
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == "highest"


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 40, generator=generator)
    return x, x + 2 * torch.randn(600, 40, generator=generator)


SEARCHES: dict[str, Callable[[], Tensor]] = {
    "partners": lambda: partner_ranks(*pair()).x_to_y.greater,
    "partners of some": lambda: partner_ranks(*pair(), queries=100).x_to_y.greater,
    "neighbours": lambda: nearest_neighbours(pair()[0], 5).indices,
    "neighbours of some": lambda: mle(pair()[0], k=5, queries=100).value,
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_searches_under_autocast_find_the_same(search: str, threads: int) -> None:
    expected = SEARCHES[search]()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with allowed("medium"), torch.autocast("cpu", dtype=torch.bfloat16):
            got = SEARCHES[search]()
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(got, expected)


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="before PyTorch 2.9")
@pytest.mark.parametrize("threads", [1, 2])
def test_questions_are_put_in_full_precision(threads: int) -> None:
    seen = []

    class Question:
        def look(self, start: int, block: Tensor) -> None:
            seen.append((torch.backends.cuda.matmul.fp32_precision, torch.is_autocast_enabled("cpu")))

        def add(self, answer: None) -> None: ...

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with allowed("high"), torch.autocast("cpu", dtype=torch.bfloat16):
            ask(TensorRows(pair()[0]), [Question()])
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {("ieee", False)}

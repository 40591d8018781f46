"""The estimate is near what is taken, and chunks are as few and as even as the limit allows."""

from itertools import chain

import pytest

from intrinsic_clip import config
from intrinsic_clip.training import memory
from intrinsic_clip.training.build import build


def _estimate(compose, *overrides: str) -> int:
    cfg = compose(*overrides)
    data, module, _ = build(cfg, config.resolve(cfg))
    return memory.estimate(module, data)


@pytest.mark.parametrize(
    ("limit", "expected"), [(10, [5]), (5, [5]), (4, [3, 2]), (2, [2, 2, 1]), (0.1, [1] * 5)]
)
def test_chunks(limit: float, expected: list[int]) -> None:
    groups = memory.chunks([3, 4, 5, 8, 9], 1, limit)
    assert [len(group) for group in groups] == expected
    assert list(chain(*groups)) == [3, 4, 5, 8, 9]


def test_a_step_keeps_what_its_layers_need(compose) -> None:
    """One linear layer of cosine: by hand, the inputs and weights, and what normalising and the loss keep."""
    one = _estimate(compose, "data.n_train=20000", "data.batch_size=10000", "loss/similarity=cosine")
    logits = 4 * 10_000**2
    assert 3 * logits < one < 12 * logits


def test_a_chunk_of_the_logits_takes_less(compose) -> None:
    large = ("data.n_train=20000", "data.batch_size=10000", "loss/similarity=cosine")
    whole, chunked = (_estimate(compose, *large, f"loss.chunk={chunk}") for chunk in ("null", 500))
    assert chunked < 0.2 * whole
    assert _estimate(compose, *large, "loss.chunk=10000") == pytest.approx(whole, rel=0.05)


def test_grows_with_replicates_and_rows(compose) -> None:
    wide = ("data.n_append=5000", "data.n_train=2048", "data.batch_size=256")
    one, four = (_estimate(compose, *wide, f"replicates={r}") for r in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.01)
    assert _estimate(compose, *wide, "loss/similarity=fast", "replicates=1") < one

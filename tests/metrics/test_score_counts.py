"""Counts by single precision are those of double precision, however close the scores are."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from intrinsic_clip.metrics import partner_ranks, score_counts
from intrinsic_clip.metrics.alignment import directions

Pair = tuple[Tensor, Tensor]


def noisy(d: int, noise: float) -> Pair:
    generator = torch.Generator().manual_seed(d)
    x = torch.randn(400, d, generator=generator, dtype=torch.float64)
    return x, x + noise * torch.randn(400, d, generator=generator, dtype=torch.float64)


def signs(d: int) -> Pair:
    x, y = noisy(d, 1.0)
    return x.sign(), y.sign()


def nearly_equal() -> Pair:
    """Return candidates that differ from each other's scores by less than single precision tells apart."""
    x, y = noisy(16, 0.5)
    y[1::2] = y[::2] + 1e-9 * y[1::2]
    return x, y


def copies() -> Pair:
    x, y = noisy(16, 0.5)
    y[1::2] = y[::2]
    return x, y


def of_all_lengths() -> Pair:
    """Return rows whose products are below the smallest number of single precision, and others."""
    x, y = noisy(16, 0.5)
    lengths = torch.logspace(-60, 20, 400, dtype=torch.float64)[:, None]
    return x * lengths, y * lengths.flip(0)


def with_missing() -> Pair:
    x, y = noisy(16, 0.5)
    y[7, 3] = math.nan
    return x, y


CASES: dict[str, Callable[[], Pair]] = {
    "wide": lambda: noisy(300, 3.0),
    "unrelated": lambda: noisy(64, 1e6),
    "one dimension": lambda: tuple(map(directions, noisy(1, 1.0))),
    "two dimensions": lambda: tuple(map(directions, noisy(2, 1.0))),
    "signs": lambda: signs(64),
    "nearly equal": nearly_equal,
    "copies": copies,
    "collapsed": lambda: (torch.ones(400, 5), torch.ones(400, 5)),
    "zero": lambda: (torch.zeros(400, 5), noisy(5, 1.0)[1]),
    "lengths": of_all_lengths,
    "huge": lambda: tuple(1e200 * rows for rows in noisy(16, 0.5)),
    "missing": with_missing,
}


@pytest.mark.parametrize("case", CASES)
def test_counts_are_those_of_double_precision(case: str, monkeypatch) -> None:
    monkeypatch.setattr(score_counts, "TILE", (100, 150))
    x, y = CASES[case]()
    got = partner_ranks(x, y)
    monkeypatch.setattr(score_counts, "single_scores", lambda x, y, limits: None)
    expected = partner_ranks(x, y)
    for way, alone in zip(got, expected, strict=True):
        torch.testing.assert_close(way.greater, alone.greater)
        torch.testing.assert_close(way.ties, alone.ties)


@pytest.mark.parametrize(("case", "repeated"), [("wide", 0), ("copies", 0), ("collapsed", 1200)])
def test_only_blocks_of_close_scores_are_repeated(case: str, repeated: int, monkeypatch) -> None:
    x, y = CASES[case]()
    asked = []
    compared = score_counts.Compared.of
    monkeypatch.setattr(
        score_counts.Compared, "of", lambda scores, *rest: asked.append(scores) or compared(scores, *rest)
    )
    monkeypatch.setattr(score_counts, "TILE", (100, 150))
    partner_ranks(x, y)
    assert sum(len(scores) for scores in asked if scores.dtype == torch.float64) == repeated

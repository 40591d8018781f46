"""Objectives over several modalities against naive loops, finite differences, and each replicate alone."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, permutations, product

import pytest
import torch
from torch import Tensor, nn

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.loss import (
    Anchor,
    Gram,
    SumOverPairs,
    Symile,
    anchored,
    gram,
    info_nce,
    sum_over_pairs,
    symile,
    volumes,
)

TAU = 0.3


def drawn(modalities: int, *shape: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)
        for _ in range(modalities)
    ]


def orders_of(modalities: int, n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randperm(n, generator=generator) for _ in range(modalities)]


def cross_entropy(scores: Sequence[float], positive: int) -> float:
    return math.log(sum(math.exp(score) for score in scores)) - scores[positive]


def naive_info_nce(x: Tensor, y: Tensor) -> float:
    n = len(x)
    total = 0.0
    for i in range(n):
        total += cross_entropy([float(x[i] @ y[j]) / TAU for j in range(n)], i)
        total += cross_entropy([float(x[j] @ y[i]) / TAU for j in range(n)], i)
    return total / (2 * n)


def naive_pairs(modalities: list[Tensor]) -> float:
    losses = [naive_info_nce(one, other) for one, other in combinations(modalities, 2)]
    return sum(losses) / len(losses)


def naive_anchored(modalities: list[Tensor]) -> float:
    losses = [naive_info_nce(modalities[1], other) for k, other in enumerate(modalities) if k != 1]
    return sum(losses) / len(losses)


def inner(rows: Sequence[Tensor]) -> float:
    return sum(math.prod(float(row[d]) for row in rows) for d in range(len(rows[0]))) / TAU


def naive_symile(modalities: list[Tensor]) -> float:
    n, orders, total = len(modalities[0]), orders_of(len(modalities), len(modalities[0])), 0.0
    for m in range(len(modalities)):
        for i in range(n):
            scores = [
                inner(
                    [rows[i] if k == m or j == i else rows[orders[k][j]] for k, rows in enumerate(modalities)]
                )
                for j in range(n)
            ]
            total += cross_entropy(scores, i)
    return total / (n * len(modalities))


def naive_symile_among_all(modalities: list[Tensor]) -> float:
    n, count, total = len(modalities[0]), len(modalities), 0.0
    for m in range(count):
        for i in range(n):
            tuples = [chosen for chosen in product(range(n), repeat=count) if chosen[m] == i]
            scores = [
                inner([rows[j] for rows, j in zip(modalities, chosen, strict=True)]) for chosen in tuples
            ]
            total += cross_entropy(scores, tuples.index((i,) * count))
    return total / (n * count)


def naive_volume(vectors: Sequence[Tensor]) -> float:
    """Return the root of the Gram determinant by the sum over permutations."""
    count, determinant = len(vectors), 0.0
    for order in permutations(range(count)):
        swaps = sum(order[a] > order[b] for a, b in combinations(range(count), 2))
        entries = (float(vectors[a] @ vectors[b]) for a, b in enumerate(order))
        determinant += (-1) ** swaps * math.prod(entries)
    return math.sqrt(max(determinant, 1e-8))


def naive_gram(modalities: list[Tensor]) -> float:
    x, others, n = modalities[0], modalities[1:], len(modalities[0])
    score = [[-naive_volume([x[i], *(rows[j] for rows in others)]) / TAU for j in range(n)] for i in range(n)]
    rows = sum(cross_entropy(score[i], i) for i in range(n))
    columns = sum(cross_entropy([score[j][i] for j in range(n)], i) for i in range(n))
    return (rows + columns) / (2 * n)


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[[list[Tensor]], float]]] = {
    "pairs": (sum_over_pairs, naive_pairs),
    "anchor": (lambda modalities, tau: anchored(modalities, tau, 1), naive_anchored),
    "symile": (
        lambda modalities, tau: symile(modalities, tau, orders_of(len(modalities), modalities[0].shape[-2])),
        naive_symile,
    ),
    "symile, all": (symile, naive_symile_among_all),
    "gram": (gram, naive_gram),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("count", [2, 3, 4])
def test_equals_naive_loops(name: str, count: int) -> None:
    loss, naive = LOSSES[name]
    modalities = drawn(count, 4, 5)
    assert float(loss(modalities, torch.tensor(TAU, dtype=torch.float64))) == pytest.approx(naive(modalities))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_and_replicates(name: str) -> None:
    loss, _ = LOSSES[name]
    modalities = [rows.requires_grad_() for rows in drawn(3, 2, 4, 5)]
    tau = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda tau, *rows: loss(rows, tau), (tau, *modalities))
    both = loss(modalities, tau)
    assert both.shape == (2,)
    for r in range(2):
        torch.testing.assert_close(
            loss([rows[r] for rows in modalities], tau[r]), both[r], rtol=1e-12, atol=0
        )


def test_two_modalities_are_info_nce_to_the_bit() -> None:
    x, y = (rows.float() for rows in drawn(2, 3, 16, 5))
    tau = torch.tensor([0.1, 0.2, 1.0])
    assert torch.equal(sum_over_pairs([x, y], tau), info_nce(x, y, tau))
    assert torch.equal(anchored([x, y], tau), info_nce(x, y, tau))
    torch.testing.assert_close(symile([x, y], tau), info_nce(x, y, tau))


def test_chunks_and_half_precision() -> None:
    modalities = [rows.float() for rows in drawn(3, 16, 5)]
    tau = torch.tensor(0.2)
    torch.testing.assert_close(sum_over_pairs(modalities, tau, 5), sum_over_pairs(modalities, tau))
    halves = [rows.bfloat16() for rows in modalities]
    for loss, _ in LOSSES.values():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(halves[:3], tau)
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(loss([rows.float() for rows in halves], tau)), rel=1e-6)


def test_volumes_of_equal_and_of_orthogonal_vectors_and_their_gradients() -> None:
    x = torch.eye(4)[:3].requires_grad_()
    same = volumes([x, x, x])
    torch.testing.assert_close(same, torch.full((3, 3), 1e-4))  # y and z span nothing, so no x does with them
    same.sum().backward()
    assert bool(x.grad.isfinite().all())
    a, b, c = drawn(3, 1, 6)
    expected = torch.linalg.svdvals(torch.cat([a, b, c])).prod()
    torch.testing.assert_close(volumes([a, b, c])[0, 0], expected)
    assert torch.equal(volumes([-a, b, c]), volumes([a, b, c]))  # a vector and its negative are one


def test_modules_take_modalities_by_name() -> None:
    x, y, z = drawn(3, 8, 5)
    named, tau = {"x": x, "y": y, "z": z}, torch.tensor(TAU, dtype=torch.float64)
    assert torch.equal(SumOverPairs()(named, tau), sum_over_pairs([x, y, z], tau))
    assert torch.equal(Anchor("z")(named, tau), anchored([x, y, z], tau, 2))
    assert torch.equal(Gram("y")(named, tau), gram([y, x, z], tau))
    assert torch.equal(Symile("all")(named, tau), symile([x, y, z], tau))
    for objective in (Anchor("v"), Gram("v")):
        with pytest.raises(ConfigError, match=r"objective\.anchor=v: must be one of x, y, z"):
            objective(named, tau)


def test_permutations_depend_on_seed_and_step_alone() -> None:
    named = dict(zip("xyz", drawn(3, 8, 5), strict=True))
    tau = torch.tensor(TAU)
    objective = Symile()
    losses = [float(objective(named, tau)) for _ in range(3)]
    assert len(set(losses)) == 3
    resumed = Symile()
    resumed.load_state_dict({"step": torch.tensor(1)})
    assert float(resumed(named, tau)) == losses[1]
    assert float(Symile(seed=1)(named, tau)) != losses[0]
    resumed.eval()
    assert float(resumed(named, tau)) == float(resumed(named, tau)) == losses[2]

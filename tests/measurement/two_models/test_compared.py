"""Recall of two models, its paired error and the rows that moved, against loops; the verdict on them."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom

from helpers.manifolds import gaussian
from intrinsic_clip.measurement.groups import UNGROUPED, Grouping
from intrinsic_clip.measurement.two_models.compared import Compared
from intrinsic_clip.measurement.two_models.moved import farthest
from intrinsic_clip.measurement.two_models.recalls import Recalls, compare_recalls
from intrinsic_clip.measurement.two_models.verdict import verdict
from intrinsic_clip.metrics import procrustes
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.procrustes import best_turn
from intrinsic_clip.metrics.reduction import turned_to

N = 120


def models(noise: float = 1.0, n: int = N) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return pairs of two models that share a latent of 4 dimensions; the second sees it with more noise."""
    z = gaussian(n, 4)
    first = {side: z + 0.4 * gaussian(n, 4, seed=seed) for seed, side in enumerate("xy", 1)}
    second = {
        side: rows + noise * gaussian(n, 4, seed=seed) for seed, (side, rows) in enumerate(first.items(), 3)
    }
    return first, second


def found(
    rows: dict[str, torch.Tensor], x_things: list[int], y_things: list[int], k: int
) -> list[dict[int, bool]]:
    """Return for each distinct row of x, and of y, whether a right answer is among the k best, by loops."""
    x, y = (np.asarray(directions(rows[side])) for side in "xy")
    answers = []
    for own, other, own_things, other_things in ((x, y, x_things, y_things), (y, x, y_things, x_things)):
        right = {(a, b) for a, b in zip(own_things, other_things, strict=True)}
        candidates = {thing: row for row, thing in reversed(list(enumerate(other_things)))}
        hits = {}
        for row, thing in reversed(list(enumerate(own_things))):
            best = sorted(candidates, key=lambda c: -float(own[row] @ other[candidates[c]]))[:k]
            hits[thing] = any((thing, c) in right for c in best)
        answers.append(hits)
    return answers


def distinct(n: int) -> Pairing:
    return Pairing(torch.arange(n), torch.arange(n))


def test_recall_by_cosine_and_its_error_are_those_of_loops() -> None:
    first, second = models()
    by = {(each["by"], each["k"]): each for each in compare_recalls(Recalls(first, second, distinct(N), 0))}
    for k in (1, 10):
        order = list(range(N))
        before, after = (found(rows, order, order, k) for rows in (first, second))
        gains = np.array([sum(after[w][i] - before[w][i] for w in (0, 1)) / 2 for i in order])
        each = by["cosine", k]
        assert each["first"] == pytest.approx(np.mean([list(way.values()) for way in before]))
        assert each["difference"] == pytest.approx(gains.mean())
        assert each["standard_error"] == pytest.approx(gains.std(ddof=1) / math.sqrt(N))
    assert by["canonical", 1]["n"] == N // 2


def test_any_caption_of_an_image_is_right_for_both_models() -> None:
    first, second = models()
    images = torch.arange(N) // 5
    first["x"], second["x"] = (rows["x"][5 * images] for rows in (first, second))
    each = next(iter(compare_recalls(Recalls(first, second, Pairing(images, torch.arange(N)), 0))))
    before, after = (found(rows, images.tolist(), list(range(N)), 1) for rows in (first, second))
    ways = [[after[w][thing] - before[w][thing] for thing in before[w]] for w in (0, 1)]
    assert [len(way) for way in ways] == [N // 5, N]
    assert each["difference"] == pytest.approx(np.mean([np.mean(way) for way in ways]))
    gains, ours = (
        np.array(ways[0]),
        np.array(ways[1]).reshape(-1, 5).mean(1),
    )  # an image's captions are one draw
    assert each["standard_error"] == pytest.approx(((gains + ours) / 2).std(ddof=1) / math.sqrt(N // 5))


def test_any_partner_in_a_group_is_right_along_canonical_directions_too() -> None:
    """Both models are told of the groups: right answers, held-out pairs and errors are those of groups."""
    first, second = models()
    groups = torch.arange(N) // 5
    pairing = Pairing(torch.arange(N), torch.arange(N), groups)
    by = {(each["by"], each["k"]): each for each in compare_recalls(Recalls(first, second, pairing, 0))}
    gains, recalls = np.zeros(N), []
    for rows, sign in ((first, -1), (second, 1)):
        x, y = (np.asarray(directions(rows[side])) for side in "xy")
        best = [(one @ other.T).argmax(1) for one, other in ((x, y), (y, x))]
        hits = np.stack([groups.numpy()[each] == groups.numpy() for each in best]).mean(0)
        gains += sign * hits
        recalls.append(hits.mean())
    each = by["cosine", 1]
    assert [each["first"], each["second"]] == pytest.approx(recalls)
    of_groups = gains.reshape(-1, 5).mean(1)
    assert each["standard_error"] == pytest.approx(of_groups.std(ddof=1) / math.sqrt(N // 5))
    fitted, held_out = pairing.halves(0)
    assert not set(groups[fitted].tolist()) & set(groups[held_out].tolist())
    x, y = turned_to(
        "canonical",
        (first["x"][fitted], first["y"][fitted]),
        tuple(directions(first[side][held_out]) for side in "xy"),
    )
    cosines = directions(x) @ directions(y).T
    right = [groups[held_out][cosines.argmax(axis)] == groups[held_out] for axis in (0, 1)]
    assert by["canonical", 1]["first"] == pytest.approx(float(torch.stack(right).double().mean()))


def test_the_paired_error_is_that_of_repeated_draws() -> None:
    """Pairs of the same models drawn anew scatter by the error that each draw gives."""
    draws = []
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        z = torch.randn(N, 4, generator=generator)
        first = {side: z + 0.4 * torch.randn(N, 4, generator=generator) for side in "xy"}
        second = {side: z + 0.5 * torch.randn(N, 4, generator=generator) for side in "xy"}
        draws.append(next(iter(compare_recalls(Recalls(first, second, distinct(N), 0)))))
    spread = np.std([draw["difference"] for draw in draws], ddof=1)
    assert spread == pytest.approx(np.mean([draw["standard_error"] for draw in draws]), rel=0.35)


def compared(first, second) -> Compared:
    numbers = torch.arange(len(first["x"]))
    blocks = [
        (part, directions(first["x"][part]), directions(second["x"][part])) for part in numbers.split(50)
    ]
    work = Compared(first, second, numbers, lambda: blocks, ids=[f"item {row}" for row in numbers])
    for _, stage in work.stages():
        stage()
    return work


def test_rows_that_moved_most_are_those_of_procrustes() -> None:
    first, second = models(0.02)
    for row in (7, 90):
        second["x"][row] = -second["x"][row]
    work = compared(first, second)
    fit = procrustes(directions(first["x"]), directions(second["x"]))
    assert [each["row"] for each in work.moved] == fit.rows.argsort(descending=True)[:10].tolist()
    assert [each["distance"] for each in work.moved] == pytest.approx(
        fit.rows.sort(descending=True).values[:10]
    )
    assert {each["row"] for each in work.moved[:2]} == {7, 90}
    assert work.moved[0]["id"] == f"item {work.moved[0]['row']}"
    assert work.moved[0]["overlap"] < 0.5 < work.moved[9]["overlap"]
    assert work.metrics["procrustes"] == pytest.approx(fit.residual.item())


def test_distributions_over_rows_are_those_of_loops() -> None:
    first, second = models(0.5)
    distributions = compared(first, second).distributions
    x, y = (np.asarray(directions(rows["x"])) for rows in (first, second))
    nearest = [np.argsort(-(side @ side.T) + 9 * np.eye(N), axis=1, kind="stable")[:, :10] for side in (x, y)]
    agreed = [len(set(one) & set(other)) for one, other in zip(*nearest, strict=True)]
    assert distributions["overlap"]["rows"] == np.bincount(agreed, minlength=11).tolist()
    chance = hypergeom(N - 1, 10, 10).pmf(range(11))
    assert distributions["overlap"]["by_chance"] == pytest.approx(chance)
    rows = procrustes(directions(first["x"]), directions(second["x"])).rows.numpy()
    assert distributions["distance"]["value"] == pytest.approx(
        np.quantile(rows, distributions["distance"]["share"])
    )


def test_blocks_do_not_change_which_rows_are_farthest() -> None:
    first, second = models(0.5)
    x, y = first["x"].double(), second["x"].double()
    turn, numbers = best_turn(x, y), torch.arange(N)
    whole = farthest(turn, [(numbers, x, y)], 5)
    parts = farthest(turn, [(part, x[part], y[part]) for part in numbers.split(7)], 5)
    assert [each[:2] for each in parts] == [pytest.approx(each[:2]) for each in whole]


def test_shared_dimensions_are_counted_and_repetitions_count_once() -> None:
    z = gaussian(400, 3)
    first, second = ({"x": torch.cat([z, 0.5 * gaussian(400, 5, seed=seed)], 1)} for seed in (1, 2))
    assert compared(first, second).metrics["shared_dimension"] == 3
    once = compared(first, second).metrics
    twice = compared(*({"x": rows["x"].repeat(2, 1)} for rows in (first, second))).metrics
    assert {name: twice[name] for name in once} == pytest.approx(once, nan_ok=True)


def test_rows_that_one_model_merges_are_told_of_and_collapse_has_reasons() -> None:
    first, second = models(0.1)
    second["x"][:8] = second["x"][0]
    work = compared(first, second)
    assert work.notes == ["7 rows repeat others in one of the two models alone, and have no overlap"]
    collapsed = compared({"x": first["x"]}, {"x": torch.ones(N, 4)})
    for name in ("overlap/top_10", "linear_cka", "procrustes", "shared_dimension"):
        assert collapsed.metrics[name] is None
        assert collapsed.reasons[name]
    assert collapsed.moved == []
    assert collapsed.distributions == {}


def judged(first: float, second: float, error: float, by: str = "cosine", n: int = 1000) -> dict:
    return {
        "by": by, "k": 1, "first": first, "second": second, "difference": second - first,
        "standard_error": error, "n": n, "chance": 1 / n,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recalls", "beginning"),
    [
        ([], "without y nothing says which of the two is better"),
        (
            [judged(0.4, 0.45, 0.02)],
            "against retrieves better than x: recall@1 by cosine 0.45 against 0.4 of x (+5.0 ± 2.0",
        ),
        ([judged(0.4, 0.35, 0.02)], "against retrieves worse than x: "),
        ([judged(0.4, 0.43, 0.02)], "the two cannot be told apart by retrieval: "),
        ([judged(0.4, 0.4, 0.0)], "against retrieves exactly as x does: "),
        (
            [judged(0.4, 0.001, 0.02), judged(0.4, 0.5, 0.02, "canonical")],
            "against retrieves better than x: recall@1 along canonical directions 0.5 against 0.4",
        ),
        (
            [judged(0.4, 0.001, 0.02), judged(0.4, 0.001, 0.02, "canonical")],
            "against retrieves worse than x: recall@1 by",
        ),
    ],
)
def test_the_verdict_follows_two_standard_errors(recalls, beginning) -> None:
    assert verdict({"recalls": recalls, "metrics": {}}).startswith(beginning)


def test_a_model_that_is_broken_beside_its_own_y_is_not_excused() -> None:
    recalls = [judged(0.55, 0.001, 0.01), judged(0.87, 0.87, 0.0, "canonical")]
    other_y, own_y = (verdict({"recalls": recalls, "metrics": {}, "own_y": own}) for own in (False, True))
    assert other_y.startswith("against retrieves exactly as x does: recall@1 along canonical directions 0.87")
    assert other_y.endswith("; by cosine 0.001 against 0.55")
    assert own_y.startswith("against retrieves worse than x: recall@1 by cosine 0.001 against 0.55 of x")
    assert own_y.endswith("; after a linear map, along canonical directions 0.87 against 0.87")
    both = [
        judged(0.001, 0.001, 0.01),
        judged(0.4, 0.5, 0.02, "canonical"),
    ]  # both lie in other spaces than y
    assert "along canonical directions 0.5" in verdict({"recalls": both, "metrics": {}, "own_y": True})


def test_a_model_that_guesses_among_two_classes_is_judged_along_canonical_directions() -> None:
    recalls = [
        judged(0.98, 0.5, 0.02) | {"chance": 0.5},
        judged(0.99, 0.97, 0.01, "canonical") | {"chance": 0.5},
    ]
    assert "recall@1 along canonical directions 0.97" in verdict({"recalls": recalls, "metrics": {}})


def kept_neighbours(x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor) -> np.ndarray:
    """Return the share of each row's ten nearest rows of other groups that are the same in both."""
    kept = []
    for row, group in enumerate(groups):
        cosines = (directions(side) @ directions(side)[row] for side in (x, y))
        one, other = (set(each.where(groups != group, -2.0).topk(10).indices.tolist()) for each in cosines)
        kept.append(len(one & other) / 10)
    return np.array(kept)


def test_rows_of_a_group_are_no_neighbours_to_keep() -> None:
    """Captions of one image stay together in a model that places all images anew."""
    groups = torch.arange(N) // 6
    centres = gaussian(N // 6, 8, seed=1)
    x = centres[groups] + 0.1 * gaussian(N, 8, seed=2)
    y = gaussian(N // 6, 8, seed=4)[groups] + 0.1 * gaussian(N, 8, seed=3)
    asked = {"grouping": Grouping(groups), "group_of": lambda row: int(groups[row])}
    numbers = torch.arange(N)
    blocks = [(numbers, directions(x), directions(y))]
    work = Compared({"x": x}, {"x": y}, numbers, lambda: blocks, **asked)
    work.measure_overlap()
    work.measure_moved()
    chance = work.metrics["overlap_chance/top_10"]
    assert chance == pytest.approx(10 / (N - 6))
    kept = kept_neighbours(x, y, groups)
    assert work.metrics["overlap/top_10"] == pytest.approx(kept.mean())
    assert kept.mean() < 3 * chance
    assert [each["overlap"] for each in work.moved] == pytest.approx(
        [kept[each["row"]] for each in work.moved]
    )
    by_chance = work.distributions["overlap"]["by_chance"]
    assert by_chance == pytest.approx(hypergeom(N - 6, 10, 10).pmf(np.arange(11)), abs=1e-9)


def test_groups_that_leave_too_few_neighbours_have_no_overlap() -> None:
    x = gaussian(N, 4, seed=1)
    for groups in (torch.zeros(N, dtype=torch.int64), (torch.arange(N) > N - 6).long()):
        work = Compared({"x": x}, {"x": x}, torch.arange(N), lambda: [], grouping=Grouping(groups))
        work.measure_overlap()
        assert work.metrics["overlap/top_10"] is None
        assert "distinct rows in groups are too few for 10 neighbours" in work.reasons["overlap/top_10"]


@pytest.mark.parametrize("grouped", [True, False])
def test_neighbours_kept_have_the_error_of_groups(grouped: bool) -> None:
    """The rows of a scene lose their neighbours together."""
    groups = torch.arange(N) // 6
    x = gaussian(N // 6, 4, seed=1)[groups] + 0.3 * gaussian(N, 4, seed=2)
    moved = x + 2 * (gaussian(N // 6, 1, seed=3)[groups] > 0) * gaussian(N // 6, 4, seed=4)[groups]
    grouping = Grouping(groups) if grouped else UNGROUPED
    work = Compared({"x": x}, {"x": moved}, torch.arange(N), lambda: [], grouping=grouping)
    work.measure_overlap()
    kept = kept_neighbours(x, moved, groups if grouped else torch.arange(N))
    parts = np.bincount(groups.numpy(), kept - kept.mean())
    count = len(parts)
    expected = np.sqrt((parts**2).sum() * count / (count - 1)) / N if grouped else kept.std(ddof=1) / N**0.5
    assert work.metrics["overlap/top_10"] == pytest.approx(kept.mean())
    assert work.metrics["overlap_standard_error/top_10"] == pytest.approx(expected)

"""The zoo that validates the shared dimension: worlds that hold what they say, and tables that count right."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import shared_picture
import shared_tables
from shared_worlds import KINDS, MIXINGS, SEED_OF_SET, World, views, world

WORLD = World(
    seed=1,
    mixing="rotated",
    k=3,
    private=(2, 4),
    widths=(44, 50),
    n=500,
    noise=0.0,
    heavy=False,
    kind="plain",
)


def _correlations(x: Tensor, y: Tensor) -> Tensor:
    left, right = (torch.linalg.qr((side - side.mean(0)).double()).Q for side in (x, y))
    return torch.linalg.svdvals(left.T @ right)


def _latents(view: Tensor, count: int) -> Tensor:
    """Return the directions that a rotated view without noise varies in."""
    left, strengths, _ = torch.linalg.svd(view - view.mean(0), full_matrices=False)
    assert int((strengths > 1e-4 * strengths[0]).sum()) == count
    return left[:, :count]


@pytest.mark.parametrize("group", SEED_OF_SET)
def test_an_index_always_gives_the_same_world(group: str) -> None:
    worlds = [world(group, index) for index in range(60)]
    assert worlds == [world(group, index) for index in range(60)]
    assert {of.mixing for of in worlds} == set(MIXINGS[group])
    assert all(of.k <= 12 and max(of.private) <= 20 for of in worlds)
    most = [of.k + (of.k + 1) // 2 + 3 + max(of.private) for of in worlds]  # latents of a view
    assert group == "early" or all(count <= min(of.widths) for count, of in zip(most, worlds, strict=True))


def test_tune_and_report_have_other_mixings_and_seeds() -> None:
    assert not set(MIXINGS["tune"]) & set(MIXINGS["report"])
    seeds = [{world(group, index).seed for index in range(1000)} for group in ("tune", "report")]
    assert not seeds[0] & seeds[1]
    assert {world("report", index).kind for index in range(40)} == set(KINDS)
    assert [world("again", index) for index in range(10)] == [world("report", index) for index in range(10)]


def test_worlds_of_the_first_report_are_as_they_were() -> None:
    of = world("early", 1)
    assert (of.seed, of.mixing, of.k, of.private, of.widths, of.n) == (
        10001,
        "sine",
        7,
        (8, 2),
        (41, 29),
        8000,
    )
    assert of.noise == pytest.approx(0.15310874616820302)


def test_a_linear_world_shares_k_directions() -> None:
    x, y = views(WORLD)
    assert (x.shape, y.shape) == ((500, 44), (500, 50))
    shared = _correlations(_latents(x, 5), _latents(y, 7))
    assert (shared > 0.999).tolist() == [True] * 3 + [False] * 2
    assert torch.equal(views(WORLD)[0], x)


def test_independent_worlds_share_nothing() -> None:
    of = next(of for of in (world("independent", index) for index in range(100)) if of.n == 5000)
    assert of.truth == (0, 0)
    x, y = (side[:, :10] for side in views(replace(of, private=(3, 5))))
    assert float(_correlations(x, y).max()) < 0.12


def test_half_of_the_pairs_are_shuffled() -> None:
    plain, shuffled = (views(replace(WORLD, shuffled=share)) for share in (0.0, 0.5))
    torch.testing.assert_close(plain[0], shuffled[0])
    assert int((plain[1] != shuffled[1]).any(1).sum()) == 250


@pytest.mark.parametrize(
    ("kind", "truth", "of_x", "of_y", "linear"),
    [
        ("noisy", (3, 3), 5, 7, 3),
        ("folded", (3, 3), 5, 7, 1),  # |z| is not correlated with z
        ("reduced", (3, 3), 7, 7, 1),
        ("level", (4, 3), 6, 7, 3),
        ("discrete", (6, 6), 8, 10, 6),
    ],
)
def test_kinds_of_worlds_hold_what_they_say(
    kind: str, truth: tuple[int, int], of_x: int, of_y: int, linear: int
) -> None:
    """Counts of latents in x and y, and of those that a linear method can see."""
    of = replace(WORLD, kind=kind, n=3000, shared_noise=0.3, classes=6 if kind == "discrete" else 0)
    assert of.truth == truth
    x, y = views(of)
    assert int((_correlations(_latents(x, of_x), _latents(y, of_y)) > 0.3).sum()) == linear


def test_heavy_tails_are_heavy() -> None:
    normal, heavy = (views(replace(WORLD, heavy=tails, n=5000))[0] for tails in (False, True))
    kurtosis = [float(((side - side.mean(0)) / side.std(0)).pow(4).mean()) for side in (normal, heavy)]
    assert kurtosis[0] < 4 < kurtosis[1]


def _row(k: int, dimension: int | None, **others: Any) -> dict[str, Any]:
    return {
        "seed": k,
        "mixing": "sine",
        "kind": "plain",
        "k": k,
        "truth": (k, k),
        "private": (1, 2),
        "widths": (30, 40),
        "n": 5000,
        "noise": 0.1,
        "heavy": False,
        "dimension": dimension,
        "sides": {"x": dimension, "y": None},
        "interval": (2, 4),
        "text": str(dimension),
        "matching": {"top_1": 0.5},
        "others": {"cca": 5, "mle_x": None} | others,
        "seconds": 10.0,
    }


def test_tables_count_exact_near_and_refused(tmp_path: Path) -> None:
    rows = [_row(3, 3), _row(4, 3), _row(5, None), _row(9, 3)]
    assert shared_tables.summary(rows) == ["4", "1/4 (25 %)", "2/4 (50 %)", "1", "1", "0", "2/3", "10"]
    assert [row["seed"] for row in shared_tables.groups(rows)["n ≥ 5,000, k* ≤ 8"]] == [3, 4, 5]
    by_method = {line[0]: line[1:] for line in shared_tables.methods(rows)}
    assert by_method["shared"] == ["3/4", "1/4 (25 %)", "2/4 (50 %)", "-2.33", "2.62"]
    assert by_method["rank of CCA"][:3] == ["4/4", "1/4 (25 %)", "2/4 (50 %)"]
    assert by_method["MLE of f(X)"] == ["0/4", "0/4 (0 %)", "0/4 (0 %)", "–", "–"]
    text = shared_tables.write(rows, tmp_path / "shared_x.jsonl")
    assert text == (tmp_path / "shared_x.md").read_text()
    assert [row["seed"] for row in shared_tables.failures(rows)] == [4, 5, 9]
    assert len((tmp_path / "shared_x.csv").read_text().splitlines()) == 5
    assert (tmp_path / "shared_x_groups.csv").read_text().startswith("group,worlds,exact")


def test_picture_has_a_panel_for_each_method_that_answers() -> None:
    figure = shared_picture.drawn([_row(3, 3), _row(4, None)])
    titles = [ax.get_title() for ax in figure.axes if ax.get_visible()]
    assert titles == ["shared (1 worlds)", "rank of CCA (2 worlds)"]

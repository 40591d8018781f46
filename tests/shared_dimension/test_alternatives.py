"""The answers of other methods: complete, honest about doubts, and right where the world is easy."""

import math
from types import SimpleNamespace

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.shared_dimension import alternatives as module
from intrinsic_clip.shared_dimension import command
from intrinsic_clip.shared_dimension.alternatives import alternatives
from intrinsic_clip.shared_dimension.matching import held_out

NAMES = (
    "cca kernel_cca joint_mle joint_twonn id_correlation id_correlation_p imbalance_x_to_y imbalance_y_to_x "
    "mle_x mle_y twonn_x twonn_y sufficient"
)


@pytest.fixture(autouse=True)
def fewer_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 250)


def answers(x: torch.Tensor, y: torch.Tensor) -> dict[str, dict]:
    generator = torch.Generator().manual_seed(0)
    f = torch.nn.functional.normalize(torch.randn(2, 80, 4, generator=generator), dim=-1)
    estimate = SimpleNamespace(canonical_rank=None, representations=(f, f))
    return {answer["name"]: answer for answer in alternatives(x, y, estimate)}


def test_every_method_answers_on_an_easy_world() -> None:
    """Two uniform latents in each view, one of them shared."""
    generator = torch.Generator().manual_seed(0)
    z = torch.rand(1500, 1, generator=generator)
    x, y = (torch.cat([z, torch.rand(1500, 1, generator=generator)], 1) for _ in range(2))
    said = answers(x, y)
    assert " ".join(said) == NAMES
    assert (said["cca"]["value"], type(said["cca"]["value"])) == (1, int)
    assert said["kernel_cca"]["value"] >= 1
    assert said["joint_mle"]["value"] == pytest.approx(1, abs=0.4)
    assert said["joint_twonn"]["value"] == pytest.approx(1, abs=0.4)
    assert said["id_correlation_p"]["value"] == pytest.approx(0.01)
    assert "250 of 1,500 pairs" in said["id_correlation"]["title"]
    assert 0 < said["imbalance_x_to_y"]["value"] < 0.9
    assert all((answer["note"] is None) == (answer["value"] is not None) for answer in said.values())


def test_a_joint_dimension_that_shuffled_pairs_have_too_is_no_answer() -> None:
    generator = torch.Generator().manual_seed(0)
    said = answers(*torch.randn(2, 600, 25, generator=generator))
    for name in ("joint_mle", "joint_twonn", "id_correlation"):
        assert said[name]["value"] is None
        assert "shuffled pairs" in said[name]["note"]
    assert said["id_correlation_p"]["value"] > 0.05


def test_counts_and_codes_have_no_dimension() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (400, 4), generator=generator).float()
    said = answers(x, torch.randn(400, 3, generator=generator))
    for name in ("joint_mle", "joint_twonn", "id_correlation", "id_correlation_p", "imbalance_x_to_y"):
        assert said[name]["value"] is None
        assert said[name]["note"]


def test_fewer_pairs_than_columns_have_no_linear_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    said = answers(*torch.randn(2, 110, 60, generator=generator))
    assert said["cca"]["value"] is None
    assert "110 pairs are too few" in said["cca"]["note"]


def test_linear_rank_is_that_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 5, generator=generator)
    y = torch.cat([x[:, :2], torch.randn(400, 3, generator=generator)], 1)
    monkeypatch.setattr(module, "ROWS", 300)
    said = answers(x, y)
    assert said["cca"]["value"] == 2
    assert "300 of 400 pairs" in said["joint_twonn"]["title"]
    assert "300 of 400 pairs" not in said["cca"]["title"]


def test_information_is_not_negative_and_knows_its_ceiling() -> None:
    generator = torch.Generator().manual_seed(0)
    for seed in range(3):
        x, y = torch.nn.functional.normalize(torch.randn(2, 1, 61, 5, generator=generator), dim=-1)
        independent = held_out(x, y, seed)
        assert 0 <= independent.information < 0.2
        assert not independent.saturates
    same = torch.nn.functional.normalize(torch.randn(1, 61, 30, generator=generator), dim=-1)
    paired = held_out(same, same, 0)
    assert paired.ceiling == pytest.approx((math.log(30) + math.log(31)) / 2)
    assert paired.information <= paired.ceiling
    assert paired.saturates


def test_matching_by_chance_needs_no_number_of_directions() -> None:
    f, g = gaussian(2, 400, 6), gaussian(2, 400, 6, seed=1)
    assert module._sufficient(f, g, 0) == (None, "held-out pairs are matched no better than by guessing")
    fewest, reason = module._sufficient(f, torch.cat([f[..., :3], g[..., 3:]], -1), 0)
    assert fewest in (2, 3)  # two of the three that are shared match more than all six do
    assert reason is None


def walks(n: int, columns: int, seed: int) -> torch.Tensor:
    """Return a stationary series whose successive rows correlate by 0.97."""
    rows = gaussian(n, columns, seed=seed)
    for row in range(1, n):
        rows[row] = 0.97 * rows[row - 1] + (1 - 0.97**2) ** 0.5 * rows[row]
    return rows


INDEPENDENT = ("cca", "kernel_cca", "imbalance_x_to_y", "imbalance_y_to_x", "id_correlation_p")


def test_images_beside_several_captions_are_asked_about_once() -> None:
    """Shuffled pairs that forget which captions are of one image make independent views correlate."""
    images, captions = gaussian(300, 6), gaussian(300, 6, seed=1)
    several = captions.repeat_interleave(5, 0) + 0.3 * gaussian(1500, 6, seed=2)
    for seed in range(3):
        said = answers(images.repeat_interleave(5, 0), several)
        assert said["cca"]["value"] == 0
        assert said["kernel_cca"]["value"] <= 1
        assert said["id_correlation_p"]["value"] is None or said["id_correlation_p"]["value"] > 0.05
        several = several.roll(5 * (seed + 1), 0)


@pytest.mark.parametrize("images", [40, 300])
def test_groups_on_both_sides_leave_no_answer(images: int) -> None:
    x, y = (
        gaussian(images, 6, seed=seed).repeat_interleave(5, 0) + 0.05 * gaussian(5 * images, 6, seed=seed + 2)
        for seed in (0, 1)
    )
    said = answers(x, y)
    for name in INDEPENDENT:
        assert said[name]["value"] is None
    assert said["cca"]["note"] == "x: rows come in groups of 5; y: rows come in groups of 5"
    one_side = answers(x, gaussian(5 * images, 6, seed=9))
    assert (one_side["cca"]["value"], one_side["cca"]["note"]) == (0, None)


def test_rows_in_the_order_of_time_leave_a_doubt() -> None:
    said = answers(walks(1000, 5, 0), walks(1000, 5, 1))
    assert said["cca"]["value"] > 0
    for name in ("cca", "kernel_cca", "imbalance_x_to_y"):
        assert said[name]["note"].startswith("successive rows are alike: too much is found")
    content = {"dimension": 0}
    assert command._contradicted(content, list(said.values())) == []
    trusted = [{**said["cca"], "note": None}]
    assert "CCA finds" in command._contradicted(content, trusted)[0]

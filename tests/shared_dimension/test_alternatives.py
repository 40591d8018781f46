"""The answers of other methods: complete, honest about doubts, and right where the world is easy."""

import math
from types import SimpleNamespace

import pytest
import torch

from helpers.manifolds import gaussian
from intrinsic_clip.shared_dimension import alternatives as module
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
    estimate = SimpleNamespace(representations=(f, f))
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

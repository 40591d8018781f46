"""Augmentation: its effect on pictures, its resumption, and the random numbers of copies."""

import copy

import torch
from torch.func import functional_call, stack_module_state, vmap

from intrinsic_clip.encoders.augmentation import AugmentImages, Draws, OmitTokens


def _draws(seed: int = 0) -> Draws:
    torch.manual_seed(seed)
    return Draws()


def test_numbers_are_uniform_and_independent_of_those_before() -> None:
    draws = _draws()
    first, second = draws(50_000), draws(50_000)
    for numbers in (first, second):
        assert 0 <= float(numbers.min()) < float(numbers.max()) < 1
        counts = torch.histc(numbers, 20, 0, 1)
        assert float((counts - 2500).square().sum() / 2500) < 44  # χ² of 19 degrees of freedom, 0.1 %
    for other in (second, first.roll(1), _draws(1)(50_000)):
        assert abs(float(torch.corrcoef(torch.stack([first, other]))[0, 1])) < 0.02


def test_numbers_resume_from_the_state() -> None:
    draws = _draws()
    draws(10)
    other = _draws(1)
    other.load_state_dict(draws.state_dict())
    assert torch.equal(draws(10), other(10))
    assert not torch.equal(draws(10), draws(10))


def test_nothing_happens_in_evaluation() -> None:
    images, real = torch.rand(4, 3, 16, 16), torch.ones(4, 7, dtype=torch.bool)
    assert torch.equal(AugmentImages(0.5, 0.5).eval()(images), images)
    assert torch.equal(OmitTokens(0.5).eval()(real), real)


def test_a_whole_crop_is_the_picture_or_its_mirror_image() -> None:
    torch.manual_seed(0)
    images = torch.rand(32, 3, 16, 16)
    shown = AugmentImages(scale=1, colour=0)(images)
    same = (shown - images).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (shown - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all()
    assert 0 < int(same.sum()) < 32


def test_crops_lie_inside_the_picture() -> None:
    """Crops of a picture of its own coordinates show which part of it they are."""
    torch.manual_seed(0)
    across = (torch.arange(16) + 0.5) / 16
    images = torch.stack([across.expand(16, 16), across[:, None].expand(16, 16), torch.zeros(16, 16)])
    crops = AugmentImages(scale=0.5, colour=0)(images.expand(200, -1, -1, -1))
    sides = (crops[:, :2].amax((2, 3)) - crops[:, :2].amin((2, 3))) * 16 / 15
    assert float(crops[:, :2].amin()) > 0
    assert float(crops[:, :2].amax()) < 1
    assert 0.45 < float(sides.min()) < 0.6
    assert float(sides.max()) > 0.9


def test_colours_change_but_stay_in_range() -> None:
    torch.manual_seed(0)
    images = torch.full((64, 3, 8, 8), 0.5)
    shown = AugmentImages(scale=1, colour=0.3)(images)
    assert float(shown.std((1, 2, 3)).max()) < 1e-6  # grey stays grey
    assert 0.34 < float(shown.min()) < 0.4
    assert 0.6 < float(shown.max()) < 0.66
    bright = AugmentImages(scale=0.5, colour=1)(torch.rand(64, 3, 8, 8))
    assert float(bright.min()) >= 0
    assert float(bright.max()) <= 1


def test_colours_are_those_of_three_changes_in_turn() -> None:
    """Saturation, contrast and brightness as torchvision defines them, but for its rounding of the grey weights."""
    from torchvision.transforms.v2 import functional

    generator = torch.Generator().manual_seed(0)
    images = (
        torch.rand(20, 3, 8, 12, generator=generator) / 4 + 3 / 8
    )  # so that none leaves the range on the way
    factors = 0.8 + 0.4 * torch.rand(3, 20, generator=generator)
    shown = AugmentImages._recoloured(images, *factors[:, :, None, None, None])
    for image, recoloured, (brightness, contrast, saturation) in zip(
        images, shown, factors.T.tolist(), strict=True
    ):
        saturated = functional.adjust_saturation(image, saturation)
        expected = functional.adjust_brightness(functional.adjust_contrast(saturated, contrast), brightness)
        torch.testing.assert_close(recoloured, expected, rtol=0, atol=1e-3)


def test_tokens_are_omitted_but_never_all() -> None:
    torch.manual_seed(0)
    real = torch.arange(20)[None] < torch.randint(1, 20, (500, 1))
    kept = OmitTokens(0.3)(real)
    assert not (kept & ~real).any()
    assert kept[:, 0].all()
    assert abs(float(kept[:, 1:].sum() / real[:, 1:].sum()) - 0.7) < 0.03


def test_copies_under_vmap_draw_what_each_draws_alone() -> None:
    torch.manual_seed(0)
    alone = [AugmentImages(0.5, 0.3) for _ in range(3)]
    template = copy.deepcopy(alone[0])
    _, buffers = stack_module_state(alone)
    images = torch.rand(3, 5, 3, 8, 8)
    for _ in range(2):
        together = vmap(lambda state, rows: functional_call(template, state, (rows,)))(buffers, images)
        for part, module, rows in zip(together, alone, images, strict=True):
            torch.testing.assert_close(part, module(rows))
    assert not torch.allclose(alone[0](images[0]), alone[1](images[0]))

"""Standard errors of differences in recall: by hand, over clusters, and against the spread over fresh draws."""

import numpy as np
import pytest
import torch

from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.paired_error import Clusters, Found, clusters, mean_error


def hits(*shape: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6).double()


def test_pairs_alone_have_the_error_of_a_mean() -> None:
    found = Found(hits(50, 2), hits(50, 2, seed=1))
    mean = mean_error(found, clusters(50, None))
    both = ((found.x_to_y + found.y_to_x) / 2).numpy()
    np.testing.assert_allclose(mean.value, both.mean(0))
    np.testing.assert_allclose(mean.standard_error, both.std(0, ddof=1) / np.sqrt(50))


def test_a_difference_is_paired() -> None:
    first = Found(hits(400, 1), hits(400, 1, seed=1))
    second = Found(first.x_to_y.clone(), first.y_to_x.clone())
    second.x_to_y[:4] = 1 - second.x_to_y[:4]
    error = mean_error(second.minus(first), clusters(400, None)).standard_error
    assert float(error) == pytest.approx(np.sqrt(4 * 0.25) / 400, rel=0.05)  # of four discordant halves
    assert error < mean_error(first, clusters(400, None)).standard_error / 5


def test_captions_of_an_image_are_one_draw() -> None:
    images = torch.arange(30).repeat_interleave(5)
    both = counterparts_of(images, torch.arange(150))
    assert both is not None
    of = clusters(150, both)
    assert of.x.unique().numel() == 30
    assert torch.equal(of.x.repeat_interleave(5), of.y)
    found = Found(hits(30, 1), hits(30, 1, seed=2).repeat_interleave(5, 0))  # all five captions alike
    mean = mean_error(found, of)
    parts = (found.x_to_y + found.y_to_x[::5])[:, 0].numpy() / 2
    np.testing.assert_allclose(mean.standard_error, parts.std(ddof=1) / np.sqrt(30))
    assert clusters(150, both, fixed_classes=True).x.unique().numel() == 30
    assert int(clusters(150, both, fixed_classes=True).y.min()) == 30


def test_the_error_is_the_spread_over_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    values, errors = [], []
    for _ in range(400):
        group = torch.rand(40, 1, generator=generator).repeat_interleave(5, 0)
        hit = (torch.rand(200, 1, generator=generator) < group).double()
        of = torch.arange(40).repeat_interleave(5)
        mean = mean_error(Found(hit, hit), Clusters(of, of))
        values.append(float(mean.value))
        errors.append(float(mean.standard_error))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_one_draw_has_no_error() -> None:
    found = Found(hits(4, 1), hits(4, 1))
    assert mean_error(found, Clusters(torch.zeros(4).long(), torch.zeros(4).long())).standard_error.isnan()

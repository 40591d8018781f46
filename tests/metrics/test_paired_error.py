"""Standard errors of differences in recall: by hand, over clusters, and against the spread over fresh draws."""

import numpy as np
import pytest
import torch

from intrinsic_clip.metrics import retrieval_by_dimension
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.counterparts import counterparts_of
from intrinsic_clip.metrics.paired_error import (
    Clusters,
    Found,
    clusters,
    mean_error,
    recall_error,
    way_error,
)
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.reduction import RetrievalByDimension, halves


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


IMAGES, CAPTIONS, WIDTH = 160, 5, 12


def captioned() -> tuple[torch.Tensor, torch.Tensor, Pairing]:
    """Return images, each five times, and their captions, which are easy or hard to find image by image."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, WIDTH, generator=generator)
    of = torch.arange(IMAGES).repeat_interleave(CAPTIONS)[
        torch.randperm(IMAGES * CAPTIONS, generator=generator)
    ]
    noise = torch.linspace(0.1, 1.5, IMAGES)[torch.randperm(IMAGES, generator=generator)]
    common = torch.randn(IMAGES, WIDTH, generator=generator)[of]
    captions = images[of] + noise[of, None] * (
        common + 0.3 * torch.randn(len(of), WIDTH, generator=generator)
    )
    return images[of], captions, Pairing(of, torch.arange(len(of)), of)


def found_by_hand(
    x: torch.Tensor, y: torch.Tensor, pairing: Pairing
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hits of held-out images and captions among the whole rows, and the image of each caption."""
    _, measured, _ = halves(x, 5000, 0, pairing)
    of = pairing.x[measured].numpy()
    images, first = np.unique(of, return_index=True)
    a, b = directions(x[measured]).numpy()[first], directions(y[measured]).numpy()
    scores = a @ b.T
    right = images[:, None] == of[None]
    found = np.take_along_axis(right, scores.argmax(1)[:, None], 1)[:, 0].astype(float)
    return found, (images[scores.argmax(0)] == of).astype(float), np.searchsorted(images, of)


@pytest.fixture(scope="module")
def of_captions() -> tuple[RetrievalByDimension, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    x, y, pairing = captioned()
    return retrieval_by_dimension(x, y, (2, WIDTH), things=pairing), found_by_hand(x, y, pairing)


def test_errors_of_recall_by_dimension_are_robust_to_clusters(of_captions) -> None:
    retrieval, (images, captions, of) = of_captions
    count = len(images)
    sums = np.zeros(count)
    np.add.at(sums, of, (captions - captions.mean()) / len(captions))
    alone = (images - images.mean()) / count
    robust = [np.sqrt((part**2).sum() * count / (count - 1)) for part in (sums, (sums + alone) / 2)]
    assert float(retrieval.full.y_to_x) == pytest.approx(captions.mean())
    assert float(retrieval.standard_error.y_to_x[-1]) == pytest.approx(robust[0])
    assert float(retrieval.full_error) == pytest.approx(robust[1])
    assert float(retrieval.mean_error[-1]) == pytest.approx(robust[1])
    binomial = np.sqrt(images.mean() * (1 - images.mean()) / count)  # each image is one query
    assert float(retrieval.standard_error.x_to_y[-1]) == pytest.approx(binomial)
    naive = np.sqrt(captions.mean() * (1 - captions.mean()) / len(captions))
    assert robust[0] > 1.5 * naive


def test_errors_of_recall_by_dimension_are_those_of_resampled_images(of_captions) -> None:
    retrieval, (images, captions, of) = of_captions
    generator = np.random.default_rng(0)
    by_image = captions[np.argsort(of, kind="stable")].reshape(-1, CAPTIONS).mean(1)
    drawn = generator.integers(len(images), size=(4000, len(images)))
    ways = images[drawn].mean(1), by_image[drawn].mean(1)
    assert float(retrieval.standard_error.y_to_x[-1]) == pytest.approx(ways[1].std(), rel=0.05)
    assert float(retrieval.full_error) == pytest.approx((ways[0] + ways[1]).std() / 2, rel=0.05)


def test_errors_of_pairs_alone_are_binomial_and_of_their_mean_over_pairs() -> None:
    x, y, _ = captioned()
    x = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    retrieval = retrieval_by_dimension(x, y, (2, WIDTH), ks=(1, 5))
    errors = [(p * (1 - p) / 400).sqrt() for p in retrieval.recall]
    for ours, expected, p in zip(retrieval.standard_error, errors, retrieval.recall, strict=True):
        seen = 400 * torch.minimum(p, 1 - p) >= 10
        assert int(seen.sum()) > 1
        assert torch.equal(ours[seen], expected[seen])
    assert bool((retrieval.mean_error[1] < torch.stack(errors).mean(0)[1]).all())
    _, measured, _ = halves(x, 5000, 0, None)
    scores = (directions(x[measured]) @ directions(y[measured]).mT).numpy()
    own = np.arange(len(scores))
    pairs = ((scores.argmax(1) == own).astype(float) + (scores.argmax(0) == own)) / 2
    assert float(retrieval.full_error[0]) == pytest.approx(pairs.std(ddof=1) / np.sqrt(len(own)))


def test_the_error_of_recall_is_its_spread_over_fresh_pairs() -> None:
    recall, errors = [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(400, 16, generator=generator)
        y = x + 0.5 * torch.randn(400, 16, generator=generator)
        retrieval = retrieval_by_dimension(x, y, (4, 8))
        recall.append(torch.stack(tuple(retrieval.recall)).mean(0)[:, 0])
        errors.append(retrieval.mean_error[:, 0])
    spread, told = torch.stack(recall).std(0), torch.stack(errors).mean(0)
    torch.testing.assert_close(told, spread, rtol=0.3, atol=0)
    hit = hits(30, 1)
    assert way_error(hit, torch.arange(30)) == (hit.mean() * (1 - hit.mean()) / 30).sqrt()


@pytest.mark.parametrize(
    ("misses", "draws", "size"), [(0.5, 100, 1), (2, 100, 1), (2, 400, 1), (3, 60, 5), (5, 60, 1)]
)
@pytest.mark.parametrize("are_hits", [False, True])
def test_recall_with_few_misses_or_hits_lies_within_two_errors(
    misses: float, draws: int, size: int, are_hits: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    of = torch.arange(draws).repeat_interleave(size)
    share = misses / draws if are_hits else 1 - misses / draws
    held = {"recall_error": 0, "mean_error": 0}
    for _ in range(400):
        common = torch.rand(draws, 1, generator=generator) < share
        hit = common.repeat_interleave(size, 0).double()
        found, together = Found(hit, hit), Clusters(of, of)
        for name, error in (("recall_error", recall_error), ("mean_error", mean_error)):
            value, spread = (float(each) for each in error(found, together))
            held[name] += abs(value - share) <= 1.96 * spread
    assert held["recall_error"] >= 0.9 * 400
    assert held["recall_error"] >= held["mean_error"]
    assert held["mean_error"] < 0.93 * 400


def test_few_misses_have_the_error_of_two_more_hits_and_misses() -> None:
    hit = torch.ones(50, 1)
    hit[:3] = 0
    share = (47 + 2) / 54  # of Agresti and Coull
    expected = np.sqrt(share * (1 - share) / 54)
    recall = recall_error(Found(hit, hit), clusters(50, None))
    assert float(recall.value) == pytest.approx(47 / 50)
    assert float(recall.standard_error) == pytest.approx(expected, rel=1e-3)
    assert float(way_error(hit, torch.arange(50))) == pytest.approx(expected, rel=0.01)
    assert float(mean_error(Found(hit, hit), clusters(50, None)).standard_error) < 0.9 * expected
    many = hits(50, 1)
    for found in (Found(many, many), Found(many.repeat_interleave(2, 0), many.repeat_interleave(2, 0))):
        of = torch.arange(50).repeat_interleave(len(found.x_to_y) // 50)
        assert recall_error(found, Clusters(of, of)) == mean_error(found, Clusters(of, of))

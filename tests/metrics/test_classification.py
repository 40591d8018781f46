"""Test classification accuracies against scikit-learn, ties and collapsed representations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import knn_accuracy, linear_accuracy, zero_shot_accuracy
from intrinsic_clip.metrics.crossvalidation import split


def clusters(n: int, count: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    labels = torch.randint(count, (n,), generator=torch.Generator().manual_seed(5)) * 3 - 2
    centres = gaussian(3 * count, 6, seed=1)
    return (centres[labels + 2] + gaussian(n, 6)).to(dtype), labels


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_knn_equals_scikit_learn(k: int, dtype: torch.dtype) -> None:
    x, labels = clusters(120, 4, dtype)
    rows, right = x.double().numpy(), 0.0
    for i in range(120):
        others = np.delete(np.arange(120), i)
        model = KNeighborsClassifier(k, metric="cosine").fit(rows[others], labels[others].numpy())
        votes = model.predict_proba(rows[i : i + 1])[0]
        best = model.classes_[votes > votes.max() - 1e-9]
        right += (labels[i].item() in best) / len(best)
    assert knn_accuracy(x, labels, k).item() == pytest.approx(right / 120, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("options", [{}, {"strength": 100.0}, {"folds": 3, "seed": 4}])
def test_linear_equals_scikit_learn(options: dict, count: int, dtype: torch.dtype) -> None:
    x, labels = clusters(150, count, dtype)
    rows, right = x.double().numpy(), 0
    for test in split(150, options.get("folds", 5), options.get("seed", 0)):
        training = np.setdiff1d(np.arange(150), test.numpy())
        model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=options.get("strength", 1.0)))
        model.fit(rows[training], labels[training].numpy())
        right += (model.predict(rows[test.numpy()]) == labels[test].numpy()).sum()
    assert linear_accuracy(x, labels, **options).item() == pytest.approx(right / 150, abs=1e-12)


def test_separate_clusters_are_told_apart() -> None:
    labels = torch.arange(100) % 4
    x = torch.eye(4)[labels] + 0.01 * gaussian(100, 4).float()
    assert knn_accuracy(x, labels, 5) == 1
    assert linear_accuracy(x, labels) == 1


def test_a_collapsed_representation_names_the_largest_class() -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    x = torch.full((100, 6), 0.3)
    assert knn_accuracy(x, labels, 7).item() == pytest.approx(0.5)
    assert linear_accuracy(x, labels).item() == pytest.approx(0.5)
    assert knn_accuracy(0 * x, labels, 7).item() == pytest.approx(0.5)


def test_rows_that_tie_for_the_last_place_share_the_vote() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
    # k = 2: row 0 sees row 1, then rows 2 and 3 at half a vote each; with labels 0 1 0 1 that is 0.5 against 1.5.
    labels = torch.tensor([0, 1, 0, 1])
    # Row 1 sees label 0 of row 0, and half of each: 1.5 against 0.5. Rows 2 and 3 see rows 0 and 1, one vote each.
    assert knn_accuracy(x, labels, 2).item() == pytest.approx((0 + 0 + 0.5 + 0.5) / 4)


def test_one_label_is_always_right() -> None:
    x, labels = gaussian(30, 4), torch.full((30,), 7)
    assert knn_accuracy(x, labels) == 1
    assert linear_accuracy(x, labels) == 1


@pytest.mark.parametrize("accuracy", [knn_accuracy, linear_accuracy])
def test_replicates_and_blocks_equal_one_at_a_time(
    accuracy: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels = clusters(360, 4)
    x = x.reshape(2, 3, 60, 6)
    x[1, 2, 7, 1] = math.nan
    together = accuracy(x, labels[:60])
    assert together.shape == (2, 3)
    assert together.isnan().tolist() == [[False] * 3, [False, False, True]]
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.CACHE_BYTES", 0)
    monkeypatch.setattr("intrinsic_clip.metrics.row_blocks.FEW", 7)
    for index in np.ndindex(2, 3):
        assert torch.equal(accuracy(x[index], labels[:60]).nan_to_num(-1), together[index].nan_to_num(-1))


def test_wrong_arguments() -> None:
    x, labels = clusters(30, 3)
    for accuracy in (knn_accuracy, linear_accuracy):
        with pytest.raises(ValueError, match=r"labels must be \(30,\) class numbers"):
            accuracy(x, labels[:29])
        with pytest.raises(ValueError, match="class numbers or names, got"):
            accuracy(x, labels.float())
        with pytest.raises(ValueError, match="not empty"):
            accuracy(x[:0], labels[:0])
    for k in (0, 30):
        with pytest.raises(ValueError, match="k must lie between 1 and the 29 other rows"):
            knn_accuracy(x, labels, k)
    with pytest.raises(ValueError, match="strength must be positive"):
        linear_accuracy(x, labels, strength=-1.0)
    with pytest.raises(ValueError, match="need at least 10 rows"):
        linear_accuracy(x[:9], labels[:9])


def test_zero_shot_finds_the_nearest_prompt() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 4
    prompts = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    x = prompts[:, labels] + torch.randn(2, 40, 6, generator=generator, dtype=torch.float64)
    y = prompts[:, labels]
    normalised = (torch.nn.functional.normalize(rows, dim=-1) for rows in (x, prompts))
    nearest = torch.einsum("rnd,rcd->rnc", *normalised).argmax(-1)
    expected = (nearest == labels).double().mean(-1)
    torch.testing.assert_close(zero_shot_accuracy(x, y, labels), expected)
    assert 0.3 < float(expected.mean()) < 1
    assert zero_shot_accuracy(torch.ones(40, 6), torch.ones(40, 6), labels) == 0.25
    assert zero_shot_accuracy(x[0] * math.nan, y[0], labels).isnan()


def test_copies_of_a_row_do_not_tell_its_label() -> None:
    """Labels that know nothing of the rows are guessed, however many copies a row has."""
    images, labels = gaussian(100, 128), torch.randint(5, (100,), generator=torch.Generator().manual_seed(1))
    copies, own = images.repeat_interleave(5, 0), labels.repeat_interleave(5)
    things = torch.arange(100).repeat_interleave(5)
    assert float(knn_accuracy(copies, own, k=4)) == float(linear_accuracy(copies, own)) == 1.0
    expected = float(knn_accuracy(images, labels, k=4))
    assert float(knn_accuracy(copies, own, k=20, things=things)) == pytest.approx(
        expected
    )  # each has five votes
    assert float(linear_accuracy(copies, own, things=things)) < 0.4
    single = torch.arange(100)
    assert float(linear_accuracy(images, labels, things=single)) == float(linear_accuracy(images, labels))


def test_things_that_do_not_fit() -> None:
    x, labels = clusters(30, 3)
    with pytest.raises(ValueError, match="things must be"):
        knn_accuracy(x, labels, things=torch.arange(29))
    with pytest.raises(ValueError, match="between 1 and the 15 other rows, got 20"):
        knn_accuracy(x, labels, things=torch.arange(30) % 2)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.uint16, np.uint32, np.int32])
def test_labels_are_of_any_whole_type_or_truth_values(kind: type) -> None:
    labels = np.arange(40) % 2
    x, y = gaussian(40, 3), gaussian(40, 3, seed=1)
    for given in (labels.astype(kind), torch.from_numpy(labels.astype(kind))):
        assert knn_accuracy(x, given, k=3) == knn_accuracy(x, torch.tensor(labels), k=3)
        assert linear_accuracy(x, given) == linear_accuracy(x, torch.tensor(labels))
        assert zero_shot_accuracy(x, y, given) == zero_shot_accuracy(x, y, torch.tensor(labels))


@pytest.mark.parametrize("measure", [knn_accuracy, linear_accuracy])
def test_names_of_classes_are_equal_without_spaces_and_however_accents_are_written(measure) -> None:
    """As in files: a column that a database fills up with spaces made two classes of one."""
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    plain = ["caf\u00e9" if row else "tea" for row in (x[:, 0] > 0).tolist()]
    spaced = [
        {"caf\u00e9": "cafe\u0301", "tea": "tea  "}[each] if i % 2 else each for i, each in enumerate(plain)
    ]
    assert len(set(spaced)) == 4
    assert float(measure(x, spaced)) == float(measure(x, plain))
    assert float(measure(x, np.array(spaced, dtype=object))) == float(measure(x, plain))

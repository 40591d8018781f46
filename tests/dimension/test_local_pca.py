"""Test local PCA and its criteria against scikit-dimension, and degenerate spectra."""

import hashlib
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import skdim
import torch

from helpers.manifolds import MANIFOLDS, gaussian, manifold
from intrinsic_clip.dimension import criteria, local_pca, nearest_neighbours

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*encountered in divide:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:the points lie in:UserWarning"),
]

CRITERIA = ["FO", "Fan", "maxgap", "ratio", "participation_ratio", "Kaiser", "broken_stick"]
OF_LOWER_RANK = [
    "affine"
]  # whose last eigenvalues are rounding in scikit-dimension, and so is the gap to them


@pytest.fixture(autouse=True, scope="module")
def _scikit_dimension_decomposes_the_same_rows_once() -> Iterator[None]:
    """Remember its eigenvalues of each neighbourhood, for which every criterion asks again."""
    spectrum, remembered = skdim.id.lPCA._spectrum, dict[tuple[bytes, tuple[int, ...], bool], np.ndarray]()

    def once(estimator: skdim.id.lPCA, rows: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(rows.tobytes()).digest(), rows.shape, estimator.center
        if key not in remembered:
            remembered[key] = spectrum(estimator, rows)
        return remembered[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skdim.id.lPCA, "_spectrum", once)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("n", [150, 600])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_equals_scikit_dimension(name: str, n: int) -> None:
    points = manifold(name, n)
    reference = skdim.id.lPCA().fit_pw(points, n_neighbors=100).dimension_pw_
    estimate = local_pca(torch.from_numpy(points))
    np.testing.assert_array_equal(estimate.pointwise, reference)
    assert estimate.value.item() == pytest.approx(reference.mean(), rel=1e-12)
    assert estimate.standard_error.item() == pytest.approx(
        reference.std(ddof=1) / n**0.5, rel=1e-9, abs=1e-12
    )
    assert (estimate.n, estimate.k, estimate.reason) == (n, 100, None)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("name", MANIFOLDS)
def test_every_criterion_equals_scikit_dimension(name: str, criterion: str) -> None:
    points = manifold(name, 120)
    for k in (15, 60):
        if criterion == "maxgap" and (name in OF_LOWER_RANK or k <= points.shape[1]):
            continue
        if criterion == "Fan" and name == "spiral":  # where one eigenvalue nearly always holds 95 %
            continue
        reference = skdim.id.lPCA(ver=criterion).fit_pw(points, n_neighbors=k).dimension_pw_
        estimate = local_pca(torch.from_numpy(points), k, criterion)
        np.testing.assert_allclose(estimate.pointwise, reference, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("n", [100, 800])
@pytest.mark.parametrize("name", MANIFOLDS)
def test_all_points_equal_scikit_dimension(name: str, n: int, criterion: str) -> None:
    points = manifold(name, n)
    if criterion == "maxgap" and (name in OF_LOWER_RANK or n <= points.shape[1]):
        return
    estimate = local_pca(torch.from_numpy(points), None, criterion)
    reference = skdim.id.lPCA(ver=criterion).fit(points).dimension_
    assert estimate.value.item() == pytest.approx(reference, rel=1e-9)
    assert (estimate.k, estimate.pointwise) == (None, None)
    assert estimate.standard_error.isnan()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("criterion", "options", "theirs"),
    [
        ("FO", {"alpha": 0.3}, {"alphaFO": 0.3}),
        ("ratio", {"alpha": 0.95}, {"alphaRatio": 0.95}),
        ("ratio", {"alpha": 0.5}, {"alphaRatio": 0.5}),
        ("Fan", {"gap": 1.5}, {"alphaFan": 1.5}),
        ("Fan", {"share": 0.5}, {"betaFan": 0.5}),
        ("Fan", {"signal": 0.7}, {"PFan": 0.7}),
    ],
)
def test_options_equal_scikit_dimension(criterion: str, options: dict, theirs: dict) -> None:
    points = manifold("nonlinear", 120)
    reference = skdim.id.lPCA(ver=criterion, **theirs).fit_pw(points, n_neighbors=30).dimension_pw_
    estimate = local_pca(torch.from_numpy(points), 30, criterion, **options)
    np.testing.assert_array_equal(estimate.pointwise, reference)


def test_largest_gap_is_that_before_the_linear_space_ends() -> None:
    for name, rank in (("affine", 3), ("tanh_44", 10)):
        points = torch.from_numpy(manifold(name, 400))
        if name == "tanh_44":
            points = points[:, :10] @ gaussian(10, 44)
        for k in (30, 60, None):
            assert local_pca(points, k, "maxgap").value == rank


def test_fewer_neighbours_than_columns_leave_one_eigenvalue_0() -> None:
    points = gaussian(100, 40)
    assert (local_pca(points, 10, "maxgap").pointwise <= 8).all()  # 9 are not 0, so there are 8 gaps
    assert local_pca(points, 10, "FO").pointwise.max() <= 9


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("k", [12, None])
def test_constant_columns_do_not_count(criterion: str, k: int | None) -> None:
    points = gaussian(100, 4)
    padded = torch.cat([points, torch.full((100, 6), 7.0)], -1)
    torch.testing.assert_close(local_pca(padded, k, criterion).value, local_pca(points, k, criterion).value)


def test_a_dominant_eigenvalue_is_one_dimension() -> None:
    points = gaussian(200, 4) * torch.tensor([1.0, 1e-3, 1e-3, 1e-3])
    assert local_pca(points, None, "Fan").value == 1


def test_equal_eigenvalues() -> None:
    equal = torch.ones(2, 4, dtype=torch.float64)
    assert criteria.fan(equal).tolist() == [4, 4]
    assert criteria.largest_gap(equal).tolist() == [1, 1]
    assert criteria.participation_ratio(equal).tolist() == [4, 4]
    assert criteria.broken_stick(equal).tolist() == [0, 0]
    assert criteria.largest_gap(equal[:, :1]).tolist() == [1, 1]


def test_participation_ratio_of_eigenvalues_and_of_matrices_agree() -> None:
    points = gaussian(300, 5) * torch.arange(1.0, 6.0)
    eigenvalues = torch.linalg.eigvalsh(points.T.cov()).flip(-1)
    expected = criteria.participation_ratio(eigenvalues)
    torch.testing.assert_close(local_pca(points, None, "participation_ratio").value, expected)


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    local_pca(gaussian(50, 4), 10)
    assert torch.get_num_threads() == before


def test_blocks_and_sharing_do_not_change_the_result() -> None:
    points = gaussian(2, 150, 7)
    whole = local_pca(points, 20, "participation_ratio")
    for search, block_bytes in ((points, 1), (points, 300_000), (nearest_neighbours(points, 30), 2**26)):
        in_blocks = local_pca(search, 20, "participation_ratio", block_bytes=block_bytes)
        torch.testing.assert_close(in_blocks.pointwise, whole.pointwise)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 1}, "at least 2"),
        ({"criterion": "elbow"}, "criterion must be one of FO, Fan"),
        ({"alpha": 0.0}, "between 0 and 1"),
        ({"share": 1.0}, "between 0 and 1"),
        ({"gap": 0.5}, "gap must be"),
        ({"gap": float("nan")}, "gap must be"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        local_pca(gaussian(150, 2), **options)


@pytest.mark.parametrize("criterion", ["FO", "ratio", "participation_ratio"])
def test_a_rotation_out_of_empty_columns_changes_nothing(criterion: str) -> None:
    turn = torch.linalg.qr(gaussian(16, 16, seed=3)).Q
    flat = torch.nn.functional.pad(torch.cat([gaussian(300, 3), gaussian(300, 3) ** 2], 1), (0, 10)).float()
    turned = (flat.double() @ turn).float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in (40, None):
            values = [float(local_pca(points, k, criterion).value) for points in (flat, turned)]
            assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.parametrize("criterion", ["Fan", "maxgap", "Kaiser", "broken_stick"])
def test_criteria_that_count_columns_say_so_before_and_after_a_rotation(criterion: str) -> None:
    turn = torch.linalg.qr(gaussian(16, 16, seed=3)).Q
    flat = torch.nn.functional.pad(gaussian(300, 4), (0, 12)).float()
    for points in (flat, (flat.double() @ turn).float()):
        with pytest.warns(UserWarning, match="the points lie in 4 of 16 dimensions.* a rotation changes it"):
            local_pca(points, 40, criterion)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        local_pca(gaussian(300, 4), 40, criterion)

"""Words choose numbers; those that cannot be meant are refused with the word that is likely meant."""

import pytest
import torch

import intrinsic_clip as ic

X = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("spectrum/eff", "spectrum/effective_rank"),
        ("dimension", "id"),
        ("recall", "retrieval"),
        ("recall/top_1", "retrieval/top_1"),
        ("id/mlee", "id/mle"),
        ("id/MLE", "id/mle"),
        ("id/TwoNN/x", "id/twonn/x"),
    ],
)
def test_the_nearest_name_is_told(word: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"the nearest is '{meant}'"):
        ic.measure(X, only=word)


@pytest.mark.parametrize(
    "word", ["matching", "retrieval/top_5", "alignment", "modality_gap", "similarity", "information"]
)
def test_numbers_of_pairs_need_y(word: str) -> None:
    for refused in (lambda: ic.measure(X, only=["id", word]), lambda: ic.Measure(word).update(X)):
        with pytest.raises(ValueError, match=f"^{word} compares x with y, and there is no y"):
            refused()
    assert list(ic.measure(X, only=["norm", "relative_norm"])) == ["norm/x", "relative_norm/x"]
    assert not any(name.startswith(word) for name in ic.measure(X))


def test_a_number_of_y_needs_y() -> None:
    with pytest.raises(ValueError, match="id/mle/y is a number of y"):
        ic.measure(X, only="id/mle/y")


def test_estimators_of_scikit_dimension_are_not_taken_for_ours() -> None:
    with pytest.raises(ValueError, match="no estimator TwoNN: did you mean twonn"):
        ic.measure(X, estimators=["TwoNN"])
    with pytest.raises(ValueError, match="no estimator LocalPCA: did you mean local_pca"):
        ic.measure(X, estimators=["LocalPCA"])
    pytest.importorskip("skdim")
    assert ic.measure(X, only="id", estimators=["lPCA"])["id/lPCA/x"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 2.5}, "k must be a whole number, got 2.5"),
        ({"k": "20"}, "k must be a whole number, got '20'"),
        ({"k": True}, "k must be a whole number"),
        ({"max_points": 9.5}, "max_points must be a whole number"),
    ],
)
def test_counts_are_whole_numbers(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ic.measure(X, **options)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("matching/top_0.50pct/x_to_y", ["matching/top_0.5pct/x_to_y"]),
        ("retrieval/top_05", ["retrieval/top_5/x_to_y", "retrieval/top_5/y_to_x"]),
        ("spectrum/components_95.0pct/x", ["spectrum/components_95pct/x"]),
        ("spectrum_standard_error/components_090pct/y", ["spectrum_standard_error/components_90pct/y"]),
        ("spectrum/components_33.33333333pct/y", ["spectrum/components_33.33333333pct/y"]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_numbers_in_names_may_be_written_in_other_ways(word: str, names: list[str]) -> None:
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    assert list(ic.measure(x, x.roll(1, 1), only=word)) == names

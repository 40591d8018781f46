"""The estimators for scikit-learn pass its own checks and give the numbers of the functions beneath."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import intrinsic_clip as ic
from helpers.manifolds import manifold
from intrinsic_clip.dimension import effective_rank, local_pca, mle, participation_ratio, registry, twonn
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.integrations.scikit_learn import IntrinsicDimension, Reduce
from intrinsic_clip.measurement.pairs import pair_stages
from intrinsic_clip.measurement.record import Record
from intrinsic_clip.metrics import retrieval_by_dimension, smallest_sufficient
from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.projection import Projection, dimension_steps

RNG = np.random.default_rng(0)
POINTS = RNG.random((300, 3)) @ RNG.random((3, 8))


def pairs(n: int = 400, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return two modalities of 16 and 10 columns that share 4 dimensions."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(n, 4))
    x = np.hstack([shared, rng.normal(size=(n, 12))]) @ rng.normal(size=(16, 16))
    y = np.hstack([shared + noise * rng.normal(size=(n, 4)), rng.normal(size=(n, 6))]) @ rng.normal(
        size=(10, 10)
    )
    return x, y


@parametrize_with_checks([IntrinsicDimension(), Reduce(), Reduce(dims=1), Reduce(dims=2)])
def test_scikit_learns_own_checks_pass(estimator: BaseEstimator, check) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.mark.parametrize("name", registry.DEFAULT)
def test_every_estimator_gives_the_number_of_its_function(name: str) -> None:
    expected = registry.registered()[name](torch.from_numpy(POINTS))
    fitted = IntrinsicDimension(name).fit(POINTS)
    assert fitted.dimension_ == float(expected.value)
    assert fitted.standard_error_ == float(expected.standard_error)
    assert (fitted.k_, fitted.reason_, fitted.n_features_in_) == (expected.k, None, 8)
    assert hasattr(fitted, "pointwise_") == (expected.pointwise is not None)


def test_k_and_functions_reach_the_estimator() -> None:
    points = torch.from_numpy(POINTS)
    fitted = IntrinsicDimension("local_pca", k=30).fit(POINTS)
    assert (fitted.dimension_, fitted.k_) == (float(local_pca(points, k=30).value), 30)
    fitted = IntrinsicDimension(partial(mle, k=5, combine="median")).fit(POINTS)
    np.testing.assert_array_equal(fitted.pointwise_, mle(points, k=5).pointwise)
    fitted.set_params(estimator=effective_rank).fit(POINTS.astype(np.float32))
    assert fitted.dimension_ == float(effective_rank(points.float()).value)
    assert not hasattr(fitted, "pointwise_")


def test_a_sample_of_the_rows_can_be_measured() -> None:
    fitted = IntrinsicDimension("mle", max_points=100, random_state=3).fit(POINTS)
    chosen = np.isfinite(fitted.pointwise_)
    assert chosen.sum() == 100
    assert fitted.dimension_ == float(mle(torch.from_numpy(POINTS[chosen])).value)
    assert fitted.dimension_ != IntrinsicDimension("mle", max_points=100).fit(POINTS).dimension_
    assert IntrinsicDimension("mle", max_points=300).fit(POINTS).dimension_ == float(
        mle(torch.from_numpy(POINTS)).value
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "mlee"}, "there is no estimator mlee; choose from mle,"),
        ({"estimator": "twonn", "k": 5}, "the estimator twonn takes no k, got k=5"),
        ({"k": 300}, "k must lie between 1 and 299, one less than the rows, got 300"),
        ({"estimator": twonn, "k": 5}, "k is for an estimator given by name"),
        ({"max_points": 1}, "max_points must be at least 2, got 1"),
        ({"max_points": "all"}, "max_points must be a whole number or None, got 'all'"),
        ({"k": 2.5}, "k must be a whole number or None, got 2.5"),
        ({"k": "20"}, "k must be a whole number or None, got '20'"),
        (
            {"estimator": 20},
            "estimator must be a name, such as mle, or a function, got 20; the neighbours are k=20",
        ),
        ({"estimator": None}, "estimator must be a name, such as mle, or a function, got None$"),
        ({"estimator": lambda points: 3.0}, "must return a DimensionEstimate, got float"),
    ],
)
def test_wrong_options_get_one_line(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IntrinsicDimension(**options).fit(POINTS)


@pytest.mark.parametrize("estimator", ["mle", "tle", "mada", "local_pca"])
def test_two_rows_are_too_few_for_a_number_of_neighbours_that_nobody_gave(estimator: str) -> None:
    with pytest.raises(ValueError, match=f"{estimator} needs at least 3 rows, got n_samples = 2"):
        IntrinsicDimension(estimator).fit(np.eye(2))


def test_fewer_neighbours_than_the_default_are_told() -> None:
    with pytest.warns(UserWarning, match="k is reduced from 20 to 4, since there are 5 rows"):
        assert IntrinsicDimension().fit(POINTS[:5]).k_ == 4
    with pytest.raises(ConfigError, match="k must lie between 1 and 4"):
        IntrinsicDimension(k=20).fit(POINTS[:5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IntrinsicDimension("mle", k=4).fit(POINTS[:9]).k_ == 4
        IntrinsicDimension().fit(POINTS)
    with pytest.warns(
        UserWarning, match="mle: 21 rows are too few for so many dimensions: a row's 20 nearest"
    ):
        IntrinsicDimension().fit(POINTS[:21])


@pytest.mark.parametrize("kind", ["gradient", "bfloat16", "half"])
def test_tensors_as_a_training_has_them_are_taken(kind: str) -> None:
    x, y = (torch.from_numpy(rows) for rows in pairs(100))
    if kind == "gradient":
        given_x, given_y = x.clone().requires_grad_(), y.clone().requires_grad_()
    else:
        given_x, given_y = (rows.to(getattr(torch, kind)) for rows in (x, y))
    fitted, expected = IntrinsicDimension().fit(given_x), IntrinsicDimension().fit(given_x.detach().double())
    assert fitted.dimension_ == pytest.approx(expected.dimension_, rel=1e-3)
    reduce = Reduce(dims=3).fit(given_x, given_y)
    at_x, at_y = reduce.transform(given_x, given_y)
    assert at_x.shape == at_y.shape == (100, 3)
    assert reduce.inverse_transform(torch.from_numpy(at_x).requires_grad_()).shape == x.shape


def test_no_estimate_is_nan_with_a_reason() -> None:
    with pytest.warns(UserWarning, match="distinct points"):
        fitted = IntrinsicDimension("mle", k=20).fit(np.repeat(POINTS[:5], 10, 0))
    assert np.isnan(fitted.dimension_)
    assert "needs at least 21 distinct points" in fitted.reason_


def test_pipelines_clones_pickles_and_searches() -> None:
    pipeline = make_pipeline(StandardScaler(), IntrinsicDimension(k=10)).fit(POINTS)
    again = pickle.loads(pickle.dumps(pipeline))
    assert again[-1].dimension_ == pipeline[-1].dimension_ == clone(pipeline).fit(POINTS)[-1].dimension_

    def stability(fitted: IntrinsicDimension, X: np.ndarray, y: object = None) -> float:
        return -abs(np.log(clone(fitted).fit(X).dimension_ / fitted.dimension_))

    search = GridSearchCV(IntrinsicDimension(), {"k": [5, 20, 60]}, scoring=stability, cv=2).fit(POINTS)
    assert search.best_params_["k"] in (5, 20, 60)
    assert search.best_estimator_.dimension_ == pytest.approx(3, abs=0.7)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_table_for_scikit_dimension_is_true() -> None:
    skdim = pytest.importorskip("skdim")
    points = manifold("nonlinear", 250)
    same = [
        (skdim.id.MLE().fit(points), IntrinsicDimension("mle")),
        (skdim.id.MLE().fit(points, n_neighbors=10), IntrinsicDimension("mle", k=10)),
        (skdim.id.TwoNN().fit(points), IntrinsicDimension("twonn")),
        (skdim.id.GRIDE().fit(points), IntrinsicDimension("gride")),
        (skdim.id.CorrInt().fit(points), IntrinsicDimension("correlation_integral")),
        (skdim.id.MOM().fit(points), IntrinsicDimension("method_of_moments")),
        (skdim.id.MADA().fit(points), IntrinsicDimension("mada")),
        (skdim.id.lPCA(ver="participation_ratio").fit(points), IntrinsicDimension(participation_ratio)),
        (skdim.id.KNN(random_state=0).fit(points), IntrinsicDimension("KNN")),
        (skdim.id.MiND_ML().fit(points), IntrinsicDimension("MiND_ML")),
    ]
    for theirs, ours in same:
        assert ours.fit(points).dimension_ == pytest.approx(theirs.dimension_, rel=1e-6), ours
    assert IntrinsicDimension("mean_mle").fit(points).dimension_ == pytest.approx(
        skdim.id.MLE().fit_transform(points)
    )
    assert IntrinsicDimension("tle").fit(points).dimension_ == pytest.approx(
        skdim.id.TLE().fit(points).dimension_, rel=0.02
    )
    local = skdim.id.lPCA().fit_pw(points, n_neighbors=100).dimension_pw_
    np.testing.assert_array_equal(IntrinsicDimension("local_pca").fit(points).pointwise_, local)
    np.testing.assert_allclose(
        IntrinsicDimension("mle").fit(points).pointwise_, skdim.id.MLE().fit(points).dimension_pw_
    )


def test_the_number_of_dimensions_is_the_smallest_that_keeps_held_out_recall() -> None:
    x, y = pairs()
    reduce = Reduce().fit(x, y)
    assert (reduce.dims_, reduce.basis_) == (4, "canonical")
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))  # as `measure` draws it
    shuffled = (torch.from_numpy(rows)[order] for rows in (x, y))
    retrieval = retrieval_by_dimension(*shuffled, dimension_steps(10), "canonical")
    assert reduce.dims_ == int(smallest_sufficient(retrieval).dims)
    assert reduce.recall_ == pytest.approx(
        float(torch.stack(tuple(retrieval.recall)).mean(0)[retrieval.dims.index(4), 0])
    )
    assert reduce.recall_ >= 0.99 * reduce.full_recall_ > 0.5
    assert reduce.correlations_.shape == (4,)


def test_numbers_are_those_of_the_other_doors() -> None:
    x, y = pairs()
    numbers = ic.measure(x, y, only=["id/mle", "id/gride", "spectrum/effective_rank"])
    for name, estimator in (
        ("id/mle", "mle"),
        ("id/gride", "gride"),
        ("spectrum/effective_rank", effective_rank),
    ):
        fitted = IntrinsicDimension(estimator).fit(x)
        assert fitted.dimension_ == pytest.approx(numbers[f"{name}/x"], rel=1e-6)
    record = Record(len(x), {"x": 16, "y": 10})
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    for _, work in pair_stages(
        record, *tensors, torch.randperm(400, generator=torch.Generator().manual_seed(0)), 400, 0
    ):
        work()
    assert (
        Reduce().fit(x, y).dims_ == record.metrics["sufficient_dimension/canonical"]
    )  # that of the verb measure


def test_reduced_rows_match_those_that_were_not_fitted() -> None:
    x, y = pairs(800)
    reduce = Reduce().fit(x[:400], y[:400])
    at_x, at_y = reduce.transform(x[400:], y[400:])
    np.testing.assert_array_equal(at_y, reduce.transform_y(y[400:]))
    np.testing.assert_allclose(
        at_x, (directions(torch.from_numpy(x[400:])).numpy() - reduce.mean_) @ reduce.components_.T
    )
    at_x, at_y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (at_x, at_y))
    found = (at_x @ at_y.T).argmax(1) == np.arange(400)
    assert found.mean() == pytest.approx(reduce.recall_, abs=0.15)


def test_spaces_that_are_not_aligned_keep_more_than_cosines_know() -> None:
    """Widths are equal, but cosines mean nothing, so that any dimension would keep their recall."""
    x, y = pairs()
    assert Reduce().fit(x[:, :10], y).dims_ >= 3


def test_principal_directions_keep_the_variance_as_pca_does() -> None:
    x = RNG.normal(size=(200, 6)) @ np.diag([9.0, 5, 3, 1, 0.1, 0.01]) @ RNG.normal(size=(6, 6))
    reduce, pca = Reduce(share=0.95).fit(x), PCA(0.95).fit(x)
    assert reduce.dims_ == pca.n_components_
    np.testing.assert_allclose(abs(reduce.transform(x)), abs(pca.transform(x)), atol=1e-8)
    np.testing.assert_allclose(
        reduce.inverse_transform(reduce.transform(x)), pca.inverse_transform(pca.transform(x))
    )
    everything = Reduce(dims=6).fit(x)
    np.testing.assert_allclose(everything.inverse_transform(everything.transform(x)), x)


@pytest.mark.parametrize("basis", ["canonical", "principal"])
def test_rows_given_back_are_shorter_the_fewer_dimensions_are_kept(basis: str) -> None:
    """As the documentation says: of length at most about 1, and not what `transform` reduces to the same rows."""
    x, y = pairs(400)
    y = y if basis == "canonical" else x[:, :10] + 0.3 * np.random.default_rng(1).normal(size=(400, 10))
    lengths, again = [], []
    for dims in (2, 5, 10):
        reduce = Reduce(dims=dims, basis=basis).fit(x[:, :10], y)
        reduced = reduce.transform(x[:, :10])
        given_back = reduce.inverse_transform(reduced)
        lengths.append(np.linalg.norm(given_back, axis=1).mean())
        again.append(np.abs(reduce.transform(given_back) - reduced).max())
    assert lengths == sorted(lengths)
    assert lengths[0] < 0.9
    assert lengths[-1] <= 1.01
    assert again[0] > 0.05
    for documented in (Reduce.inverse_transform.__doc__, Projection.reconstruct.__doc__):
        assert "at most about 1" in " ".join(documented.split())


@pytest.mark.parametrize("basis", ["canonical", "principal"])
def test_the_inverse_gives_unit_rows_back(basis: str) -> None:
    x, y = pairs()
    reduce = Reduce(dims=10, basis=basis).fit(x[:, :10], y)
    unit = x[:, :10] / np.linalg.norm(x[:, :10], axis=1, keepdims=True)
    np.testing.assert_allclose(reduce.inverse_transform(reduce.transform(x[:, :10])), unit, atol=1e-8)
    few = Reduce(dims=3, basis=basis).fit(x[:, :10], y)
    error = few.inverse_transform(few.transform(x[:, :10])) - unit
    assert (error**2).sum() < ((unit - unit.mean(0)) ** 2).sum()


def test_with_all_principal_directions_no_cosine_changes() -> None:
    x, y = (np.random.default_rng(2).normal(size=(50, 5)) for _ in range(2))
    at_x, at_y = Reduce(dims=5, basis="principal").fit(x, y).transform(x, y)
    np.testing.assert_allclose(
        at_x @ at_y.T, (x @ y.T) / np.outer(*(np.linalg.norm(z, axis=1) for z in (x, y)))
    )


def test_pandas_in_and_out() -> None:
    x, y = pairs()
    x_frame, y_frame = pd.DataFrame(x).add_prefix("image_"), pd.DataFrame(y).add_prefix("text_")
    reduce = Reduce().set_output(transform="pandas").fit(x_frame, y_frame)
    out = reduce.transform(x_frame)
    assert list(out.columns) == list(reduce.get_feature_names_out()) == [f"reduce{i}" for i in range(4)]
    assert out.index.equals(x_frame.index)
    np.testing.assert_allclose(out, Reduce().fit(x, y).transform(x))
    assert list(reduce.feature_names_in_) == list(x_frame.columns)
    with pytest.raises(ConfigError, match="the same index in another order"):
        Reduce().fit(x_frame, y_frame.iloc[::-1])
    with pytest.raises(ConfigError, match="the same index in another order"):
        reduce.transform(x_frame, y_frame.iloc[::-1])
    assert list(IntrinsicDimension().fit(x_frame).feature_names_in_) == list(x_frame.columns)


def test_reduce_sits_in_a_pipeline_with_labels() -> None:
    labels = np.where(POINTS[:, 0] > np.median(POINTS[:, 0]), "high", "low")
    pipeline = make_pipeline(StandardScaler(), Reduce(), LogisticRegression())
    search = GridSearchCV(pipeline, {"reduce__dims": [1, 3, "auto"]}, cv=2).fit(POINTS, labels)
    assert search.best_score_ > 0.8
    assert pickle.loads(pickle.dumps(search.best_estimator_)).score(POINTS, labels) > 0.8
    x, y = pairs()
    both = make_pipeline(StandardScaler(), Reduce()).fit(x, y)
    assert both.transform(x).shape == (400, 4)


def test_refitting_forgets_partners() -> None:
    x, y = pairs()
    reduce = Reduce().fit(x, y)
    reduce.fit(x)
    assert reduce.basis_ == "principal"
    assert not {"y_components_", "correlations_", "recall_"} & set(vars(reduce))
    with pytest.raises(ConfigError, match="fitted without partners"):
        reduce.transform_y(y)


def test_shuffled_pairs_are_told() -> None:
    x, y = pairs()
    with pytest.warns(UserWarning, match="no better than by guessing"):
        reduce = Reduce().fit(x, np.random.default_rng(0).permutation(y))
    assert reduce.dims_ == 10


@pytest.mark.parametrize(
    ("options", "columns", "message"),
    [
        ({"dims": 11}, 10, "dims must lie between 1 and 10"),
        ({"dims": "all"}, 10, 'dims must be "auto" or a whole number'),
        ({"dims": 2.5}, 10, 'dims must be "auto" or a whole number'),
        ({"basis": "random"}, 10, "basis must be"),
        ({"basis": "principal"}, 10, "X has 16 columns and Y 10"),
        ({"basis": "canonical"}, None, "needs partners"),
        ({"share": 1.5}, 10, "share must lie between 0 and 1"),
        *[({"k": k}, 10, "k must be a whole number") for k in (1.5, True, "a", None)],
        *[({"max_rows": rows}, 10, "max_rows must be a whole number") for rows in (1.5, True, "a", None)],
        ({"k": 0}, None, "k must be at least 1"),
        *[({"max_rows": rows}, 10, "max_rows must be at least 2") for rows in (0, 1, -1)],
    ],
)
def test_wrong_arguments_get_one_line(options: dict, columns: int | None, message: str) -> None:
    x, y = pairs(50)
    with pytest.raises(ValueError, match=message) as error:
        Reduce(**options).fit(x, y[:, :columns] if columns else None)
    assert "\n" not in str(error.value)


def test_few_pairs_are_told() -> None:
    x, y = pairs(400)
    with pytest.warns(
        UserWarning, match="5 pairs cannot show how many dimensions are needed: .* fitted on 2"
    ):
        Reduce().fit(x[:5], y[:5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Reduce(dims=2).fit(x[:5], y[:5])
        Reduce().fit(x, y)


def test_fit_transform_returns_what_transform_does_as_that_of_cca() -> None:
    x, y = pairs()
    both, expected = Reduce(dims=3).fit_transform(x, y), Reduce(dims=3).fit(x, y).transform(x, y)
    for rows, its_expected in zip(both, expected, strict=True):
        np.testing.assert_array_equal(rows, its_expected)
    assert [rows.shape for rows in CCA(3).fit_transform(x, y)] == [rows.shape for rows in both]
    assert Reduce(dims=3).fit_transform(x, y[:, 0]).shape == (400, 3)  # a target
    frame, _ = Reduce(dims=3).set_output(transform="pandas").fit_transform(pd.DataFrame(x), y)
    assert list(frame.columns) == ["reduce0", "reduce1", "reduce2"]


def test_a_column_of_class_labels_is_not_taken_for_partners() -> None:
    x, _ = pairs(60)
    for labels in (np.arange(60)[:, None] % 3, np.array(["a", "b", "c"] * 20)[:, None]):
        with pytest.warns(DataConversionWarning, match="column of class labels, which are not used"):
            reduce = Reduce().fit(x, labels)
        assert reduce.basis_ == "principal"
        assert reduce.dims_ == Reduce().fit(x).dims_


def test_unusable_partners_get_one_line() -> None:
    x, y = pairs(50)
    reduce = Reduce(dims=2).fit(x, y)
    with pytest.raises(ConfigError, match="Y has 9 columns, but Reduce was fitted to 10"):
        reduce.transform_y(y[:, :9])
    with pytest.raises(ConfigError, match="X has 3 columns, but reduced rows have 2"):
        reduce.inverse_transform(np.ones((2, 3)))
    with pytest.warns(UserWarning, match="y has one column"):
        assert Reduce().fit(x, y[:, :1]).dims_ == 1
    with pytest.raises(ValueError, match="all rows are equal"):
        Reduce().fit(np.ones((10, 3)))


def test_columns_of_partners_are_those_that_were_fitted() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = pd.DataFrame(x @ rng.normal(size=(4, 3)), columns=["a", "b", "c"])
    reduce = Reduce(dims=2).fit(x, y)
    assert np.array_equal(reduce.transform_y(y), reduce.transform_y(y.to_numpy()))
    with pytest.raises(ConfigError, match="it has them in another order"):
        reduce.transform_y(y[["c", "b", "a"]])
    with pytest.raises(ConfigError, match="it has others"):
        reduce.transform(x, y.rename(columns={"a": "d"}))
    reduce.fit(x, y.to_numpy()).transform_y(y[["c", "b", "a"]])  # whose names nobody knows


def test_arrays_that_are_read_backwards_are_taken() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = x @ rng.normal(size=(4, 3))
    forwards = Reduce(dims=2).fit(x[::-1].copy(), y[::-1].copy())
    backwards = Reduce(dims=2).fit(x[::-1], y[::-1])
    for one, other in zip(forwards.transform(x, y), backwards.transform(x[::-1], y[::-1]), strict=True):
        assert np.array_equal(one, other[::-1])
    back = backwards.inverse_transform(forwards.transform(x)[:, ::-1])
    assert np.array_equal(back, forwards.inverse_transform(forwards.transform(x)[:, ::-1].copy()))
    dimensions = [
        IntrinsicDimension("twonn").fit(rows).dimension_ for rows in (x[:, ::-1], x[:, ::-1].copy())
    ]
    assert dimensions[0] == dimensions[1]

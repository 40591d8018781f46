"""Rows are taken as people hold them, and what holds none is refused in one line."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip import dimension, metrics
from intrinsic_clip.dimension.arrays import as_labels, as_points
from intrinsic_clip.metrics import alignment

X = torch.rand(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round(decimals=3)
Y = X + 0.1


class Lent:
    """Array of another library that has nothing but __dlpack__."""

    def __dlpack__(self, **options):
        return X.__dlpack__(**options)

    def __dlpack_device__(self):
        return X.__dlpack_device__()


class Readable:
    """Array of another library that has nothing but __array__."""

    def __array__(self, dtype=None, copy=None):
        return X.numpy()


@pytest.mark.parametrize(
    "rows",
    [
        X.float(), X.half(), X.bfloat16(), X.clone().requires_grad_(), X.to_sparse(), X.numpy(), X.numpy()[::-1][::-1],
        X.numpy().astype(np.float16), X.numpy().astype(">f4"), pd.DataFrame(X.numpy()), X.tolist(), list(X), Lent(),
        Readable(), np.ma.masked_array(X.numpy()),
    ],
    ids=lambda rows: type(rows).__name__,
)  # fmt: skip
def test_what_holds_rows_is_taken(rows) -> None:
    assert float(ic.mle(rows, k=5)) == pytest.approx(float(ic.mle(X, k=5)), rel=0.3)
    assert as_points(rows).shape == X.shape


def test_integers_are_exact() -> None:
    wide = torch.tensor([[2**40 + 1, 0], [2**40, 1]])
    for rows in (wide, wide.numpy(), wide.numpy().astype(np.uint64), wide.tolist()):
        assert as_points(rows).dtype == torch.float64
        assert (as_points(rows) == wide).all()
    assert as_points(np.array([[True, False]])).tolist() == [[1.0, 0.0]]


def test_an_array_is_not_copied_where_its_memory_can_be_used() -> None:
    array = X.numpy().copy()
    assert as_points(array).data_ptr() == array.ctypes.data
    array.flags.writeable = False
    assert as_points(array).data_ptr() != array.ctypes.data


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("abc", "x must be a tensor .*, got the str"),
        (None, "x must be a tensor .*, got NoneType"),
        (np.array([["a", "b"]]), "got an array of str"),
        (np.array([[object()]]), "got an array of object"),
        ([[1, 2], [3]], "got list"),
        (pd.DataFrame({"a": [1.0], "name": ["b"]}), "column 'name' holds no numbers"),
        (np.zeros(4), r"got shape \(4,\): .reshape\(-1, 1\) makes"),
        (torch.zeros(4, 0), "d >= 1"),
        (np.zeros((4, 2), complex), "x must be real"),
        (torch.zeros(4, 2, dtype=torch.complex64), "x must be real"),
        (torch.zeros(4, 2, device="meta"), "meta device"),
    ],
)
def test_what_holds_no_rows_is_refused(rows, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        as_points(rows, "x")
    assert "\n" not in str(caught.value)


def public(room) -> list[str]:
    """Return the functions of a room that take rows."""
    names = [name for name in room.__all__ if inspect.isfunction(getattr(room, name))]
    return [name for name in names if "HasDLPack" in str(inspect.signature(getattr(room, name)))]


ESTIMATORS = public(dimension)
METRICS = public(metrics)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_takes_arrays(name: str) -> None:
    function = getattr(dimension, name)
    options = {"nearest_neighbours": {"k": 3}, "latent_directions": {"z": X[:, :1].numpy()}, "local_pca": {"k": 9},
               "method_of_moments": {"k": 9}, "scikit_dimension": {"estimator": "TwoNN"}}.get(name, {})  # fmt: skip
    from_array, from_tensor = function(X.numpy(), **options), function(X, **options)
    if isinstance(from_array, dimension.DimensionEstimate):
        assert from_array.name
        assert float(from_array) == float(from_tensor)
    else:
        assert type(from_array) is type(from_tensor)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_takes_arrays(name: str) -> None:
    function = getattr(metrics, name)
    parameters = inspect.signature(function).parameters
    at_hand = {"x": X, "y": Y, "z": X[:, :1], "labels": torch.arange(60) % 3}
    options = {
        name: value for name, value in {"k": 5, "tau": 0.1, "dims": (1, 2)}.items() if name in parameters
    }
    options |= {"permutations": 2} if "permutations" in parameters else {}
    held = {name: value for name, value in at_hand.items() if name in parameters}
    from_tensor = function(**held, **options)
    from_array = function(**{name: value.numpy() for name, value in held.items()}, **options)
    assert str(from_array) == str(from_tensor)


def test_all_public_functions_of_rows_are_covered() -> None:
    assert len(ESTIMATORS) >= 20
    assert len(METRICS) >= 18


def test_labels() -> None:
    assert as_labels(pd.Series([2, 1])).tolist() == [2, 1]
    with pytest.raises(ValueError, match="class numbers"):
        as_labels(np.array(["cat", None], object))


def test_tables_of_another_index_are_no_pairs() -> None:
    x = pd.DataFrame(X.numpy(), [f"row {i}" for i in range(len(X))])
    shuffled = x.sample(frac=1, random_state=0)
    labels = pd.Series(0, shuffled.index)
    for refused in (
        lambda: ic.measure(x, shuffled),
        lambda: ic.Measure().update(x, shuffled),
        lambda: ic.measure_embeddings(x, shuffled),
        lambda: alignment(x, shuffled),
        lambda: ic.measure(x, labels=labels),
    ):
        with pytest.raises(ValueError, match=r"the same index in another order.*\.loc\[x\.index\]"):
            refused()
    with pytest.raises(
        ValueError, match=r"different index labels \(row 0: row 0, 0\).*y\.set_axis\(x\.index\)"
    ):
        alignment(x, x.reset_index(drop=True))
    for y in (x.copy(), x.to_numpy(), X, shuffled.loc[x.index]):
        assert float(alignment(x, y)) == pytest.approx(1)


def test_names_are_labels_that_are_the_same_in_every_batch() -> None:
    first, second = as_labels(["cat", "dog", "cat"]), as_labels(pd.Series(["dog", "mouse"]))
    assert first[0] == first[2] != first[1] == second[0] != second[1]
    assert first.dtype == torch.int64


def test_the_name_of_a_file_is_no_array() -> None:
    with pytest.raises(ValueError, match=r"got the str 'x.npy': load the file first.*intrinsic-clip measure"):
        ic.mle("x.npy")

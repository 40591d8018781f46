"""A source may give tensors, arrays, data frames or lists; what cannot be rows is refused in one line."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch

from intrinsic_clip.probes.rows import as_rows

X = torch.arange(12.0).reshape(6, 2) / 8


@pytest.mark.parametrize(
    "given",
    [
        X,
        X.double(),
        X.bfloat16(),
        X.half(),
        X.clone().requires_grad_(),
        X.to_sparse(),
        X.T.contiguous().T,
        (X,),
        [X],
        {"x": X},
        OrderedDict(x=X, y=None),
        X.numpy(),
        X.numpy().astype(">f8"),
        X.numpy()[::-1][::-1],
        X.numpy().astype(np.float16),
        X.numpy().astype(np.longdouble),
        pd.DataFrame(X.numpy(), index=list("abcdef")),
        pd.DataFrame(X.numpy(), columns=["a", "b"]).convert_dtypes(),
        X.tolist(),
        list(X),
        list(X.numpy()),
        (X.tolist(),),
        {"x": X.tolist()},
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_holds_rows_is_taken(given) -> None:
    rows = as_rows(given)
    assert set(rows) == {"x"}
    assert not rows["x"].requires_grad
    torch.testing.assert_close(rows["x"], X.to(rows["x"].dtype))


def test_dtypes() -> None:
    assert as_rows(X.numpy())["x"].dtype == torch.float32
    assert as_rows(X.double().numpy())["x"].dtype == torch.float64
    assert as_rows((8 * X).long())["x"].dtype == torch.float32
    assert as_rows((8 * X).numpy().astype(np.uint16))["x"].tolist() == (8 * X).tolist()
    assert as_rows(X > 0.5)["x"].sum() == 7


def test_missing_values_are_no_numbers() -> None:
    assert as_rows(pd.DataFrame({"a": [1, None], "b": [2, 3]}).convert_dtypes())["x"].isnan().sum() == 1
    masked = np.ma.masked_greater(X.numpy(), 1.3)
    assert as_rows(masked)["x"].isnan().sum() == 1


def test_pairs_latents_and_labels() -> None:
    rows = as_rows((X.numpy(), pd.DataFrame(X.numpy()), pd.Series(range(6))))
    assert rows["label_class"].tolist() == list(range(6))
    torch.testing.assert_close(rows["y"], X)
    rows = as_rows({"x": X, "z": X.tolist(), "labels": {"a": [0, 1] * 3, "b": torch.ones(6, 1)}})
    assert set(rows) == {"x", "z", "label_a", "label_b"}
    assert rows["label_b"].shape == (6,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "got None: return the embeddings"),
        ({"x": None}, "x is None"),
        ({"x": None, "y": X}, "x is None"),
        ((None, X), "x is None"),
        ("abc", "got str"),
        ((row for row in X), "got generator"),
        ({"image_embeds": X}, "a dict with x"),
        ({"x": X, "logits": X}, "holds x, y, z and labels, got 'logits'"),
        ((X,) * 4, "got 4 values"),
        (X[:, 0], r"x must be a tensor \(n, d\), got shape \(6,\)"),
        ((X[:, 0], X[:, 1]), r"x must be a tensor \(n, d\), got shape \(6,\)"),
        (X.sum(), r"got shape \(\)"),
        (X[:, None], r"got shape \(6, 1, 2\): take one token, \[:, 0\], their mean"),
        (X.numpy()[:, None], r"got shape \(6, 1, 2\): take one token"),
        (X[:, None, None], r"got shape \(6, 1, 1, 2\): .flatten\(1\)"),
        (X + 0j, "x must be real, got torch.complex64"),
        (X.numpy() + 0j, "x must be real"),
        (X.to("meta"), "x is on the meta device"),
        ({"x": X, "y": X.to("meta")}, "y is on the meta device"),
        (pd.DataFrame({"a": X[:, 0], "name": "b"}), "whose column 'name' holds no numbers: leave it out"),
        (np.array([["a", "b"]]), "x must be a tensor"),
        ((X, [[1.0], [1.0, 2.0]]), "y must be a tensor"),
        ((X, X[:5]), "x has 6 rows and y 5: they must belong together"),
        ({"x": [X[0], X[1, :1]] * 2}, "x is a list of tensors of several shapes"),
        ((X, X, [None, "cat"] * 3), "labels must be class numbers"),
        ((X, X, torch.eye(6)), r"got shape \(6, 6\): of one-hot rows give .argmax\(1\)"),
        ((X, X, torch.zeros(6, device="meta")), "labels are on the meta device"),
    ],
)
def test_what_holds_none_is_refused_in_one_line(given, message) -> None:
    with pytest.raises(ValueError, match=message) as error:
        as_rows(given)
    assert "\n" not in str(error.value)


def test_labels_of_another_index_are_refused() -> None:
    x, labels = pd.DataFrame(X.numpy()), pd.Series(range(6))
    assert as_rows({"x": x, "labels": labels})["label_class"].tolist() == list(range(6))
    with pytest.raises(ValueError, match="x and labels have the same index in another order"):
        as_rows({"x": x, "labels": labels.iloc[::-1]})

"""Data frames whose columns are in another order are refused wherever columns are compared."""

import numpy as np
import pandas as pd
import pytest

import intrinsic_clip as ic
from intrinsic_clip.metrics import alignment, partner_ranks

VALUES = np.random.default_rng(0).normal(size=(50, 3))
NAMED, NUMBERED = (pd.DataFrame(VALUES, columns=columns) for columns in (list("abc"), range(3)))
TURNED = list("cba")


def metrics():
    torchmetrics = pytest.importorskip("intrinsic_clip.integrations.torchmetrics")
    return torchmetrics.IntrinsicDimension(k=3)


@pytest.mark.parametrize("make", [ic.Measure, metrics])
@pytest.mark.filterwarnings("ignore")
def test_batches_have_the_columns_of_the_first(make) -> None:
    kept = make()
    kept.update(NAMED)
    kept.update(VALUES)  # without names there is nothing to compare
    kept.update(NUMBERED)
    with pytest.raises(
        ValueError, match="batches differ: x has the columns of the first batch in another order"
    ):
        kept.update(NAMED[TURNED])
    with pytest.raises(ValueError, match="x has other columns than in the first batch, where 'c' is"):
        kept.update(NAMED.rename(columns={"c": "d"}))
    kept.update(NAMED)
    assert len(kept) == 200 if isinstance(kept, ic.Measure) else sum(map(len, kept.order)) == 200
    kept.reset()
    kept.update(NUMBERED)
    with pytest.raises(ValueError, match="another order"):
        kept.update(NUMBERED[[2, 1, 0]])


@pytest.mark.filterwarnings("ignore")
def test_a_metric_that_returns_the_number_of_each_batch_compares_columns_too() -> None:
    metric = metrics()
    metric(NAMED)
    metric(VALUES)
    with pytest.raises(ValueError, match="another order"):
        metric(NAMED[TURNED])
    assert sum(map(len, metric.order)) == 100


@pytest.mark.parametrize(
    "call", [ic.measure, ic.measure_embeddings, alignment, partner_ranks, ic.Measure().update]
)
def test_both_sides_have_their_columns_in_one_order(call) -> None:
    with pytest.raises(ValueError, match="x and y have the same columns in another order"):
        call(NAMED, NAMED[TURNED])
    other = NAMED[TURNED].set_axis(["d", "e", "f"], axis=1)  # names of its own, as two models have
    assert alignment(NAMED, other) == alignment(VALUES, VALUES[:, ::-1].copy())

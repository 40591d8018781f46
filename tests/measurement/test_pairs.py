"""Numbers that compare two modalities."""

import numpy as np
import pytest
import torch

from helpers.shared_latent import QUICK, measurement_below
from intrinsic_clip.measurement import measure_embeddings
from intrinsic_clip.metrics.projection import dimension_steps


@pytest.mark.slow
def test_modalities_of_different_width_have_canonical_directions_only(command_line, tmp_path, pair) -> None:
    np.save("y.npy", pair[1][:, :40])
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    measurement = measurement_below(tmp_path)
    assert {name for name in measurement["curves"] if name.startswith("retrieval/")} == {
        "retrieval/canonical"
    }
    assert not {"modality_gap", "alignment/cosine", "retrieval/top_1/x_to_y"} & set(measurement["metrics"])
    assert measurement["advice"]["of"] == 40
    forms, curve = measurement["forms"], measurement["curves"]["retrieval/canonical"]
    assert forms["full"]["recall_1"]["value"] == pytest.approx(curve["full"])
    assert {row["form"] for row in forms["rows"]} == {"canonical", "canonical_int8"}
    assert {"prefix", "int8", "product"} <= {row["form"] for row in forms["alone"]["rows"]}


@pytest.mark.slow
def test_retrieval_is_by_cosine_whatever_the_lengths_of_the_rows(pair) -> None:
    x, y = map(torch.from_numpy, pair)
    lengths = torch.linspace(1, 100, len(x))[:, None]
    plain, scaled = (measure_embeddings(x, rows, estimators=["mle"])["metrics"] for rows in (y, lengths * y))
    names = [name for name in plain if name.startswith("retrieval/")]
    assert len(names) == 7
    assert {name: scaled[name] for name in names} == {name: plain[name] for name in names}


@pytest.mark.slow
def test_recall_among_the_same_pairs_whichever_modality_is_first(pair) -> None:
    x, y = map(torch.from_numpy, pair)
    forth, back = (measure_embeddings(*sides, estimators=["mle"])["metrics"] for sides in ((x, y), (y, x)))
    assert forth["retrieval/candidates"] == len(x)
    for k in (1, 5, 10):
        assert forth[f"retrieval/top_{k}/x_to_y"] == back[f"retrieval/top_{k}/y_to_x"]


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        (1, [1]),
        (5, [1, 2, 3, 4, 5]),
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (25, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 25]),
    ],
)
def test_steps_end_with_all_dimensions(d, expected) -> None:
    assert dimension_steps(d) == expected

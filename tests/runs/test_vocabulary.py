"""Test that all numbers of runs and measurements are declared, each under one title."""

import re
import subprocess
import sys

import numpy as np
import pytest

from intrinsic_clip.dimension import registry
from intrinsic_clip.runs import vocabulary
from intrinsic_clip.runs.vocabulary import describe, estimator_title, main_numbers, markdown_table
from intrinsic_clip.training.train import train


def _undeclared(names) -> list[str]:
    return [name for name in names if not describe(name).declared]


def _titles(names) -> list[str]:
    return [describe(name).full_title for name in names]


@pytest.fixture(scope="module")
def measured() -> list[str]:
    """Return the names of the numbers that `measure` writes about pairs with a latent."""
    import torch

    from intrinsic_clip.measurement.measurements import measure_embeddings

    z = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 3)))
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 200, 3)))
    return list(measure_embeddings(z + 0.1 * noise[0], z + 0.1 * noise[1], z)["metrics"])


@pytest.mark.slow
def test_all_numbers_of_a_full_run_are_declared_under_titles_of_their_own(compose) -> None:
    names = list(train(compose("probes=full", "trainer.max_epochs=2", "data.n_test=120"))["metrics"])
    kinds = {name.partition("/")[0] for name in names}
    assert kinds >= {"id", "in_sample", "matching", "spectrum", "jacobian", "recovery", "loss", "temperature"}
    assert _undeclared(names) == []
    assert len(set(_titles(names))) == len(names)


def test_all_numbers_of_a_measurement_are_declared_under_titles_of_their_own(measured) -> None:
    assert {name.partition("/")[0] for name in measured} >= {"retrieval", "retrieval_standard_error", "id"}
    assert _undeclared(measured) == []
    assert len(set(_titles(measured))) == len(measured)


def test_every_pattern_is_in_the_table_once_and_describes_itself() -> None:
    rows = [line.split(" | ") for line in markdown_table().splitlines()[2:]]
    assert [len(row) for row in rows] == [6] * len(vocabulary.ALL_DECLARATIONS)
    patterns = [row[0].removeprefix("| ").strip("`") for row in rows]
    assert len(set(patterns)) == len(patterns)
    values = {
        "estimator": "gride", "side": "x", "direction": "y_to_x", "pairs": "random", "k": "5", "α": "0.5",
        "share": "95", "set": "fine", "basis": "canonical", "end": "low", "regression": "kernel", "classifier": "knn",
        "scale": "a.tau", "latents": "xy",
    }  # fmt: skip
    names = [re.sub(r"<(.+?)>", lambda match: values[match[1]], pattern) for pattern in patterns]
    assert _undeclared(names) == []
    assert len(set(_titles(names))) == len(names)
    for name, row in zip(names, rows, strict=True):
        metric = describe(name)
        assert row[2:5] == [metric.scale.unit or "–", metric.scale.better or "–", metric.scale.axis]
        assert row[5].removesuffix(" |") == metric.meaning
        assert metric.meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "title", "part", "axis"),
    [
        ("id/mle/x", "Intrinsic dimension, MLE", "f(X)", "from zero"),
        ("in_sample/id/tle/y", "Intrinsic dimension, TLE, training rows", "g(Y)", "from zero"),
        ("test/matching/top_10/x_to_y", "Matching accuracy, top 10, test rows", "x → y", "zero to one"),
        ("retrieval/top_0.5pct/y_to_x", "Recall by cosine, top 0.5 %", "y → x", "zero to one"),
        ("matching/label_cell_type/x_to_y", "Label matching accuracy, cell type", "x → y", "zero to one"),
        ("id_standard_error/mle/x", "Standard error of intrinsic dimension, MLE", "f(X)", "from zero"),
        ("similarity/positive", "Mean similarity", "positive pairs", "linear"),
        ("temperature", "Temperature τ", "", "log"),
        ("id/mle/z", "Intrinsic dimension, MLE", "h(Z)", "from zero"),
        ("retrieval/top_1/z_to_y", "Recall by cosine, top 1", "z → y", "zero to one"),
        (
            "recovery/linear/xz/x",
            "R² of one block of the latent, ridge regression, shared by xz",
            "f(X)",
            "linear",
        ),
        ("somebody/elses_number", "Somebody: elses number", "", "linear"),
        ("layer4/id/mle/x", "Layer4: id, mle", "f(X)", "linear"),
    ],
)
def test_names_are_put_into_words(name, title, part, axis) -> None:
    metric = describe(name)
    assert (metric.title, metric.part, metric.scale.axis) == (title, part, axis)
    assert metric.chart == (name.rpartition("/")[0] if part else name)


def test_numbers_of_other_pairs_of_modalities_are_those_of_x_and_y_in_other_words() -> None:
    gap, similarity = describe("modality_gap/x_z"), describe("in_sample/similarity/random/y_z")
    assert (gap.chart, gap.full_title) == ("modality_gap", "Modality gap, f(X) and h(Z)")
    assert similarity.chart == "in_sample/similarity"
    assert similarity.full_title == "Mean similarity, training rows, random pairs, g(Y) and h(Z)"
    assert gap.declared
    assert similarity.declared
    assert not describe("somebody/elses/x_z").declared


def test_the_shared_dimension_is_the_truth_of_dimensions_alone() -> None:
    names = [
        "id/mle/x",
        "in_sample/id/mle/x",
        "jacobian/rank/y",
        "id_standard_error/mle/x",
        "spectrum/effective_rank/x",
    ]
    assert [describe(name).true_dimension for name in names] == [True, True, True, False, False]


def test_estimators_are_named_as_in_their_papers() -> None:
    assert list(vocabulary.ESTIMATORS) == list(registry.registered())
    titles = [estimator_title(name) for name in ("twonn", "DANCo", "lPCA", "median_mle", "some_estimator")]
    assert titles == [
        "TwoNN", "DANCo (scikit-dimension)", "lPCA (scikit-dimension)", "median MLE", "some estimator"
    ]  # fmt: skip


def test_main_numbers_are_found_among_the_names_of_a_run() -> None:
    names = ["id/mle/x", "matching/top_0.5pct/x_to_y", "matching/top_1/x_to_y", "temperature"]
    assert main_numbers(names) == {
        "ID f(X)": "id/mle/x", "ID g(Y)": None, "matching": "matching/top_0.5pct/x_to_y", "τ": "temperature"
    }  # fmt: skip


def test_it_needs_no_pytorch_and_no_matplotlib() -> None:
    code = "import intrinsic_clip.runs.vocabulary, sys; print({'torch', 'matplotlib'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "set()\n"


def test_where_pairs_are_matched_by_cosine_alone_that_is_the_main_number() -> None:
    assert main_numbers(["retrieval/top_1/x_to_y"])["matching"] == "retrieval/top_1/x_to_y"
    assert (
        main_numbers(["retrieval/top_1/x_to_y", "matching/top_1/x_to_y"])["matching"]
        == "matching/top_1/x_to_y"
    )
